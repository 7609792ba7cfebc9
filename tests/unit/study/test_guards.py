"""Guards end sick trials, and leave healthy ones alone."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from raycolor.spaces.space import ChanceGuard, DivergenceGuard, GuardSettings, ZeroLossGuard
from raycolor.study.guards import find_sickness, is_saturated
from tests.unit.study.fakes import recorded_metrics, recorded_runs

FD = "fd_efficientnet_lite0"
Reports = Sequence[tuple[str, Mapping[str, float]]]


def told(
    distances: Sequence[float | int],
    accuracies: Sequence[float | int] = (),
    losses: Sequence[float | int] = (),
    *,
    pretraining: int = 0,
) -> list[tuple[str, dict[str, float]]]:
    """Reports with these distances, and with these accuracies and losses after pretraining."""
    reports = []
    for place, distance in enumerate(distances):
        metrics = {FD: float(distance)}
        if place >= pretraining:
            metrics["discriminator_accuracy"] = float(accuracies[place]) if accuracies else 0.8
            metrics["generator_adversarial_loss"] = float(losses[place]) if losses else 1.0
        reports.append(("pretraining" if place < pretraining else "adversarial", metrics))
    return reports


def guard(
    reports: Reports, settings: GuardSettings | None = None, adversarial: str = "vanilla"
) -> str | None:
    found = find_sickness(reports, settings or GuardSettings(), FD, adversarial)
    return None if found is None else found.guard


def test_a_distance_far_above_its_own_lowest_is_divergence() -> None:
    assert guard(told([90, 60, 200, 210, 220])) == "divergence"
    found = find_sickness(told([90, 60, 200, 210, 220]), GuardSettings(), FD)
    assert found is not None
    assert found.reason == (
        "diverging: the distance was above 3 times the trial's own lowest (60) in 3 successive "
        "reports, last 220"
    )


@pytest.mark.parametrize(
    "distances",
    [
        [90, 60, 200, 210],  # two reports
        [90, 60, 200, 100, 210, 220],  # not in succession
        [90, 60, 180, 180, 180],  # not above
        [600, 500, 400, 300],  # bad from the start is not diverging
        [90, 60, 200, math.nan, 210, 220],
    ],
)
def test_what_is_no_divergence(distances: list[float]) -> None:
    assert guard(told(distances)) is None


def test_a_discriminator_that_guesses() -> None:
    sick = told([90] * 6, [0.9, 0.51, 0.49, 0.5, 0.52, 0.48])
    assert guard(sick) == "discriminator_at_chance"
    assert guard(told([90] * 6, [0.5, 0.5, 0.5, 0.53, 0.5, 0.5])) is None


def test_reports_of_pretraining_do_not_count() -> None:
    assert guard(told([90] * 6, [0.5] * 6, pretraining=2)) is None
    assert guard(told([90] * 7, [0.5] * 7, pretraining=2)) == "discriminator_at_chance"


def test_a_generator_without_an_opponent() -> None:
    sick = told([90] * 4, losses=[0.7, 0.009, 0.001, 0.0])
    assert guard(sick) == "adversarial_loss_zero"
    # Lambda x L1 is part of the generator's loss, and never of what the guard looks at.
    assert guard(told([90] * 4, losses=[0.7, 0.009, 0.02, 0.0])) is None


@pytest.mark.parametrize("adversarial", ["hinge", "wgan_gp"])
def test_a_loss_of_either_sign_is_never_won(adversarial: str) -> None:
    reports = told([90] * 4, losses=[0.7, -0.5, -3.0, 0.0])
    assert guard(reports, adversarial=adversarial) is None
    assert guard(reports, adversarial="lsgan") == "adversarial_loss_zero"


def test_without_an_accuracy_nothing_is_said_of_it() -> None:
    reports = [(stage, dict(metrics)) for stage, metrics in told([90] * 9, [0.5] * 9)]
    for _, metrics in reports:
        del metrics["discriminator_accuracy"]
    assert guard(reports, adversarial="wgan_gp") is None
    assert not is_saturated(reports)


def test_thresholds_and_patience_come_from_the_space() -> None:
    strict = GuardSettings(
        divergence=DivergenceGuard(factor=1.1, patience=1),
        discriminator_at_chance=ChanceGuard(within=0.4, patience=1),
        adversarial_loss_zero=ZeroLossGuard(below=0.9, patience=1),
    )
    assert guard(told([90, 100]), strict) == "divergence"
    assert guard(told([90], [0.8]), strict) == "discriminator_at_chance"
    assert guard(told([90], [0.95], [0.8]), strict) == "adversarial_loss_zero"


def test_a_guard_can_be_off() -> None:
    off = GuardSettings(
        divergence=DivergenceGuard(patience=None),
        discriminator_at_chance=ChanceGuard(patience=None),
        adversarial_loss_zero=ZeroLossGuard(patience=None),
    )
    assert guard(told([10, 900, 900, 900, 900, 900], [0.5] * 6, [0.0] * 6), off) is None


def test_a_metric_that_a_loss_does_not_have_is_no_sickness() -> None:
    assert guard([("adversarial", {FD: 90.0})] * 9) is None


def test_a_saturated_discriminator_is_told_apart() -> None:
    assert is_saturated(told([90] * 5, [1.0] * 5))
    assert not is_saturated(told([90] * 5, [1.0, 1.0, 0.9, 1.0, 1.0]))
    assert guard(told([90] * 9, [1.0] * 9)) is None


# --- real runs

RUNS = json.loads((Path(__file__).parents[2] / "golden" / "runs.json").read_text(encoding="utf-8"))


def reports_of(run: list[Any]) -> list[tuple[str, dict[str, float]]]:
    return [(stage, metrics) for _, stage, metrics in run]


def acts_at(run: list[Any], settings: GuardSettings) -> tuple[int, str] | None:
    """Images at which a guard acts first, and which."""
    told = reports_of(run)
    for number in range(1, len(told) + 1):
        if (found := guard(told[:number], settings)) is not None:
            return run[number - 1][0], found
    return None


def test_healthy_runs_are_left_alone() -> None:
    assert len(RUNS["healthy"]) >= 12
    for run in RUNS["healthy"]:
        assert acts_at(run, GuardSettings()) is None


def test_all_recorded_curves_are_left_alone() -> None:
    """Rates and weights of these runs are up to ten times too small and too large."""
    runs = [
        [(row["images_seen"], row["stage"], recorded_metrics(row)) for row in rows]
        for rows in recorded_runs()
    ]
    assert len(runs) == 54
    assert [acts_at(run, GuardSettings()) for run in runs] == [None] * 54
    # Not for want of something to look at: with less patience they would not all be.
    hasty = GuardSettings(discriminator_at_chance=ChanceGuard(within=0.2, patience=2))
    assert any(acts_at(run, hasty) for run in runs)


def test_runs_that_were_made_sick_are_ended() -> None:
    sick = RUNS["sick"]
    assert acts_at(sick["divergence"], GuardSettings()) == (2304, "divergence")
    at_chance = acts_at(sick["discriminator_at_chance"], GuardSettings())
    assert at_chance == (1280, "discriminator_at_chance")


def test_a_generator_that_wins_is_ended_by_a_threshold_above_its_loss() -> None:
    # Against a discriminator that hardly learns its loss ends at a third, not at zero.
    run = RUNS["sick"]["generator_wins"]
    assert acts_at(run, GuardSettings()) is None
    wider = GuardSettings(adversarial_loss_zero=ZeroLossGuard(below=0.4))
    assert acts_at(run, wider) == (1024, "adversarial_loss_zero")
