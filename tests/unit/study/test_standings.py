"""Trials are compared at equal image counts alone."""

import math
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.standings import comparison_points, report_at, values_at, where_compared
from tests.unit.study.fakes import OBJECTIVE, SPACE, make
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


@pytest.fixture
def told() -> Told:
    told = Told()
    for value in (70.0, 90.0, math.nan):
        told.report(told.ask(), 16, value)
    told.report(0, 32, 60.0).report(0, 48, 55.0).report(1, 48, 65.0)
    told.report(told.ask(), 16, None)
    told.ask()
    return told


def test_values_are_those_of_one_image_count_and_finite(told: Told, plan: Plan) -> None:
    assert values_at(told.state, plan, 16) == {0: 70.0, 1: 90.0}
    assert values_at(told.state, plan, 48) == {0: 55.0, 1: 65.0}
    assert values_at(told.state, plan, 17) == {}


def test_a_report_is_found_by_its_exact_image_count(told: Told, plan: Plan) -> None:
    report = report_at(told.state.trials[0], plan, 32)
    assert report is not None
    assert report.metrics[OBJECTIVE] == 60.0
    assert report_at(told.state.trials[0], plan, 33) is None


def test_only_rungs_that_enough_trials_reached_compare(told: Told, plan: Plan) -> None:
    # 32 images are between rungs; nobody has trained to the end.
    assert comparison_points(told.state, plan, least=2) == [16, 48]
    assert comparison_points(told.state, plan, least=3) == []


def test_a_trial_in_its_pretraining_is_not_compared(tmp_path: Path) -> None:
    plan = make(tmp_path, SPACE.replace(", compare_in_pretraining: true", ""))
    told = Told()
    told.report(told.ask(), 16, 70.0, rung=16)
    late = told.ask(pretraining__images=48)
    told.report(late, 16, 90.0).report(late, 48, 80.0)
    assert values_at(told.state, plan, 16) == {0: 70.0}
    assert values_at(told.state, plan, 48) == {}
    # It stands on the rung with a later report.
    told.report(late, 64, 60.0, rung=48)
    assert values_at(told.state, plan, 48) == {late: 60.0}
    told.report(late, 144, 50.0, "end", rung=144)
    assert values_at(told.state, plan, 144) == {late: 50.0}
    assert where_compared(told.state, plan, 16) == "at 16 images"
    assert where_compared(told.state, plan, 48) == (
        "on the rung of 48 images, where those that pretrain stand with up to 64"
    )
