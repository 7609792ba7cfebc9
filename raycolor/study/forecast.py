"""How long a study will still take, from its measured speed and the survival that halving means."""

from raycolor.plan import Plan
from raycolor.study.state import StudyState


def expected_images(plan: Plan, images_seen: int = 0) -> float:
    """Expected training images of a trial from some image count on.

    Each rung ahead is survived with probability 1 / reduction.
    """
    end = plan.base.budget.images
    expected, alive, position = 0.0, 1.0, images_seen
    for rung in plan.rungs:
        if images_seen < rung < end:
            expected += alive * (rung - position)
            alive /= plan.space.study.scheduler.reduction
            position = rung
    return expected + alive * (end - position)


def remaining_images(state: StudyState, plan: Plan) -> float:
    """Expected training images until the study is finished."""
    opened = sum(
        expected_images(plan, trial.images_seen) for trial in state.trials if trial.status == "open"
    )
    missing = max(0, plan.trials - len(state.trials))
    return opened + missing * expected_images(plan)


def remaining_seconds(
    state: StudyState, plan: Plan, *, images_before: int, elapsed_s: float
) -> float | None:
    """Expected seconds until the study is finished, or None before the first report.

    Args:
        state: of the study.
        plan: of the study.
        images_before: images of all trials when this session began.
        elapsed_s: seconds since then.
    """
    images = total_images(state) - images_before
    if images <= 0 or elapsed_s <= 0:
        return None
    seconds = remaining_images(state, plan) * elapsed_s / images
    if plan.time_budget_s is not None:
        seconds = min(seconds, max(0.0, plan.time_budget_s - elapsed_s))
    return seconds


def total_images(state: StudyState) -> int:
    """Training images of all trials so far."""
    return sum(trial.images_seen for trial in state.trials)
