"""A study on shared storage that an earlier version wrote is read, replayed, shown and taken up.

`tools/make_golden.py` wrote `study_v2`, with faults, a revival, a larger budget, a confirmation and
a checkpoint. Nothing in it is made anew when the code changes: that is what it is for.
"""

import csv
import math
import re
import shutil
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from raycolor.data import PHOTOS, open_prepared
from raycolor.kept_plan import differences, restored_plan
from raycolor.plan import Plan, make_plan
from raycolor.remote.bucket import Bucket
from raycolor.study.configs import config_of
from raycolor.study.engine import Engine, is_finished
from raycolor.study.explain import explain, find_trial
from raycolor.study.findings import findings
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.naming import trial_name
from raycolor.study.opening import open_journal
from raycolor.study.page.write import render
from raycolor.study.records import Record
from raycolor.study.rules import replay
from raycolor.study.segments import FOLDER, MOST_RECORDS, chain, read_segments, to_segment
from raycolor.study.state import StudyState, fold
from raycolor.trial import train

GOLDEN = Path(__file__).parents[2] / "golden" / "study_v2"
NUMBER = 2
"""Trial whose checkpoint was kept."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work on, on a storage of its own."""
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(GOLDEN, tmp_path / "studies" / "study_v2")


def plan_of(folder: Path, trials: int | None = None) -> Plan:
    """The plan that the last of its commands makes today."""
    return make_plan(
        space=str(GOLDEN / "study_v2.yaml"),
        study=None,
        out=f"file://{folder.parent}",
        data="photos",
        trials=trials,
        concurrent=None,
        overrides={"budget.images": 544},
        address=None,
        time_budget_s=None,
        seed=2,
    )


@pytest.fixture
def plan(folder: Path) -> Plan:
    return plan_of(folder)


@pytest.fixture
def records() -> list[Record]:
    return read_segments(Bucket(f"file://{GOLDEN}"))


@pytest.fixture
def state(records: list[Record]) -> StudyState:
    return fold(records)


def test_what_the_journal_says(records: list[Record], state: StudyState) -> None:
    kinds = Counter(record.record for record in records)
    assert kinds == {
        **{"session": 2, "resources": 2, "references": 1, "ask": 9, "report": 173},
        **{"fault": 1, "reopened": 2, "final_scores": 2, "end": 2},
    }
    contents = [to_segment(f"{FOLDER}/{p.name}", p.read_bytes()) for p in GOLDEN.glob("journal/*")]
    assert next(number for _, number in chain(contents)) == MOST_RECORDS
    assert len(contents) == 3
    told = [(trial.phase, trial.status, trial.images_seen) for trial in state.trials]
    assert told == [
        ("search", "completed", 544),
        ("search", "pruned", 32),
        ("search", "pruned", 32),
        ("search", "pruned", 16),
        ("search", "pruned", 32),
        # Confirmed before the budget grew, and again.
        ("confirm", "pruned", 512),
        ("confirm", "pruned", 512),
        ("confirm", "completed", 544),
        ("confirm", "completed", 544),
    ]
    assert not state.trials[0].faults[0].final
    assert set(state.tested) == {"7", "8", "gray", "truth"}
    assert round(state.tested["8"]["fd_efficientnet_lite0"], 2) == 1901.24


def test_suggestions_and_decisions_follow_from_the_journal(
    records: list[Record], state: StudyState, plan: Plan
) -> None:
    assert replay(plan, records) == []
    kept = restored_plan(state.sessions[-1].plan, plan.folder)
    # What came later is as it was then in the one, and as it is now in the other.
    assert differences(kept.identity(), plan.identity()) == [
        "study.scheduler.compare_in_pretraining: was True, is now False",
        "study.searcher.repeats: was True, is now False",
    ]
    assert is_finished(state, plan)


def test_it_is_shown(state: StudyState, plan: Plan, tmp_path: Path) -> None:
    write_csv(tmp_path / "leaderboard.csv", rows(state, plan), plan)
    now, stored = (
        list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        for path in (tmp_path / "leaderboard.csv", GOLDEN / "leaderboard.csv")
    )
    # Later versions may have more columns.
    assert [{name: row[name] for name in stored[0]} for row in now] == stored
    page = render(findings(state, plan), state, plan)
    for trial in state.trials:
        name = trial_name(trial.number, trial.chosen)
        assert name in page
        assert "".join(explain(find_trial(state, name), state, plan))


def test_the_same_plan_goes_on_and_more_trials_extend_it(
    folder: Path, state: StudyState, plan: Plan
) -> None:
    fingerprint = state.sessions[-1].identity["fingerprint"]
    before = {path.name: path.read_bytes() for path in folder.glob("journal/*")}
    with open_journal(plan) as journal:
        engine = Engine(plan, journal)
        engine.begin({}, fingerprint)
        assert engine.finished
    more = plan_of(folder, trials=6)
    with open_journal(more) as journal:
        engine = Engine(more, journal)
        engine.begin({}, fingerprint, revived=[3])
        assert engine.ask() is engine.state.trials[3]
        assert engine.ask() is engine.state.trials[9]
        records = list(journal.records)
    assert replay(more, records) == []
    assert before.items() <= {p.name: p.read_bytes() for p in folder.glob("journal/*")}.items()


def test_its_checkpoint_is_taken_up(
    folder: Path, state: StudyState, plan: Plan, tmp_path: Path
) -> None:
    trial = state.trials[NUMBER]
    run = folder / "checkpoints" / trial_name(trial.number, trial.chosen)
    reports = train(
        config_of(trial, plan), open_prepared(PHOTOS), folder=run, cache=tmp_path / "truth"
    )
    again, further = islice(reports, 2)
    assert (again.images_seen, again.stage) == (32, "pretraining")
    assert again.metrics == trial.reports[-1].metrics
    assert (further.images_seen, further.stage) == (48, "adversarial")
    assert all(math.isfinite(value) for value in further.metrics.values())
    assert not list(run.glob("*.damaged"))


TEXTS = sorted(p for p in GOLDEN.rglob("*") if p.suffix in (".csv", ".jsonl", ".yaml"))


@pytest.mark.parametrize("path", TEXTS)
def test_no_path_of_a_machine_is_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("file:///tmp/golden", "")
    assert not re.search(r"""(^|[\s"'=(/])(/[A-Za-z0-9_.-]+){2,}|[A-Za-z]:\\""", text)
