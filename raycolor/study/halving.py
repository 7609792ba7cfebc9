"""Asynchronous successive halving, the stopping kind.

Decides as Ray's AsyncHyperBandScheduler with one bracket wherever every value is a number (a
property test holds it to that), and counts a value that is not as the worst of its rung, or of the
next one between rungs, where Ray would let the trial run to its end. Source: Li et al. 2020, "A
System for Massively Parallel Hyperparameter Tuning", algorithm 2, in the variant that stops trials
instead of pausing them.
"""

import math
from collections.abc import Sequence

import numpy as np

from raycolor.study.records import Decision

WORST = 1e300
"""Stands for infinity in percentiles, which cannot interpolate towards it."""


class Halving:
    """The rungs and who stands on them; a pure function of the reports in their order.

    A trial that arrives at a rung is compared with those that were there before: it goes on if its
    value is no worse than their percentile 100 / reduction, and the first always goes on.

    The percentile interpolates between two neighbours, as Ray's does. So the scale of the metric
    counts a little: for a value between those two another one, as its logarithm, may decide
    otherwise; for all other values only their order counts. A shift or a stretch changes nothing.
    """

    def __init__(self, rungs: Sequence[int], reduction: int, end: int) -> None:
        """Set up empty rungs.

        Args:
            rungs: image counts, ascending; none for no halving.
            reduction: about one in this many survives a rung.
            end: image count of a whole trial.
        """
        self._rungs: dict[int, dict[int, float]] = {
            rung: {} for rung in sorted(rungs, reverse=True)
        }
        self._late: set[int] = set()
        """Trials that are not compared from the beginning on: some rungs are behind them."""
        self._faulty: dict[int, int] = {}
        """Rung on which a fault put a late trial that stood on none."""
        self._reduction = reduction
        self._end = end

    def extend(self, rungs: Sequence[int], end: int) -> None:
        """Let trials train longer.

        Args:
            rungs: of the longer trials, ascending; who stands on the old ones stays there.
            end: image count of a whole trial from here on.
        """
        self._rungs = {rung: self._rungs.get(rung, {}) for rung in sorted(rungs, reverse=True)}
        self._end = end

    def note_reopened(self, number: int, images_seen: int) -> None:
        """Take a trial that goes on after all off the rungs that it had not reached."""
        fallen = self._faulty.pop(number, None)
        for rung, there in self._rungs.items():
            if rung > images_seen or rung == fallen:
                there.pop(number, None)

    def decide(self, number: int, images_seen: int, value: float, *, first: int = 0) -> Decision:
        """Decide on a report, and take note of it.

        Args:
            number: the trial's.
            images_seen: at the report.
            value: of the objective, lower is better; NaN counts as infinite.
            first: image count from which on it is compared with others, then at first on the
                highest rung that it has reached, and never on those below; 0 for all rungs.
        """
        if first:
            self._late.add(number)
        sick, compared = not math.isfinite(value), images_seen >= first
        value = math.inf if sick else value
        rung, cutoff, standing = self._arrive(number, images_seen if compared else 0, value)
        seen = f"{images_seen:,} images"
        if sick:
            if rung is None:
                self.note_fault(number, images_seen, first=first)
            return Decision(
                action="prune",
                reason=f"the objective is not a finite number at {seen}",
                rung=rung,
                value=value,
                cutoff=cutoff,
                standing=standing,
            )
        if images_seen >= self._end:
            return Decision(
                action="end",
                reason=f"trained to its end, {seen}",
                rung=rung,
                value=value,
                cutoff=cutoff,
                standing=standing,
            )
        if rung is None:
            reason = "between rungs" if compared else "too soon after its pretraining to compare"
            return Decision(action="go_on", reason=reason, value=value)
        if cutoff is None:
            return Decision(
                action="go_on",
                reason=f"first at rung {rung:,}",
                rung=rung,
                value=value,
                standing=standing,
            )
        worse = value > cutoff
        relation = "above" if worse else "not above"
        others = "1 trial" if standing == 1 else f"{standing} trials"
        return Decision(
            action="prune" if worse else "go_on",
            reason=f"{value:.4g} is {relation} the cutoff {cutoff:.4g} of {others} "
            f"at rung {rung:,}",
            rung=rung,
            value=value,
            cutoff=cutoff,
            standing=standing,
        )

    def note_fault(self, number: int, images_seen: int, *, first: int = 0) -> None:
        """Count a trial that failed as the worst of the next rung that it would have stood on.

        Args:
            number: the trial's.
            images_seen: at the fault.
            first: as in `decide`.
        """
        if first and not any(number in there for there in self._rungs.values()):
            rung = max((rung for rung in self._rungs if rung <= max(images_seen, first)), default=0)
            self._faulty[number] = rung
        else:
            ahead = [
                rung
                for rung, there in self._rungs.items()
                if number not in there and rung >= images_seen
            ]
            rung = min(ahead, default=0)
        if rung:
            self._rungs[rung][number] = math.inf

    def _arrive(
        self, number: int, images_seen: int, value: float
    ) -> tuple[int | None, float | None, int | None]:
        """Put a trial on the highest rung that it has reached and does not stand on."""
        for rung, there in self._rungs.items():
            if number in there and number in self._late:
                break
            if images_seen < rung or number in there:
                continue
            standing = len(there)
            cutoff = _cutoff(list(there.values()), self._reduction)
            there[number] = value
            return rung, cutoff, standing
        return None, None, None


def _cutoff(values: Sequence[float], reduction: int) -> float | None:
    """Percentile of the values that a newcomer must not exceed; None if there are none."""
    if not values:
        return None
    # Negated, so that rounding is the same as where higher is better.
    scores = -np.minimum(values, WORST)
    cutoff = -float(np.percentile(scores, (1 - 1 / reduction) * 100))
    return math.inf if cutoff > WORST / 1e9 else cutoff
