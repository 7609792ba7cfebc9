"""What a study has spent, and whether that is all it may."""

from dataclasses import dataclass
from typing import Literal

from raycolor.plan import Plan
from raycolor.study.state import StudyState, TrialState

Limit = Literal["gpu_hours", "max_cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What the trials of a study took, over all its sessions, as far as they have reported."""

    trial_hours: float
    """Training and evaluation, added up over trials that ran side by side."""
    gpu_hours: float
    """The same times the GPUs of a trial, which are whole once it runs alone."""
    cost: float | None
    """In the currency of the plan's price; None without one."""


def spending(state: StudyState, plan: Plan, *, gpus: float) -> Spending:
    """Add up what a study has spent.

    Args:
        state: of the study.
        plan: of the study.
        gpus: of one trial; 0 without.
    """
    hours = state.trial_seconds / 3600
    alone = sum(_more_alone(trial, gpus) for trial in state.trials if trial.faults)
    gpu_hours = (state.trial_seconds * gpus + alone) / 3600
    price = plan.space.study.resources.price_per_hour
    priced = gpu_hours if gpus else hours
    return Spending(
        trial_hours=hours,
        gpu_hours=gpu_hours,
        cost=None if price is None else priced * price,
    )


def gpus_alone(gpus: float) -> float:
    """Return the GPUs of a trial that runs alone, where the others have `gpus`."""
    return max(1.0, gpus) if gpus else 0.0


def _more_alone(trial: TrialState, gpus: float) -> float:
    """Return the GPU seconds that a trial had beyond its share, since it ran alone."""
    if trial.shortage is None:
        return 0.0
    shared = min(trial.seconds, trial.seconds_until(trial.shortage.images_seen))
    return (trial.seconds - shared) * (gpus_alone(gpus) - gpus)


def limit_reached(state: StudyState, plan: Plan, *, gpus: float) -> Limit | None:
    """Tell which of the plan's limits a study has reached, if any."""
    spent = spending(state, plan, gpus=gpus)
    if plan.gpu_hours is not None and spent.gpu_hours >= plan.gpu_hours:
        return "gpu_hours"
    if plan.max_cost is not None and spent.cost is not None and spent.cost >= plan.max_cost:
        return "max_cost"
    return None
