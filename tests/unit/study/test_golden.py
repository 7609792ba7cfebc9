"""A study that an earlier version wrote is read, replayed, shown and taken up by this one.

The folder was written by

    python -m raycolor.search --space study_v1.yaml --out results --seed 2 --time-budget 0.001
    python -m raycolor.search --space study_v1.yaml --out results --seed 2

and nothing in it is made anew when the code changes: that is what it is for.
"""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from raycolor.kept_plan import differences, restored_plan
from raycolor.plan import Plan, make_plan
from raycolor.study.engine import Engine, is_finished
from raycolor.study.explain import explain, find_trial
from raycolor.study.findings import findings
from raycolor.study.journal import Journal, read_journal
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.naming import trial_name
from raycolor.study.page.write import render
from raycolor.study.records import Record, Resources, Session
from raycolor.study.rules import replay
from raycolor.study.state import StudyState, fold

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "study_v1"
OBJECTIVE = "fd_efficientnet_lite0_best"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to work on."""
    return shutil.copytree(GOLDEN, tmp_path / "results" / "study_v1")


@pytest.fixture
def plan(folder: Path) -> Plan:
    """The plan that the same command makes today."""
    return make_plan(
        space=str(GOLDEN / "study_v1.yaml"),
        study=None,
        out=folder.parent,
        data="photos",
        trials=None,
        concurrent=None,
        overrides={},
        address=None,
        time_budget_s=None,
        seed=2,
    )


@pytest.fixture
def records() -> list[Record]:
    return read_journal(GOLDEN / "journal")


@pytest.fixture
def state(records: list[Record]) -> StudyState:
    return fold(records)


def stored_leaderboard() -> list[dict[str, str]]:
    with (GOLDEN / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_the_journal_says(state: StudyState) -> None:
    told = [
        (trial_name(trial.number, trial.chosen), trial.status, trial.images_seen)
        for trial in state.trials
    ]
    assert told == [
        ("000_lambda100", "completed", 128),
        ("001_lambda202", "completed", 128),
        ("002_lambda120", "pruned", 32),
        ("003_lambda31.1", "pruned", 32),
    ]
    assert len(state.sessions) == 2
    assert state.ending is not None
    assert state.ending.reason == "finished"
    best = state.best_trial(OBJECTIVE)
    assert best is not None
    assert (best.number, best.best_images(OBJECTIVE)) == (0, 128)
    assert round(best.best(OBJECTIVE), 2) == 1711.50
    assert round(state.references["gray"]["fd_efficientnet_lite0"], 2) == 1701.01


def test_suggestions_and_decisions_follow_from_the_journal(
    records: list[Record], plan: Plan
) -> None:
    assert replay(plan, records) == []


def test_the_leaderboard_comes_out_again(state: StudyState, plan: Plan, tmp_path: Path) -> None:
    write_csv(tmp_path / "leaderboard.csv", rows(state, plan), plan)
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        now = list(csv.DictReader(file))
    stored = stored_leaderboard()
    # Later versions may have more columns.
    assert [{name: row[name] for name in stored[0]} for row in now] == stored


def test_the_page_and_the_explanations_are_written(state: StudyState, plan: Plan) -> None:
    page = render(findings(state, plan), state, plan)
    for row in stored_leaderboard():
        if row["status"] != "reference":
            assert row["trial"] in page
            assert "".join(explain(find_trial(state, row["trial"]), state, plan))


def test_its_own_plan_is_the_one_that_the_command_makes(state: StudyState, plan: Plan) -> None:
    kept = restored_plan(state.sessions[-1].plan, plan.folder)
    # What came later is as it was then in the one, and as it is now in the other.
    assert differences(kept.identity(), plan.identity()) == [
        "study.scheduler.compare_in_pretraining: was True, is now False",
        "study.searcher.repeats: was True, is now False",
    ]
    assert kept.rungs == plan.rungs
    assert is_finished(state, plan)


def test_the_same_plan_goes_on_and_more_trials_extend_it(
    folder: Path, state: StudyState, plan: Plan
) -> None:
    fingerprint = state.sessions[-1].identity["fingerprint"]
    before = (folder / "journal" / "journal.jsonl").read_bytes()
    with Journal(folder / "journal") as journal:
        engine = Engine(plan, journal)
        engine.begin({}, fingerprint)
        assert engine.finished
        engine.end("finished")
    more = make_plan(
        space=str(GOLDEN / "study_v1.yaml"),
        study=None,
        out=folder.parent,
        data="photos",
        trials=5,
        concurrent=None,
        overrides={},
        address=None,
        time_budget_s=None,
        seed=2,
    )
    with Journal(folder / "journal") as journal:
        engine = Engine(more, journal)
        engine.begin({}, fingerprint)
        asked = engine.ask()
        assert asked is engine.state.trials[4]
    assert (folder / "journal" / "journal.jsonl").read_bytes().startswith(before)
    assert replay(more, read_journal(folder / "journal")) == []


def test_it_is_known_what_it_ran_on(records: list[Record]) -> None:
    sessions = [record for record in records if isinstance(record, Session)]
    assert all(session.environment["packages"]["torch"] for session in sessions)
    given = [record for record in records if isinstance(record, Resources)]
    assert [(each.cpus, each.gpus, each.machines) for each in given] == [(1, 0.0, 1)] * 2


@pytest.mark.parametrize("path", sorted(p for p in GOLDEN.rglob("*") if p.is_file()))
def test_no_path_of_a_machine_is_in_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(^|[\s"'=(])(/[A-Za-z0-9_.-]+){2,}|[A-Za-z]:\\""", text)


def test_every_line_of_the_journal_is_as_this_version_writes_it(records: list[Record]) -> None:
    """Fields that came later have defaults, and none was lost or renamed."""
    lines = (GOLDEN / "journal" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    for line, record in zip(lines, records, strict=True):
        for name, value in json.loads(line).items():
            if name in ("record", "metrics", "decision", "scores"):
                continue
            assert getattr(record, name) == value
