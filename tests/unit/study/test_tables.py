"""The tables hold everything, and are read by whoever reads Parquet."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raycolor.plan import Plan
from raycolor.study.leaderboard import rows
from raycolor.study.tables import TRIALS_A_BLOCK, ReportsTable, write_trials
from tests.unit.study.fakes import OBJECTIVE, make, metrics
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


@pytest.fixture
def told() -> Told:
    told = Told()
    told.gray()
    first = told.ask(pretraining__images=48, pretraining__learning_rate=0.001)
    second = told.ask(losses__l1_lambda=20.0)
    told.report(first, 16, 70.0, rung=16)
    told.report(second, 16, None, "prune", "no number", rung=16, cutoff=70.0)
    told.report(first, 32, 65.0)
    told.ask(losses__l1_lambda=30.0)
    return told


def test_one_row_a_trial_and_one_of_gray(tmp_path: Path, plan: Plan, told: Told) -> None:
    path = tmp_path / "trials.parquet"
    write_trials(path, rows(told.state, plan), plan)
    best, gray, pruned, begun = pq.read_table(path).to_pylist()
    assert best == {
        "rank": 1,
        "number": 0,
        "trial": "000_lite0_lambda84",
        "status": "open",
        "reason": "between rungs",
        OBJECTIVE: 65.0,
        "images_seen": 32,
        "images_trained": 32,
        "images_inherited": 0,
        "train_seconds": 32 / 20,
        "confirmed_mean": None,
        "confirmed_spread": None,
        "confirmed_seeds": 0,
        "losses.l1_lambda": 84.0,
        "optimizers.discriminator.learning_rate": 1e-4,
        "generator.backbone": "efficientnet_lite0",
        "pretraining.images": 48,
        "pretraining.learning_rate": 0.001,
    }
    assert (gray["trial"], gray["rank"], gray["number"], gray["losses.l1_lambda"]) == (
        "gray",
        None,
        None,
        None,
    )
    assert (pruned["rank"], pruned[OBJECTIVE], pruned["status"]) == (None, math.inf, "pruned")
    assert pruned["pretraining.learning_rate"] is None
    assert begun["images_seen"] == 0


def test_one_row_a_report_with_its_metrics_and_decision(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "reports.parquet"
    ReportsTable().write(path, told.state)
    table = pq.read_table(path).to_pylist()
    assert [(row["number"], row["images_seen"], row["action"]) for row in table] == [
        (0, 16, "go_on"),
        (0, 32, "go_on"),
        (1, 16, "prune"),
    ]
    assert table[0] | metrics(70.0, 16) == table[0]
    assert (table[0]["trial"], table[0]["rung"], table[0]["cutoff"]) == (
        "000_lite0_lambda84",
        16,
        None,
    )
    assert table[1]["rung"] is None
    # A metric that one report lacks is a null in its row.
    assert table[2][OBJECTIVE] is None
    assert (table[2]["cutoff"], table[2]["reason"]) == (70.0, "no number")


def test_numbers_that_are_none_stay_themselves(tmp_path: Path) -> None:
    told = Told()
    told.report(told.ask(), 16, math.nan, "prune")
    told.report(told.ask(), 16, math.inf, "prune")
    ReportsTable().write(tmp_path / "reports.parquet", told.state)
    nan, inf = pq.read_table(tmp_path / "reports.parquet")[OBJECTIVE].to_pylist()
    assert math.isnan(nan)
    assert inf == math.inf


def test_whole_and_real_values_share_a_column(tmp_path: Path, plan: Plan) -> None:
    """As where a baseline of 100 stands beside suggestions of 84.3."""
    told = Told()
    for value in (100, 84.3):
        told.ask(losses__l1_lambda=value)
    write_trials(tmp_path / "trials.parquet", rows(told.state, plan), plan)
    column = pq.read_table(tmp_path / "trials.parquet")["losses.l1_lambda"]
    assert column.to_pylist() == [100.0, 84.3]


def test_tables_of_a_study_that_has_just_begun(tmp_path: Path, plan: Plan) -> None:
    state = Told().state
    write_trials(tmp_path / "trials.parquet", rows(state, plan), plan)
    ReportsTable().write(tmp_path / "reports.parquet", state)
    assert pq.read_table(tmp_path / "trials.parquet").num_rows == 0
    assert pq.read_table(tmp_path / "reports.parquet").num_rows == 0


def test_blocks_of_trials_are_the_same_table_however_often_it_is_written(tmp_path: Path) -> None:
    told, growing = Told(), ReportsTable()
    for place in range(2 * TRIALS_A_BLOCK + 3):
        # Metrics that only some have, so that blocks differ in their columns.
        more = {"psnr_of_others": 1.0} if place > TRIALS_A_BLOCK else {}
        told.report(told.ask(), 16, 70.0 + place, more=more)
        if place % TRIALS_A_BLOCK == 7:
            growing.write(tmp_path / "growing.parquet", told.state)
    told.report(3, 32, 60.0, "prune", "late, of an old block", rung=32, cutoff=50.0)
    growing.write(tmp_path / "growing.parquet", told.state)
    ReportsTable().write(tmp_path / "once.parquet", told.state)
    rows_of = [
        pq.read_table(tmp_path / name).to_pylist() for name in ("growing.parquet", "once.parquet")
    ]
    assert rows_of[0] == rows_of[1]
    assert len(rows_of[0]) == 2 * TRIALS_A_BLOCK + 4
    assert [row["images_seen"] for row in rows_of[0] if row["number"] == 3] == [16, 32]
    assert rows_of[0][0]["psnr_of_others"] is None
    assert rows_of[0][-1]["psnr_of_others"] == 1.0
