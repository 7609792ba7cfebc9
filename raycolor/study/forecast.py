"""How long a study will still take: measured speeds, and the survival that halving means.

Networks differ in speed several times, so images are weighed by the seconds that one took with
its backbone, or its kind where it has none, and its kind of losses, evaluation included. How many
trials run at once follows from how much of their time passed in how much of ours. Images that a
trial took over from another cost nothing and tell nothing; what is to come is taken to be trained.
"""

from statistics import fmean

from raycolor.plan import Plan
from raycolor.study.confirmation import wanted
from raycolor.study.state import StudyState, TrialState


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


def remaining_trial_seconds(state: StudyState, plan: Plan) -> float | None:
    """Expected seconds of trials until the study is finished, or None before any was measured."""
    speeds = seconds_per_image(state, plan)
    if not speeds:
        return None
    # What no trial has measured is taken to be as the others.
    systems = [_system(trial, plan) for trial in state.trials]
    typical = fmean(speeds[system] for system in systems if system in speeds)
    end = plan.base.budget.images
    seconds = 0.0
    for trial in state.trials:
        if trial.status == "open":
            left = float(end - trial.images_seen)
            if trial.phase == "search":
                left = expected_images(plan, trial.images_seen)
            seconds += left * speeds.get(_system(trial, plan), typical)
    missing = max(0, plan.trials - len(state.searched))
    seconds += missing * expected_images(plan) * typical
    return seconds + _confirming_images(state, plan, missing) * typical


def _confirming_images(state: StudyState, plan: Plan, missing: int) -> float:
    """Training images of confirming trials that have not begun."""
    confirm, end = plan.space.study.confirm, plan.base.budget.images
    if confirm.top is None:
        return 0.0
    if missing or any(trial.status == "open" for trial in state.searched):
        return float(plan.confirming_cost())
    return float(len(wanted(state, plan)) * end)


def remaining_seconds(
    state: StudyState, plan: Plan, *, seconds_before: float, elapsed_s: float
) -> float | None:
    """Expected seconds until the study is finished, or None before the first report.

    Args:
        state: of the study.
        plan: of the study.
        seconds_before: of all trials when this session began.
        elapsed_s: seconds since then.
    """
    worked = total_seconds(state) - seconds_before
    left = remaining_trial_seconds(state, plan)
    if left is None or worked <= 0 or elapsed_s <= 0:
        return None
    seconds = left * elapsed_s / worked
    if plan.time_budget_s is not None:
        seconds = min(seconds, max(0.0, plan.time_budget_s - elapsed_s))
    return seconds


def seconds_per_image(state: StudyState, plan: Plan) -> dict[str, float]:
    """Return seconds of training and evaluation an image by system, as far as measured.

    Systems are named by their backbone, and by their losses where these are not adversarial with
    L1: `scratch`, `scratch, l1`.
    """
    images: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for trial in state.trials:
        system = _system(trial, plan)
        images[system] = images.get(system, 0) + trial.images_trained
        seconds[system] = seconds.get(system, 0.0) + trial.seconds
    return {
        system: seconds[system] / number
        for system, number in images.items()
        if number and seconds[system] > 0
    }


def total_seconds(state: StudyState) -> float:
    """Seconds of all trials so far, which ran side by side."""
    return state.trial_seconds


def _system(trial: TrialState, plan: Plan) -> str:
    """Name the backbone of a trial's generator, or its kind where it has none, and its losses."""
    losses = str(trial.chosen.get("losses.kind", plan.base.losses.kind))
    kind = trial.chosen.get("generator.kind", plan.base.generator.kind)
    if kind == "unet":
        kind = trial.chosen.get("generator.backbone", plan.base.generator.backbone)
    return str(kind) if losses == "l1_gan" else f"{kind}, {losses}"
