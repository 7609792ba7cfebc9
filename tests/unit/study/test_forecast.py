"""The forecast counts what halving leaves to train, at the speed that was measured."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raycolor.plan import Plan
from raycolor.study.forecast import (
    expected_images,
    remaining_seconds,
    remaining_trial_seconds,
    seconds_per_image,
    survival,
    total_seconds,
)
from raycolor.study.records import Reopened, Reported
from raycolor.study.state import fold
from tests.unit.study.fakes import BUDGET, EVERY, RUNGS, SPACE, Workers, make, run, sick_curve
from tests.unit.study.told import Told


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


@settings(deadline=None, max_examples=50)  # a busy machine is no fault
@given(images=st.integers(0, BUDGET), went=st.floats(0, 1), length=st.integers(0, BUDGET))
def test_no_expectation_is_longer_than_what_is_left(
    plan: Plan, images: int, went: float, length: int
) -> None:
    survives = dict.fromkeys(RUNGS, went)
    left = expected_images(plan, images, survives=survives, pretraining=length)
    assert 0 <= left <= BUDGET - images


def arrived(plan: Plan, went_on: int, stopped: int) -> Told:
    """A study in which so many trials came to the first rung; those that go on wait there."""
    told = Told().session(plan)
    for _ in range(went_on):
        told.report(told.ask(), 16, 60.0, rung=16)
    for _ in range(stopped):
        told.report(told.ask(), 16, 90.0, "prune", rung=16)
    return told


@pytest.mark.parametrize(
    ("went_on", "stopped", "expected"),
    [
        (0, 0, 1 / 3),
        (1, 0, 2 / 4),
        (6, 0, 7 / 9),
        (0, 6, 1 / 9),
        (2, 4, 1 / 3),
        (97, 0, 0.98),
        (0, 97, 0.01),
    ],
)
def test_the_survival_is_what_was_seen_beside_one_imagined_in_three(
    plan: Plan, went_on: int, stopped: int, expected: float
) -> None:
    found = survival(arrived(plan, went_on, stopped).state, plan)
    assert found == pytest.approx({16: expected, 48: 1 / 3, 144: 1 / 3})


@pytest.mark.parametrize(("went_on", "stopped"), [(150, 0), (0, 150)])
def test_the_forecast_follows_a_survival_of_all_and_of_none(
    tmp_path: Path, went_on: int, stopped: int
) -> None:
    plan = make(tmp_path, trials=190)
    told = arrived(plan, went_on, stopped)
    before = expected_images(plan)
    left = remaining_trial_seconds(told.state, plan)
    assert left is not None
    # The second rung has not been seen: one in three is taken to go on there.
    new = 48 + 96 / 3 if went_on else 16.0
    open_ones = went_on * (32 + 96 / 3)
    assert left == pytest.approx((open_ones + 40 * new) * PER_IMAGE, rel=0.03)
    assert open_ones + 40 * before != pytest.approx(open_ones + 40 * new, rel=0.005)


def test_who_is_lost_between_two_rungs_is_one_that_came_to_the_next(plan: Plan) -> None:
    told = arrived(plan, 3, 0)
    told.report(0, 32, math.nan, "prune")
    told.fault(1, images=16)
    told.fault(2, images=16, final=False)
    assert survival(told.state, plan) == pytest.approx({16: 4 / 6, 48: 1 / 5, 144: 1 / 3})


def test_the_sums_are_those_of_a_whole_journal(tmp_path: Path) -> None:
    plan = make(tmp_path, trials=12, overrides={"study.searcher.kind": "random"})
    records = run(plan, Workers(curve=sick_curve, in_flight=3))
    state = fold(records)
    decisions = [record.decision for record in records if isinstance(record, Reported)]
    for rung in RUNGS[:-1]:
        here = [decision for decision in decisions if decision.rung == rung]
        assert state.survivors[rung] == sum(d.action == "go_on" for d in here)
        assert state.stopped[rung] == sum(d.action == "prune" for d in here)
    ended = [trial for trial in state.searched if trial.status in ("pruned", "failed")]
    assert sum(state.stopped.values()) == len(ended)


def test_one_that_goes_on_after_all_counts_among_the_stopped_no_more(plan: Plan) -> None:
    told = Told().session(plan)
    for _ in range(2):
        told.ask()
    for _ in range(3):
        for number in (0, 1):
            told.fault(number, images=0, final=True)
            told.records.append(Reopened(time=0.0, number=number, cause="revival"))
    assert told.state.stopped.total() == 0
    for number in (0, 1):
        told.report(number, 16, 60.0, rung=16)
    assert survival(told.state, plan)[16] == pytest.approx(3 / 5)


def test_a_trial_is_stopped_where_it_is_compared(tmp_path: Path) -> None:
    plan = make(tmp_path, SPACE.replace(", compare_in_pretraining: true", ""))
    assert expected_images(plan, pretraining=16) == pytest.approx(32 + 16 / 3 + 96 / 9)
    assert expected_images(plan, 16, pretraining=48) == pytest.approx(48 + 80 / 3)
    assert expected_images(plan, 64, pretraining=48) == 80
    told = Told()
    told.report(told.ask(pretraining__images=48), EVERY, 60.0)
    told.report(told.ask(), EVERY, 90.0, "prune", rung=16)
    survives = {16: 1 / 4, 48: 1 / 3, 144: 1 / 3}
    one = expected_images(plan, survives=survives, pretraining=48)
    assert one == pytest.approx(64 + 80 / 3)
    other = expected_images(plan, survives=survives)
    left = (one - EVERY) + 6 * (one + other) / 2
    assert remaining_trial_seconds(told.state, plan) == pytest.approx(left * PER_IMAGE)


def test_a_grid_says_which_trials_come(tmp_path: Path) -> None:
    text = SPACE[: SPACE.index("search:")].replace("tpe, startup_trials: 3", "grid") + (
        "search:\n  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}\n"
        "  losses.l1_lambda: {kind: choice, values: [30, 100, 300]}\n"
    )
    plan = make(tmp_path, text.replace("  trials: 8\n", ""))
    assert plan.trials == 6
    told = Told()
    for backbone, slower in (("scratch", 1.0),) * 3 + (("efficientnet_lite0", 4.0),):
        number = told.ask(generator__backbone=backbone)
        told.report(number, 144, 60.0, "end", more={"train_seconds": 144 * PER_IMAGE * slower})
    left = 2 * expected_images(plan) * 4
    assert remaining_trial_seconds(told.state, plan) == pytest.approx(left * PER_IMAGE)


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
    # Of two that came to the first rung, or would have, none went on.
    new = expected_images(plan, survives={16: 1 / 5, 48: 1 / 3, 144: 1 / 3})
    seconds = (96 + 5 * new) * PER_IMAGE
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


@pytest.mark.parametrize("searched", [7, 8])
def test_confirming_trials_have_the_speed_of_their_own_backbones(
    tmp_path: Path, searched: int
) -> None:
    text = SPACE.replace("  scheduler:", "  confirm: {top: 2, seeds: 3}\n  scheduler:")
    plan = make(tmp_path, text)
    told = Told()
    for place in range(searched):
        # The best two are slow, the others fast.
        backbone, slower = ("efficientnet_lite0", 4.0) if place < 2 else ("scratch", 1.0)
        number = told.ask(generator__backbone=backbone)
        more = {"train_seconds": BUDGET * PER_IMAGE * slower}
        told.report(number, BUDGET, 60.0 + place, "end", more=more)
    missing = (8 - searched) * expected_images(plan) * (2 * 4 + 5) / 7
    seconds = (missing + 6 * BUDGET * 4) * PER_IMAGE
    assert remaining_trial_seconds(told.state, plan) == pytest.approx(seconds)


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
