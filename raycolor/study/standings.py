"""Who stood where: the values of all trials at one image count, which alone can be compared."""

import math

from raycolor.plan import Plan
from raycolor.study.records import Reported
from raycolor.study.state import StudyState, TrialState


def report_at(trial: TrialState, images: int) -> Reported | None:
    """Return a trial's report at exactly this image count, or None."""
    for report in trial.reports:
        if report.images_seen == images:
            return report
    return None


def values_at(state: StudyState, objective: str, images: int) -> dict[int, float]:
    """Return the objective of every trial that reported at an image count.

    Args:
        state: of the study.
        objective: the metric that ranks trials, lower is better.
        images: the image count.

    Returns:
        Finite values by the trials' numbers.
    """
    values = {}
    for trial in state.trials:
        report = report_at(trial, images)
        if report is not None and math.isfinite(value := report.metrics.get(objective, math.nan)):
            values[trial.number] = value
    return values


def comparison_points(state: StudyState, plan: Plan, *, least: int) -> list[int]:
    """Return the image counts at which enough trials can be compared, fewest images first.

    Args:
        state: of the study.
        plan: of the study.
        least: trials that must have a value there.

    Returns:
        Of the rungs and the whole budget, those that `least` trials reached.
    """
    points = sorted({*plan.rungs, plan.base.budget.images})
    return [p for p in points if len(values_at(state, plan.objective, p)) >= least]
