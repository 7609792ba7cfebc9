"""Some workers that run an arm's trials in simulated time, and what that costs until when."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from arms import Arm, Run
from curves import OBJECTIVE, Point, prefix, pretrained


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a search has cost and found when a report comes in."""

    images: float
    """Training images of all workers so far, those of reports on their way included in part."""
    core_seconds: float
    """Training and evaluation, likewise."""
    clock_s: float
    """Of the simulation."""
    best: float
    """Lowest objective so far; infinite before the first."""


@dataclass(slots=True, kw_only=True)
class _Step:
    """A worker's way to its trial's next report."""

    run: Run
    point: Point
    begun: float
    ended: float
    images: int


def simulate(
    arm: Arm,
    *,
    workers: int,
    shared: bool,
    enough: Callable[[Moment], bool] = lambda _: False,
) -> list[Moment]:
    """Run an arm to its end.

    Args:
        arm: the search; used up by this.
        workers: trials at once; each takes what its report took of one core.
        shared: whether a pretraining that another trial has reported is taken over. The reports of
            that prefix are repeated at no cost: a prefix trained anew would give the same bits.
        enough: ends the search before.

    Returns:
        One moment a report.
    """
    clock, images, seconds, best = 0.0, 0, 0.0, math.inf
    order = count()
    published: dict[tuple[object, ...], int] = {}
    running: list[tuple[float, int, _Step]] = []
    moments: list[Moment] = []
    inherited: dict[int, int] = {}

    def begin(run: Run) -> None:
        point = run.curve.points[run.place]
        before = run.curve.points[run.place - 1].images if run.place else 0
        free = shared and point.images <= inherited.get(run.number, 0)
        step = _Step(
            run=run,
            point=point,
            begun=clock,
            ended=clock + (0.0 if free else point.seconds),
            images=0 if free else point.images - before,
        )
        heapq.heappush(running, (step.ended, next(order), step))

    while True:
        while len(running) < workers and (run := arm.ask()) is not None:
            if run.place == 0 and (own := pretrained(run.curve)):
                # The longest that is not longer than its own.
                found = published.get(prefix(run.curve), 0)
                inherited[run.number] = min(found, own[-1].images)
            begin(run)
        if not running:
            return moments
        clock, _, step = heapq.heappop(running)
        run = step.run
        run.place += 1
        images += step.images
        seconds += step.ended - step.begun
        if step.point.stage == "pretraining":
            known = prefix(run.curve)
            published[known] = max(published.get(known, 0), step.point.images)
        value = step.point.metrics.get(OBJECTIVE, math.nan)
        best = min(best, value) if math.isfinite(value) else best
        under_way = [(other, _part(other, clock)) for _, _, other in running]
        moments.append(
            Moment(
                images=images + sum(part * other.images for other, part in under_way),
                core_seconds=seconds
                + sum(part * (other.ended - other.begun) for other, part in under_way),
                clock_s=clock,
                best=best,
            )
        )
        if enough(moments[-1]):
            return moments
        if arm.report(run, step.point) and run.place < len(run.curve.points):
            begin(run)


def _part(step: _Step, clock: float) -> float:
    """Share of a step that is done."""
    span = step.ended - step.begun
    return (clock - step.begun) / span if span > 0 else 1.0
