"""The benchmark of searches on recorded curves: what its arms and simulated workers keep to."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import search
from arms import Raycolor, Run, new_arm
from curves import BACKBONE, FD, LENGTH, OBJECTIVE, Grid, Point, read_grid
from record_curves import REPORTS, grid, grid_plan
from simulated import simulate

from raycolor.plan import Plan

EVERY = 128


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table like a recorded one: better the larger lambda and rate, pretraining equal."""
    rows = []
    for number, chosen in enumerate(grid()):
        best = math.inf
        for place, report in enumerate(REPORTS):
            images = report * EVERY
            pretraining = images <= float(str(chosen[LENGTH]))
            value = 90.0 if chosen[BACKBONE] == "scratch" else 85.0
            if not pretraining:
                value = 80 - number + 20 * math.exp(-images / 500)
            best = min(best, value)
            rows.append(
                {
                    "configuration": number,
                    **chosen,
                    "images_seen": images,
                    "stage": "pretraining" if pretraining else "adversarial",
                    # A second an interval, and two for the start.
                    "core_seconds": 2.0 + report + place,
                    "gray": 110.0,
                    FD: value,
                    OBJECTIVE: best,
                    "generator_adversarial_loss": None if pretraining else 1.0,
                    "discriminator_accuracy": None if pretraining else 0.7,
                }
            )
    path = tmp_path_factory.mktemp("curves") / "curves.parquet"
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns).replace_schema_metadata({"environment": "{}"}), path)
    return path


@pytest.fixture(scope="module")
def curves(table: Path) -> Grid:
    return read_grid(table)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return grid_plan(tmp_path_factory.mktemp("study"))


def test_the_table_is_read_as_it_was_recorded(curves: Grid) -> None:
    assert len(curves.curves) == len(grid()) >= 48
    assert [curves.index(chosen) for chosen in grid()] == list(range(len(grid())))
    assert curves.budget == 27 * EVERY
    first = curves.curves[0].points
    assert [point.images for point in first] == [place * EVERY for place in REPORTS]
    # The start of the process is no cost of a trial.
    assert first[0].seconds == first[1].seconds == 2.0
    assert first[3].seconds == 4.0


def test_random_search_pays_every_trial_in_full(curves: Grid, plan: Plan) -> None:
    moments = simulate(new_arm("random", curves, plan, trials=7, seed=0), workers=3, shared=False)
    assert moments[-1].images == 7 * curves.budget
    assert len(moments) == 7 * len(REPORTS)
    costs = [moment.images for moment in moments]
    assert costs == sorted(costs)
    bests = [moment.best for moment in moments]
    assert bests == sorted(bests, reverse=True)


@pytest.mark.parametrize("kept", [1, 3])
def test_one_rung_runs_the_best_to_their_end_and_no_other(
    curves: Grid, plan: Plan, kept: int
) -> None:
    arm = new_arm(f"one rung, best {kept}", curves, plan, trials=10, seed=1)
    moments = simulate(arm, workers=4, shared=False)
    assert moments[-1].images == 10 * EVERY + kept * 26 * EVERY


def test_a_shared_pretraining_is_paid_once_and_changes_no_score(curves: Grid, plan: Plan) -> None:
    alone, shared = (
        simulate(new_arm("random", curves, plan, trials=20, seed=3), workers=1, shared=given)
        for given in (False, True)
    )
    arm = new_arm("random", curves, plan, trials=20, seed=3)
    saved, longest = 0, dict[Any, int]()
    while (run := arm.ask()) is not None:
        length = int(str(run.curve.chosen[LENGTH]))
        known = longest.get(run.curve.chosen[BACKBONE], 0)
        saved += min(length, known)
        longest[run.curve.chosen[BACKBONE]] = max(length, known)
    assert saved > 0
    assert alone[-1].images - shared[-1].images == saved
    assert [moment.best for moment in alone] == [moment.best for moment in shared]


def test_the_engine_decides_and_stock_tune_too(curves: Grid, plan: Plan) -> None:
    for name in ("stock", "raycolor"):
        moments = simulate(new_arm(name, curves, plan, trials=12, seed=0), workers=2, shared=False)
        assert 12 * EVERY < moments[-1].images < 12 * curves.budget


def test_a_report_that_is_no_number_ends_a_trial(curves: Grid, plan: Plan) -> None:
    arm = new_arm("raycolor", curves, plan, trials=3, seed=0)
    assert isinstance(arm, Raycolor)
    run = arm.ask()
    assert isinstance(run, Run)
    run.place = 1
    sick = Point(images=EVERY, stage="adversarial", metrics={OBJECTIVE: math.nan}, seconds=1.0)
    assert not arm.report(run, sick)


def test_the_whole_benchmark(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "search.json"
    monkeypatch.setattr(
        "sys.argv", ["search.py", "--seeds", "1", "--curves", str(table), "--out", str(out)]
    )
    search.main()
    found = json.loads(out.read_text(encoding="utf-8"))
    random = found["arms"]["random"]
    # With one seed its own best is the score to reach.
    assert random["never"] == 0
    assert found["target"] == random["best"][1]
    assert random["images_in_all"][1] == search.TRIALS * 27 * EVERY
    assert found["courses"]["random"][-1] == random["best"]
    assert set(found["arms"]) == set(search.ARMS)
    for name, arm in found["arms"].items():
        # A score that was reached was reached before the end.
        reached = arm["images"][1]
        assert reached is None or reached <= arm["images_in_all"][1], name
        assert (reached is None) == (arm["best"][1] > found["target"]), name
    assert "| raycolor, shared stages |" in capsys.readouterr().out
