"""The forecast counts what halving leaves to train, at the speed that was measured."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.plan import Plan
from raycolor.study.forecast import (
    expected_images,
    remaining_seconds,
    remaining_trial_seconds,
    seconds_per_image,
    total_seconds,
)
from tests.unit.study.fakes import BUDGET, RUNGS, SPACE, Told, make


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


PER_IMAGE = 1 / 20
"""Seconds an image of the fakes' trials."""


def test_what_remains_is_open_and_missing_trials(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 48, 60.0)
    told.report(told.ask(), 16, 90.0, "prune")
    told.fault(told.ask())
    told.ask()
    seconds = (96 + 5 * expected_images(plan)) * PER_IMAGE
    assert remaining_trial_seconds(told.state, plan) == pytest.approx(seconds)
    assert total_seconds(told.state) == pytest.approx(64 * PER_IMAGE)


def test_a_slow_backbone_is_forecast_to_be_slow(plan: Plan) -> None:
    told = Told()
    for backbone, slower in (("scratch", 1.0), ("efficientnet_lite0", 4.0)):
        number = told.ask(generator__backbone=backbone)
        told.report(number, 48, 60.0)
        metrics = told.state.trials[number].last_metrics
        metrics["train_seconds"] = 48 * PER_IMAGE * slower
    state = told.state
    speeds = seconds_per_image(state, plan)
    assert speeds["efficientnet_lite0"] == pytest.approx(4 * speeds["scratch"])
    # Both open trials have 96 images left; the six missing ones are as the two on average.
    seconds = 96 * (1 + 4) + 6 * expected_images(plan) * 2.5
    assert remaining_trial_seconds(state, plan) == pytest.approx(seconds * PER_IMAGE)


def test_a_generator_without_a_backbone_has_its_own_speed(plan: Plan) -> None:
    told = Told()
    for kind, slower in (("gan_32", 1.0), ("unet", 3.0)):
        number = told.ask(generator__kind=kind, generator__backbone="scratch")
        told.report(number, 48, 60.0)
        told.state.trials[number].last_metrics["train_seconds"] = 48 * PER_IMAGE * slower
    speeds = seconds_per_image(told.state, plan)
    assert speeds.keys() == {"gan_32", "scratch"}
    assert speeds["scratch"] == pytest.approx(3 * speeds["gan_32"])


def test_confirming_trials_are_counted_to_their_end(tmp_path: Path) -> None:
    text = SPACE.replace("  scheduler:", "  confirm: {top: 2, seeds: 3}\n  scheduler:")
    plan = make(tmp_path, text)
    told = Told()
    for value in range(8):
        told.report(told.ask(), BUDGET, 60.0 + value, "end")
    assert remaining_trial_seconds(told.state, plan) == pytest.approx(6 * BUDGET * PER_IMAGE)


def test_a_finished_study_takes_no_longer(plan: Plan) -> None:
    told = Told()
    for _ in range(9):
        told.report(told.ask(), 144, 60.0, "end")
    assert remaining_trial_seconds(told.state, plan) == 0
    assert remaining_seconds(told.state, plan, seconds_before=0.0, elapsed_s=60.0) == 0


def test_seconds_follow_from_how_much_ran_at_once(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 48, 60.0)
    told.report(told.ask(), 32, 60.0)
    state = told.state
    # 4 s of trials, 1.5 of them in an earlier session, in 1 s: two and a half at once.
    seconds = remaining_seconds(state, plan, seconds_before=1.5, elapsed_s=1.0)
    left = remaining_trial_seconds(state, plan)
    assert left is not None
    assert seconds == pytest.approx(left / 2.5)


def test_no_forecast_before_the_first_report_of_a_session(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 48, 60.0)
    before = total_seconds(told.state)
    assert remaining_seconds(told.state, plan, seconds_before=before, elapsed_s=10.0) is None
    assert remaining_seconds(Told().state, plan, seconds_before=0.0, elapsed_s=10.0) is None


@pytest.mark.parametrize(("elapsed", "left"), [(30.0, 30.0), (59.0, 1.0), (70.0, 0.0)])
def test_a_time_budget_ends_the_forecast(tmp_path: Path, elapsed: float, left: float) -> None:
    plan = make(tmp_path, time_budget_s=60.0)
    told = Told()
    told.report(told.ask(), 16, 60.0)
    found = remaining_seconds(told.state, plan, seconds_before=0.0, elapsed_s=elapsed)
    assert found == pytest.approx(left)


def test_losses_without_a_game_have_their_own_speed(plan: Plan) -> None:
    told = Told()
    for kind, slower in (("l1", 1.0), ("l1_gan", 3.0)):
        number = told.ask(losses__kind=kind, generator__backbone="scratch")
        told.report(number, 48, 60.0)
        told.state.trials[number].last_metrics["train_seconds"] = 48 * PER_IMAGE * slower
    speeds = seconds_per_image(told.state, plan)
    assert speeds.keys() == {"scratch", "scratch, l1"}
    assert speeds["scratch"] == pytest.approx(3 * speeds["scratch, l1"])
