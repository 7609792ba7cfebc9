"""Confirmation: the best configurations again with other seeds, and who wins then.

The lowest of many noisy scores flatters its trial. So the best few configurations train again to
the full budget with seeds that nothing was chosen by, never pruned; their mean is what is compared,
and their spread says whether the winner is clear. Only then is the test split looked at, once.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np

from raycolor.plan import Plan
from raycolor.study.state import StudyState, TrialState

SURE = 0.05
"""Probability of chance below which a winner is `clear`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """One configuration with several seeds."""

    number: int
    """Of the searched trial that it comes from."""
    trials: tuple[TrialState, ...]
    """Its confirming trials that have ended, in their order."""
    scores: tuple[float, ...]
    """Of each, the objective; infinite for one that did not train to its end."""

    @property
    def mean(self) -> float:
        """Mean score; infinite if a seed failed, since a user would meet that too."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """Standard deviation of the scores; NaN with fewer than two."""
        finite = [score for score in self.scores if math.isfinite(score)]
        return float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan


def wanted(state: StudyState, plan: Plan) -> list[tuple[TrialState, int]]:
    """Return the confirming trials that a study needs, as (searched trial, which of its seeds).

    Args:
        state: of the study; all trials of its search have ended.
        plan: of the study.

    Returns:
        Those that do not exist yet, the best configuration first; empty if the plan confirms
        nothing.
    """
    settings = plan.space.study.confirm
    if settings.top is None:
        return []
    missing = []
    for trial in contenders(state, plan):
        there = sum(_counts(other, trial.number, plan) for other in state.trials)
        missing += [(trial, place) for place in range(there, settings.seeds)]
    # One seed of each first: a study that is stopped has compared all of them.
    return sorted(missing, key=lambda item: item[1])


def contenders(state: StudyState, plan: Plan) -> list[TrialState]:
    """Return the trials of the search whose configurations are confirmed, best first."""
    settings = plan.space.study.confirm
    if settings.top is None:
        return []
    complete = [
        trial
        for trial in state.searched
        if trial.status == "completed" and math.isfinite(trial.best(plan.objective))
    ]
    complete.sort(key=lambda trial: (trial.best(plan.objective), trial.number))
    return complete[: settings.top]


def confirmed(state: StudyState, plan: Plan) -> list[Confirmed]:
    """Return the configurations that have confirming trials that ended, best mean first."""
    found = []
    for trial in contenders(state, plan):
        ended = tuple(
            other
            for other in state.trials
            if _counts(other, trial.number, plan) and other.status != "open"
        )
        if ended:
            scores = tuple(
                other.best(plan.objective) if other.status == "completed" else math.inf
                for other in ended
            )
            found.append(Confirmed(number=trial.number, trials=ended, scores=scores))
    return sorted(found, key=lambda item: (item.mean, item.number))


def _counts(trial: TrialState, number: int, plan: Plan) -> bool:
    """Tell whether a trial confirms a configuration at the budget of today."""
    stale = (
        trial.status == "pruned"
        and trial.images_seen < plan.base.budget.images
        and (not trial.reports or trial.reports[-1].decision.action == "end")
    )
    return trial.confirms == number and not stale


def is_confirmed(state: StudyState, plan: Plan) -> bool:
    """Tell whether every confirming trial that the plan wants has ended."""
    return not wanted(state, plan) and all(
        trial.status != "open" for trial in state.trials if trial.phase == "confirm"
    )


def winner(state: StudyState, plan: Plan) -> TrialState | None:
    """Return the trial whose generator is the study's answer.

    Returns:
        After confirmation the best seed of the configuration with the best mean; before, the trial
        with the best score; None before the first.
    """
    if is_confirmed(state, plan) and (found := confirmed(state, plan)):
        best = found[0]
        pairs = list(zip(best.scores, best.trials, strict=True))
        score, trial = min(pairs, key=lambda pair: (pair[0], pair[1].number))
        if math.isfinite(score):
            return trial
    return state.best_trial(plan.objective)


def _chance(best: Confirmed, second: Confirmed) -> float:
    """Probability of so large a lead of one configuration if its scores are as the other's."""
    from scipy.stats import ttest_ind

    if max(best.spread, second.spread) <= 1e-9 * abs(second.mean):
        # Without any spread the test has nothing to divide by.
        return 0.0 if best.mean < second.mean else 1.0
    with warnings.catch_warnings():
        # Of seeds that are nearly equal: what the test says of them is right enough.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = ttest_ind(best.scores, second.scores, equal_var=False, alternative="less")
    return float(test.pvalue)


def verdict(found: list[Confirmed]) -> str:
    """Say whether the winner is clear or tied.

    Compares the two best by Welch's t-test of their seeds' scores, one-sided.

    Args:
        found: as `confirmed` returns it.
    """
    if not found:
        return "Nothing has been confirmed yet."
    best = found[0]
    text = (
        f"With {len(best.scores)} other seeds the configuration of trial {best.number} has a mean "
        f"of {best.mean:.2f}"
    )
    if math.isfinite(best.spread):
        text += f" (standard deviation {best.spread:.2f})"
    if len(found) == 1:
        return f"{text}; no other was confirmed."
    second = found[1]
    text += f"; next is that of trial {second.number} with {second.mean:.2f}."
    if min(len(best.scores), len(second.scores)) < 2:
        return f"{text} One seed each does not tell a clear winner from a tie."
    if not math.isfinite(second.mean):
        return f"{text} The winner is clear: a seed of the next did not train to its end."
    chance = _chance(best, second)
    if chance > SURE:
        return f"{text} Their seeds overlap: take the two as tied (chance {chance:.2f})."
    return f"{text} The winner is clear (chance {chance:.3f})."
