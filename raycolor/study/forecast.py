"""How long a study will still take: measured speeds, and the survival at the rungs so far.

Networks differ in speed several times, so images are weighed by the seconds that one took with
its backbone, or its kind where it has none, and its kind of losses, evaluation included. How many
trials run at once follows from how much of their time passed in how much of ours. Images that a
trial took over from another cost nothing and tell nothing; what is to come is taken to be trained.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from statistics import fmean

from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar, combinations
from raycolor.study.confirmation import contenders, wanted
from raycolor.study.state import StudyState, TrialState


def survival(state: StudyState, plan: Plan) -> dict[int, float]:
    """Estimate the probability that a trial which heads for a rung goes on beyond it.

    (went on + 1) / (came + reduction): what was seen, and `reduction` imagined trials of which one
    went on. So it begins at 1 / reduction, which halving aims at, and after some times as many
    trials it is their share: above it where the searcher finds ever better ones, below it where
    many diverge. The imagined ones also keep the first trial at a rung, which always goes on, from
    making it 1. Who was stopped or failed on the way counts as one that came, as halving counts it.

    Args:
        state: of the study.
        plan: of the study.

    Returns:
        The probability by the rung.
    """
    reduction, before = plan.space.study.scheduler.reduction, 0
    found = {}
    for rung in plan.rungs:
        went_on = state.survivors[rung]
        ended = sum(n for images, n in state.stopped.items() if before < images <= rung)
        found[rung] = (went_on + 1) / (went_on + ended + reduction)
        before = rung
    return found


def expected_images(
    plan: Plan,
    images_seen: int = 0,
    *,
    survives: Mapping[int, float] | None = None,
    pretraining: int = 0,
) -> float:
    """Expected training images of a trial from some image count on.

    Args:
        plan: of the study.
        images_seen: that count.
        survives: probability to go on at each rung; 1 / reduction if not given.
        pretraining: length of the trial's in images, on which depends where it is compared.
    """
    end = plan.base.budget.images
    expected, alive, position = 0.0, 1.0, images_seen
    for point in plan.comparison_points(pretraining):
        if images_seen < point < end:
            expected += alive * (point - position)
            rung = max(rung for rung in plan.rungs if rung <= point)
            alive *= survives[rung] if survives else 1 / plan.space.study.scheduler.reduction
            position = point
    return expected + alive * (end - position)


def remaining_trial_seconds(state: StudyState, plan: Plan) -> float | None:
    """Expected seconds of trials until the study is finished, or None before any was measured."""
    systems = [_system(trial.chosen, plan) for trial in state.trials]
    speeds = _speeds(state.trials, systems)
    if not speeds:
        return None
    # What no trial has measured is taken to be as the others.
    typical = fmean(speeds[system] for system in systems if system in speeds)

    def speed(chosen: Mapping[str, Scalar]) -> float:
        return speeds.get(_system(chosen, plan), typical)

    survives, end = survival(state, plan), plan.base.budget.images
    seconds = 0.0
    for trial in state.trials:
        if trial.status == "open":
            left = float(end - trial.images_seen)
            if trial.phase == "search":
                left = expected_images(
                    plan,
                    trial.images_seen,
                    survives=survives,
                    pretraining=plan.pretraining_of(trial.chosen),
                )
            seconds += left * speed(trial.chosen)
    searched = state.searched
    missing = max(0, plan.trials - len(searched))
    if missing:
        kinds = _coming(searched, systems, plan)
        costs = [
            number
            * speeds.get(system, typical)
            * expected_images(plan, survives=survives, pretraining=pretraining)
            for (system, pretraining), number in kinds.items()
        ]
        seconds += missing * sum(costs) / kinds.total()
    return seconds + _confirming_seconds(state, plan, speed, typical, missing)


def _coming(
    searched: Sequence[TrialState], systems: Sequence[str], plan: Plan
) -> Counter[tuple[str, int]]:
    """Count the trials to come by system and by the length of their pretraining.

    A grid has its order. Another searcher draws: what it drew so far stands for what it will, and
    so what it prefers by now counts for more.
    """
    if plan.space.study.searcher.kind == "grid":
        left = islice(combinations(plan.space.search), len(searched), plan.trials)
        if known := Counter((_system(one, plan), plan.pretraining_of(one)) for one in left):
            return known
    if plan.space.study.scheduler.compare_in_pretraining:
        return Counter((systems[trial.number], 0) for trial in searched)
    return Counter((systems[trial.number], plan.pretraining_of(trial.chosen)) for trial in searched)


def _confirming_seconds(
    state: StudyState,
    plan: Plan,
    speed: Callable[[Mapping[str, Scalar]], float],
    typical: float,
    missing: int,
) -> float:
    """Seconds of confirming trials that have not begun.

    Before the search has ended the best of those that have are taken for those that it will find.
    """
    confirm, end = plan.space.study.confirm, plan.base.budget.images
    if confirm.top is None:
        return 0.0
    if missing or any(trial.status == "open" for trial in state.searched):
        best = [speed(trial.chosen) for trial in contenders(state, plan)]
        return plan.confirming_cost() * (fmean(best) if best else typical)
    return end * sum(speed(trial.chosen) for trial, _ in wanted(state, plan))


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
    return _speeds(state.trials, [_system(trial.chosen, plan) for trial in state.trials])


def _speeds(trials: Sequence[TrialState], systems: Sequence[str]) -> dict[str, float]:
    """Return seconds an image by system, of trials whose systems are known."""
    images: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for trial, system in zip(trials, systems, strict=True):
        images[system] += trial.images_trained
        seconds[system] = seconds.get(system, 0.0) + trial.seconds
    return {
        system: seconds[system] / number
        for system, number in images.items()
        if number and seconds[system] > 0
    }


def total_seconds(state: StudyState) -> float:
    """Seconds of all trials so far, which ran side by side."""
    return state.trial_seconds


def _system(chosen: Mapping[str, Scalar], plan: Plan) -> str:
    """Name the backbone of a generator, or its kind where it has none, and its losses."""
    losses = str(chosen.get("losses.kind", plan.base.losses.kind))
    kind = chosen.get("generator.kind", plan.base.generator.kind)
    if kind == "unet":
        kind = chosen.get("generator.backbone", plan.base.generator.backbone)
    return str(kind) if losses == "l1_gan" else f"{kind}, {losses}"
