"""Processes that are killed at the worst moments, clocks that jump, trials that are sick.

One study is killed at one moment after the other, and has to come out as one that nothing
disturbed: real Ray and real, tiny trials, as in `test_search`.
"""

import math
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from raycolor.checkpoint import load_tensors
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.records import Ask, Fault, Reported
from raycolor.study.state import fold
from tests.ray.moments import HERE, LIST, SICK, Moment, read_moments, write_moments
from tests.ray.test_search import (
    assert_lawful,
    command,
    essence,
    first,
    journal,
    plan_of,
    reports_of,
    run,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

DAY_S = 86_400.0
DRIVER = (
    # Before Ray is started, which takes seconds.
    (Moment(at="within session"),),
    (Moment(at="before plan.yaml"),),
    (Moment(at="before report", call=1, clock_s=-DAY_S), Moment(at="within report", call=2)),
    (Moment(at="before report", call=1, clock_s=3 * DAY_S), Moment(at="after report", call=2)),
    # Tables are written when a session begins, and with its first report.
    (Moment(at="before trials.parquet", call=2),),
    (Moment(at="within event", call=5),),
    (Moment(at="before ask"),),
)
"""Moments of one driver after the other; each dies at the last of its own."""
LAST = 1
"""Trials of the killed study are 0 and this one."""


@pytest.fixture
def moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Moment]], Path]:
    """Choose what happens to the processes of the next searches; return where that is written."""
    folder = tmp_path / "moments"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HERE, encoding="utf-8")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{root}")
    monkeypatch.setenv(LIST, str(folder / "moments.json"))

    def choose(chosen: list[Moment]) -> Path:
        write_moments(folder / "moments.json", chosen)
        return folder / "moments.json"

    return choose


def assert_views_whole(out: Path) -> None:
    """The leaderboard is the journal's, and no file is half written."""
    folder, plan = out / "tiny", plan_of(out, LAST + 1)
    state = fold(journal(out))
    write_csv(out / "anew.csv", rows(state, plan), plan)
    anew = (out / "anew.csv").read_text(encoding="utf-8")
    assert (folder / "leaderboard.csv").read_text(encoding="utf-8") == anew
    assert not list(folder.rglob("*.part"))
    for path in folder.glob("checkpoints/*/*.safetensors"):
        load_tensors(path)


def test_a_driver_that_is_killed_at_the_worst_moments(
    home: Path,
    undisturbed: Path,
    tmp_path: Path,
    moments: Callable[[list[Moment]], Path],
) -> None:
    words = command(tmp_path, "--trials", "2")
    for chosen in DRIVER:
        waiting = moments(list(chosen))
        code, text = run(home, words)
        assert (code, read_moments(waiting)) == (-9, []), text
    # A page from before, as `raycolor.show` writes it while a study runs: it is behind in the end.
    page = tmp_path / "tiny" / "report.html"
    page.write_text("of yesterday", encoding="utf-8")
    os.utime(page, (0, 0))
    expected = essence(first(journal(undisturbed), 2))
    so_far = essence(journal(tmp_path))
    assert so_far == expected[: len(so_far)]
    left = len(reports_of(first(journal(undisturbed), 2))) - len(reports_of(journal(tmp_path)))
    waiting = moments([Moment(at="after report", call=left)])
    code, text = run(home, words)
    assert (code, read_moments(waiting)) == (-9, []), text

    # All has been said now, though not that the study has ended.
    records = journal(tmp_path)
    assert isinstance(records[-1], Reported)
    assert essence(records) == expected
    code, text = run(home, words)
    assert code == 0, text
    assert "finished" in text
    assert "of yesterday" not in page.read_text(encoding="utf-8")
    assert_lawful(tmp_path, 2)
    assert_views_whole(tmp_path)
    assert essence(journal(tmp_path)) == expected
    times = [record.time for record in records]
    assert min(b - a for a, b in pairwise(times)) < -DAY_S / 2
    assert fold(records).wall_seconds < 2 * len(DRIVER) * DAY_S


def test_workers_that_are_killed_and_sick_trials(
    home: Path,
    undisturbed: Path,
    tmp_path: Path,
    moments: Callable[[list[Moment]], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SICK, '{"001": "infinite", "002": "none", "003": "missing"}')
    waiting = moments(
        [
            Moment(at="within checkpoint.safetensors", call=2),
            # The one before has its new name already.
            Moment(at="before checkpoint.safetensors", call=2),
            Moment(at="after checkpoint.safetensors", call=2),
        ]
    )
    code, text = run(home, command(tmp_path))
    assert code == 0, text
    assert read_moments(waiting) == []
    assert_lawful(tmp_path)
    records, expected = journal(tmp_path), journal(undisturbed)
    assert essence(first(records, 1)) == essence(first(expected, 1))
    faults = [record for record in records if isinstance(record, Fault)]
    assert [(fault.number, fault.final) for fault in faults] == [(0, False)] * 3
    asked = [record.chosen for record in records if isinstance(record, Ask)]
    assert asked == [record.chosen for record in expected if isinstance(record, Ask)]
    state = fold(records)
    assert [trial.status for trial in state.trials] == ["completed", "pruned", "pruned", "pruned"]
    for trial in state.trials[1:]:
        (report,) = trial.reports
        assert report.decision.value == math.inf
        assert "not a finite number" in report.decision.reason
