"""Guards: rules that end a sick trial before a rung would.

A guard looks at the reports of one trial, in their order, and at nothing else. It acts when what it
looks for stands in several successive reports: a single odd one is noise. Losses that are not
numbers end a trial at once, without a guard.

Where a loss has no threshold between real and fake (`wgan_gp`) there is no accuracy, and what looks
at it is silent. Where the generator's adversarial loss has no lowest value (`hinge`, `wgan_gp`),
nothing is won at zero, and the guard that looks for it is silent. Both are silent where there is no
adversarial stage.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raycolor.spaces.space import GuardSettings

WON_AT_ZERO = ("vanilla", "lsgan")
"""Adversarial losses of a generator that are 0 when it fools the discriminator, and never lower."""
SATURATED = 0.995
"""Accuracy from which on a discriminator counts as saturated: a warning, no guard, since training
goes on well with it for long."""
SATURATED_REPORTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sickness:
    """What a guard found."""

    guard: str
    """The guard's name in a space file."""
    reason: str
    """One sentence for people, with the numbers."""


def find_sickness(
    reports: Sequence[tuple[str, Mapping[str, float]]],
    settings: GuardSettings,
    fid_key: str,
    adversarial: str = "vanilla",
) -> Sickness | None:
    """Ask all guards about a trial.

    Args:
        reports: stage and metrics of each report so far, the newest last.
        settings: the guards of the study.
        fid_key: name of the Fréchet distance in reports.
        adversarial: name of the trial's adversarial loss.

    Returns:
        What the first guard found, or None for a healthy trial.
    """
    played = [metrics for stage, metrics in reports if stage == "adversarial"]
    distances = [metrics.get(fid_key, math.nan) for _, metrics in reports]
    guard = settings.divergence
    if guard.patience is not None:
        lowest = min((value for value in distances if math.isfinite(value)), default=math.inf)
        too_far = guard.factor * lowest
        if _lately(distances, guard.patience, lambda value: value > too_far):
            return Sickness(
                guard="divergence",
                reason=f"diverging: the distance was above {guard.factor:g} times the trial's own "
                f"lowest ({lowest:.4g}) in {guard.patience} successive reports, last "
                f"{distances[-1]:.4g}",
            )
    chance = settings.discriminator_at_chance
    if chance.patience is not None:
        accuracies = [metrics.get("discriminator_accuracy", math.nan) for metrics in played]
        # 0.52 - 0.5 is a little more than 0.02 in floating point.
        limit = chance.within + 1e-9
        if _lately(accuracies, chance.patience, lambda value: abs(value - 0.5) <= limit):
            return Sickness(
                guard="discriminator_at_chance",
                reason=f"the discriminator guesses: its accuracy was within {chance.within:g} of "
                f"0.5 in {chance.patience} successive reports, last {accuracies[-1]:.3f}",
            )
    zero = settings.adversarial_loss_zero
    if zero.patience is not None and adversarial in WON_AT_ZERO:
        losses = [metrics.get("generator_adversarial_loss", math.nan) for metrics in played]
        if _lately(losses, zero.patience, lambda value: value < zero.below):
            return Sickness(
                guard="adversarial_loss_zero",
                reason=f"the generator wins without a game: its adversarial loss was below "
                f"{zero.below:g} in {zero.patience} successive reports, last {losses[-1]:.3g}",
            )
    return None


def is_saturated(reports: Sequence[tuple[str, Mapping[str, float]]]) -> bool:
    """Tell whether a trial's discriminator has long told real and generated pictures apart."""
    accuracies = [
        metrics.get("discriminator_accuracy", math.nan)
        for stage, metrics in reports
        if stage == "adversarial"
    ]
    return _lately(accuracies, SATURATED_REPORTS, lambda value: value >= SATURATED)


def _lately(values: Sequence[float], number: int, found: Callable[[float], bool]) -> bool:
    """Tell whether the last `number` values are all there and all of a kind; NaN is of none."""
    last = values[-number:]
    return len(last) == number and all(found(value) for value in last)
