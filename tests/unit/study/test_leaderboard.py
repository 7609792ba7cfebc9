"""The leaderboard ranks trials, shows what they were, and where grey pictures stand among them."""

import csv
import math
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.naming import short_path, trial_name
from tests.unit.study.fakes import FD, GRAY, OBJECTIVE, make
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


@pytest.fixture
def told() -> Told:
    """One trial of each kind; gray is 80."""
    told = Told()
    middling = told.ask(losses__l1_lambda=50.0, generator__backbone="scratch")
    told.gray().report(middling, 16, 70.0)
    best = told.ask(pretraining__images=48, pretraining__learning_rate=0.00123456789)
    told.report(best, 16, 75.0).report(best, 144, 61.23456789, "end", "trained to its end")
    nothing = told.ask(losses__l1_lambda=500.0)
    told.fault(nothing, "Traceback:\nthe worker died")
    worse = told.ask(losses__l1_lambda=20.0)
    told.report(worse, 16, 90.0, "prune", "90 is above the cutoff 70", rung=16, cutoff=70.0)
    sick = told.ask(losses__l1_lambda=30.0)
    told.report(sick, 16, math.nan, "prune", "the objective is not a finite number")
    broken = told.ask(losses__l1_lambda=40.0)
    told.report(broken, 16, 78.0).fault(broken)
    told.ask(losses__l1_lambda=60.0)
    return told


def test_the_best_comes_first_and_what_has_no_value_last(plan: Plan, told: Told) -> None:
    table = rows(told.state, plan)
    assert [(row.rank, row.number, row.status) for row in table] == [
        (1, 1, "completed"),
        (2, 0, "open"),
        (3, 5, "failed"),
        (None, None, "reference"),
        (4, 3, "pruned"),
        (None, 2, "failed"),
        (None, 4, "pruned"),
        (None, 6, "open"),
    ]


def test_a_trial_stands_for_the_best_that_it_reached(plan: Plan, told: Told) -> None:
    told.report(0, 32, 65.0).report(0, 48, 69.0)
    row = next(row for row in rows(told.state, plan) if row.number == 0)
    assert row.objective == 65.0
    assert (row.images_seen, row.train_seconds) == (48, 48 / 20)


def test_gray_has_a_row_once_it_is_known(plan: Plan) -> None:
    told = Told()
    told.ask()
    assert [row.trial for row in rows(told.state, plan)] == ["000_lite0_lambda84"]
    told.gray()
    assert [row.trial for row in rows(told.state, plan)] == ["gray", "000_lite0_lambda84"]
    told.report(0, 16, 80.1)
    assert [row.trial for row in rows(told.state, plan)] == ["gray", "000_lite0_lambda84"]
    told.report(0, 32, 79.9)
    assert [row.trial for row in rows(told.state, plan)] == ["000_lite0_lambda84", "gray"]


def test_equal_trials_stay_in_the_order_of_their_numbers(plan: Plan) -> None:
    told = Told()
    for _ in range(4):
        told.report(told.ask(), 16, 70.0)
    table = rows(told.state, plan)
    assert [(row.rank, row.number) for row in table] == [(1, 0), (2, 1), (3, 2), (4, 3)]


def test_the_file(tmp_path: Path, plan: Plan, told: Told) -> None:
    path = tmp_path / "new" / "leaderboard.csv"
    write_csv(path, rows(told.state, plan), plan)
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == [
        "rank",
        "trial",
        "status",
        "reason",
        OBJECTIVE,
        "losses.l1_lambda",
        "optimizers.discriminator.learning_rate",
        "generator.backbone",
        "pretraining.images",
        "pretraining.learning_rate",
        "images_seen",
        "images_trained",
        "images_inherited",
        "train_seconds",
    ]
    assert list(lines[0].values()) == [
        "1",
        "001_lite0_lambda84",
        "completed",
        "trained to its end",
        "61.2346",
        "84",
        "0.0001",
        "efficientnet_lite0",
        "48",
        "0.00123457",
        "144",
        "144",
        "0",
        "7.2",
    ]
    gray = lines[3]
    assert (gray["rank"], gray["trial"], gray["status"], gray[OBJECTIVE]) == (
        "",
        "gray",
        "reference",
        f"{GRAY:g}",
    )
    assert gray["losses.l1_lambda"] == gray["generator.backbone"] == ""
    failed = lines[5]
    assert (failed["rank"], failed[OBJECTIVE]) == ("", "")
    assert failed["reason"] == "Traceback:\nthe worker died"
    assert lines[1]["pretraining.images"] == "0"
    assert lines[1]["pretraining.learning_rate"] == "", "it does not exist without pretraining"


def test_a_file_without_trials_has_its_columns(tmp_path: Path, plan: Plan) -> None:
    write_csv(tmp_path / "leaderboard.csv", rows(Told().state, plan), plan)
    (line,) = (tmp_path / "leaderboard.csv").read_text(encoding="utf-8").splitlines()
    assert line.startswith(f"rank,trial,status,reason,{FD}_best,losses.l1_lambda,")


@pytest.mark.parametrize(
    ("number", "chosen", "name"),
    [
        (
            7,
            {"generator.backbone": "efficientnet_lite0", "losses.l1_lambda": 84.123},
            "007_lite0_lambda84.1",
        ),
        (0, {"generator.backbone": "scratch"}, "000_scratch"),
        (1234, {"losses.l1_lambda": 100}, "1234_lambda100"),
        (1, {"losses.l1_lambda": 12345.6}, "001_lambda1.23e04"),
        (2, {"data.flip": True}, "002"),
        (3, {"generator.kind": "gan_256", "losses.l1_lambda": 0}, "003_gan_256_lambda0"),
        (4, {"generator.kind": "gan_32", "generator.backbone": "scratch"}, "004_gan_32"),
        (5, {"generator.kind": "unet", "losses.adversarial": "hinge"}, "005_unet_hinge"),
        (6, {"generator.kind": "unet", "generator.backbone": "scratch"}, "006_scratch"),
        (
            7,
            {"losses.kind": "classification", "generator.backbone": "scratch"},
            "007_scratch_classification",
        ),
        (8, {"generator.predicts": "rgb", "losses.kind": "l1"}, "008_l1_rgb"),
    ],
)
def test_names_of_trials(number: int, chosen: dict[str, object], name: str) -> None:
    assert trial_name(number, chosen) == name  # type: ignore[arg-type]  # scalars of many types


def test_short_paths_stay_apart(plan: Plan) -> None:
    paths = [*plan.space.search, "optimizers.generator.learning_rate", "generator.width"]
    assert len({short_path(path) for path in paths}) == len(paths)
