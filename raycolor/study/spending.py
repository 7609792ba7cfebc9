"""What a study has spent, and whether that is all it may."""

from dataclasses import dataclass
from typing import Literal

from raycolor.plan import Plan
from raycolor.study.state import StudyState

Limit = Literal["gpu_hours", "max_cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What the trials of a study took, over all its sessions, as far as they have reported."""

    trial_hours: float
    """Training and evaluation, added up over trials that ran side by side."""
    gpu_hours: float
    """The same times the GPUs of a trial."""
    cost: float | None
    """In the currency of the plan's price; None without one."""


def spending(state: StudyState, plan: Plan, *, gpus: float) -> Spending:
    """Add up what a study has spent.

    Args:
        state: of the study.
        plan: of the study.
        gpus: of one trial; 0 without.
    """
    seconds = sum(trial.seconds for trial in state.trials)
    hours = seconds / 3600
    price = plan.space.study.resources.price_per_hour
    priced = hours * gpus if gpus else hours
    return Spending(
        trial_hours=hours,
        gpu_hours=hours * gpus,
        cost=None if price is None else priced * price,
    )


def limit_reached(state: StudyState, plan: Plan, *, gpus: float) -> Limit | None:
    """Tell which of the plan's limits a study has reached, if any."""
    spent = spending(state, plan, gpus=gpus)
    if plan.gpu_hours is not None and spent.gpu_hours >= plan.gpu_hours:
        return "gpu_hours"
    if plan.max_cost is not None and spent.cost is not None and spent.cost >= plan.max_cost:
        return "max_cost"
    return None
