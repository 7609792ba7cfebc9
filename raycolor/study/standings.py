"""Who stood where: the values of all trials at one image count, which alone can be compared."""

import math

from raycolor.plan import Plan
from raycolor.study.records import Reported
from raycolor.study.state import StudyState, TrialState


def report_at(trial: TrialState, plan: Plan, images: int) -> Reported | None:
    """Return the report by which a trial is compared at an image count, or None.

    On a rung that is the one with which the trial stands there, which comes later if its
    pretraining took longer. One that is not compared there, since it was in its pretraining, has
    none: its score tells of the pretraining alone, and others have the same.
    """
    for report in trial.reports:
        if report.decision.rung == images:
            return report
    first = next(iter(plan.comparison_points(plan.pretraining_of(trial.chosen))), 0)
    if images in plan.rungs and images < first:
        return None
    for report in trial.reports:
        if report.images_seen == images:
            return report
    return None


def values_at(state: StudyState, plan: Plan, images: int) -> dict[int, float]:
    """Return the objective of every trial that is compared at an image count.

    Args:
        state: of the study.
        plan: of the study; its objective ranks trials, lower is better.
        images: the image count.

    Returns:
        Finite values by the trials' numbers.
    """
    values = {}
    for trial in state.trials:
        report = report_at(trial, plan, images)
        if report is not None:
            value = report.metrics.get(plan.objective, math.nan)
            if math.isfinite(value):
                values[trial.number] = value
    return values


def where_compared(state: StudyState, plan: Plan, images: int) -> str:
    """Say at which image counts the values of `values_at` were taken."""
    reports = [report_at(trial, plan, images) for trial in state.trials]
    latest = max((report.images_seen for report in reports if report), default=images)
    if latest == images:
        return f"at {images:,} images"
    return (
        f"on the rung of {images:,} images, where those that pretrain stand with up to {latest:,}"
    )


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
    return [p for p in points if len(values_at(state, plan, p)) >= least]
