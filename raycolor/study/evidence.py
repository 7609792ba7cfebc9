"""How sure a study's answer is: the noise of its scores, and how well early ones foretell late."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raycolor.plan import Plan
from raycolor.study.standings import values_at
from raycolor.study.state import StudyState

LEAST_PAIRS = 5
"""Pairs of reports, or of trials, below which a spread or a correlation says nothing."""
ROUNDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The best trial against the second."""

    best: float
    second: float
    step: float | None
    """Median change of the score between two successive reports of one trial in the second half of
    its run: how much a score depends on the moment. None where too few reports tell."""

    @property
    def verdict(self) -> str:
        """In words."""
        gap = self.second - self.best
        if self.step is None:
            return (
                f"The best is {gap:.1f} ahead of the second; too few reports tell how much of "
                "that is noise."
            )
        differ = (
            f"Successive reports of one trial differ by {self.step:.1f} (median, second half of "
            "its run)"
        )
        if gap < self.step:
            return f"The best is {gap:.1f} ahead of the second. {differ}: take the two as tied."
        return (
            f"The best is {gap:.1f} ahead of the second. {differ}, so the lead is more than one "
            "moment's luck; whether another seed keeps it is not known."
        )


def lead(state: StudyState, plan: Plan) -> Lead | None:
    """Compare the two best trials; None with fewer than two."""
    bests = sorted(
        best for trial in state.trials if math.isfinite(best := trial.best(plan.objective))
    )
    if len(bests) < 2:
        return None
    return Lead(best=bests[0], second=bests[1], step=_step(state, plan))


def _step(state: StudyState, plan: Plan) -> float | None:
    key = plan.base.fid_key
    half = plan.base.budget.images / 2
    steps = [
        abs(after.metrics.get(key, math.nan) - before.metrics.get(key, math.nan))
        for trial in state.trials
        for before, after in pairwise(trial.reports)
        if before.images_seen >= half
    ]
    steps = [step for step in steps if math.isfinite(step)]
    return float(np.median(steps)) if len(steps) >= LEAST_PAIRS else None


def arrival_luck(state: StudyState, plan: Plan) -> str:
    """Say how many trials were pruned by few others; empty where none was.

    The first at a rung always goes on, and the next few are compared with too few for a share of
    one in `reduction`: whoever came first among them decided.
    """
    reduction = plan.space.study.scheduler.reduction
    pruned = [
        trial.reports[-1].decision
        for trial in state.searched
        if trial.status == "pruned" and trial.reports and trial.reports[-1].decision.cutoff
    ]
    early = sum((decision.standing or 0) < reduction for decision in pruned)
    if not early:
        return ""
    return (
        f"{early} of {len(pruned)} pruned trials were compared with fewer than {reduction} others: "
        "in another order of arrival some of them might have gone on. A later first rung, or more "
        "trials, makes that matter less; --revive takes one up again."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCorrelation:
    """What the order of the trials at a rung says about their order at the end."""

    images: int
    num_trials: int
    """Trials with a value at both."""
    spearman: float
    """Rank correlation, -1 to 1; 1 where the order stays."""
    low: float
    high: float
    """Between these it lies in 90 % of draws of the trials with replacement."""


def rank_correlations(state: StudyState, plan: Plan, *, seed: int = 0) -> list[RankCorrelation]:
    """Compare each rung before the end with the end.

    Pruned trials have no end: what is left are the survivors, among which the order is less clear
    than among all. A study without pruning (`study.scheduler.kind: none`) tells the whole truth;
    its report points stand in for the rungs.

    Args:
        state: of the study.
        plan: of the study.
        seed: of the draws.

    Returns:
        One a rung that at least `LEAST_PAIRS` finished trials have passed.
    """
    from scipy.stats import spearmanr

    end = plan.base.budget.images
    points = plan.rungs or range(plan.base.budget.report_every, end, plan.base.budget.report_every)
    final = values_at(state, plan, end)
    rng = np.random.default_rng([seed, end])
    result = []
    for images in points:
        early = values_at(state, plan, images)
        common = sorted(early.keys() & final.keys())
        if images >= end or len(common) < LEAST_PAIRS:
            continue
        pairs = np.array([(early[number], final[number]) for number in common])
        if np.ptp(pairs, axis=0).min() == 0:
            continue
        draws = []
        for _ in range(ROUNDS):
            drawn = pairs[rng.integers(len(pairs), size=len(pairs))]
            if np.ptp(drawn, axis=0).min() > 0:
                draws.append(float(spearmanr(*drawn.T).statistic))
        low, high = np.percentile(draws, (5, 95))
        result.append(
            RankCorrelation(
                images=images,
                num_trials=len(common),
                spearman=float(spearmanr(*pairs.T).statistic),
                low=float(low),
                high=float(high),
            )
        )
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a study took, over all its trials."""

    images: int
    """Training images."""
    images_inherited: int
    """Further images of pretraining that were taken over from runs that had trained them."""
    seconds_inherited: float
    """What training and evaluating them took those runs."""
    share_of_full: float
    """Of what the same trials would have taken without pruning and sharing, 0 to 1."""
    train_seconds: float
    evaluate_seconds: float
    """Seconds of trials, which run side by side."""
    wall_seconds: float
    """From each session's first record to its last."""
    peak_gpu_gib: float
    """Largest memory of one trial on a GPU; 0 without one."""


def cost(state: StudyState, plan: Plan) -> Cost:
    """Add up what the trials of a study took."""
    last = [trial.last_metrics for trial in state.trials if trial.reports]
    images = sum(trial.images_trained for trial in state.trials)
    # What waits is not saved: only a trial that has ended would have gone on without pruning.
    full = sum(
        trial.images_seen if trial.status == "open" else plan.base.budget.images
        for trial in state.trials
    )
    return Cost(
        images=images,
        images_inherited=sum(trial.images_inherited for trial in state.trials),
        seconds_inherited=math.fsum(trial.seconds_inherited for trial in state.trials),
        share_of_full=images / full if full else 0.0,
        train_seconds=math.fsum(metrics.get("train_seconds", 0.0) for metrics in last),
        evaluate_seconds=math.fsum(metrics.get("evaluate_seconds", 0.0) for metrics in last),
        wall_seconds=state.wall_seconds,
        peak_gpu_gib=max((metrics.get("peak_gpu_gib", 0.0) for metrics in last), default=0.0),
    )
