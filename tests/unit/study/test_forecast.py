"""The forecast counts what halving leaves to train, at the speed that was measured."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.plan import Plan
from raycolor.study.forecast import (
    expected_images,
    remaining_images,
    remaining_seconds,
    total_images,
)
from tests.unit.study.fakes import BUDGET, RUNGS, Told, make


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """8 trials; rungs 16, 48 and the end, 144; one in 3 survives each."""
    plan = make(tmp_path_factory.mktemp("plan"))
    assert plan.rungs == RUNGS
    return plan


def test_a_new_trial_is_expected_to_train_as_long_as_it_survives(plan: Plan) -> None:
    assert expected_images(plan) == pytest.approx(16 + (48 - 16) / 3 + (144 - 48) / 9)


def test_the_expectation_is_the_mean_of_many_trials(plan: Plan) -> None:
    rng = np.random.default_rng(0)
    survives = rng.random((20_000, 2)) < 1 / 3
    images = np.where(survives[:, 0], np.where(survives[:, 1], 144, 48), 16)
    assert expected_images(plan) == pytest.approx(images.mean(), rel=0.02)


def test_a_survivor_has_passed_the_rungs_behind_it(plan: Plan) -> None:
    assert expected_images(plan, 16) == pytest.approx(32 + 96 / 3)
    assert expected_images(plan, 32) == pytest.approx(16 + 96 / 3)
    assert expected_images(plan, 48) == 96
    assert expected_images(plan, 144) == 0


@given(images=st.integers(0, BUDGET))
def test_no_expectation_is_longer_than_what_is_left(plan: Plan, images: int) -> None:
    assert 0 <= expected_images(plan, images) <= BUDGET - images


def test_without_rungs_all_is_left(tmp_path: Path) -> None:
    plan = make(tmp_path, overrides={"study.scheduler.kind": "none"})
    assert expected_images(plan) == BUDGET
    assert expected_images(plan, 48) == BUDGET - 48


def test_what_remains_is_open_and_missing_trials(plan: Plan) -> None:
    told = Told()
    assert remaining_images(told.state, plan) == pytest.approx(8 * expected_images(plan))
    told.report(told.ask(), 48, 60.0)
    told.report(told.ask(), 16, 90.0, "prune")
    told.fault(told.ask())
    told.ask()
    assert remaining_images(told.state, plan) == pytest.approx(96 + 5 * expected_images(plan))
    assert total_images(told.state) == 64


def test_a_finished_study_takes_no_longer(plan: Plan) -> None:
    told = Told()
    for _ in range(9):
        told.report(told.ask(), 144, 60.0, "end")
    assert remaining_images(told.state, plan) == 0
    assert remaining_seconds(told.state, plan, images_before=0, elapsed_s=60.0) == 0


def test_seconds_follow_from_the_speed_of_this_session(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 48, 60.0)
    told.report(told.ask(), 32, 60.0)
    state = told.state
    # 80 images, 30 of them by an earlier session, in 10 s: 5 images a second.
    seconds = remaining_seconds(state, plan, images_before=30, elapsed_s=10.0)
    assert seconds == pytest.approx(remaining_images(state, plan) / 5)


def test_no_forecast_before_the_first_report_of_a_session(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 48, 60.0)
    assert remaining_seconds(told.state, plan, images_before=48, elapsed_s=10.0) is None
    assert remaining_seconds(Told().state, plan, images_before=0, elapsed_s=10.0) is None


@pytest.mark.parametrize(("elapsed", "left"), [(10.0, 50.0), (59.0, 1.0), (70.0, 0.0)])
def test_a_time_budget_ends_the_forecast(tmp_path: Path, elapsed: float, left: float) -> None:
    plan = make(tmp_path, time_budget_s=60.0)
    told = Told()
    told.report(told.ask(), 16, 60.0)
    assert remaining_seconds(told.state, plan, images_before=0, elapsed_s=elapsed) == pytest.approx(
        left
    )
