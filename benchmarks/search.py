"""How much compute a search needs until it is as good as random search ends, on recorded curves.

    python benchmarks/search.py [--seeds 100] [--out search.json]

Every arm draws from the curves of `record_curves.py` as if it trained: 40 trials on four workers
in simulated time, smallest rung 1/27 of the budget. The score to reach is the median, over
the seeds, of the best that random search without pruning has after its 40 whole runs. A search that
never reaches it counts as infinitely dear. In the second table the score is what random search has
after a quarter of that compute; in the third the arms that prune have no end of trials: they go on
until they are there, or have spent what random search spends. Arms of raycolor are called by the
settings that are not the default: `study.scheduler.compare_in_pretraining: true`,
`study.searcher.repeats: true`, `study.searcher.kind: random`. From the JSON
`tools/make_search_figure.py` draws the best score over compute.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arms import new_arm
from curves import Grid, read_grid
from record_curves import CURVES, TABLE, grid_plan
from simulated import Moment, simulate
from told import tell

from raycolor.environment import describe_environment
from raycolor.plan import Plan

TRIALS, WORKERS, ENDLESS = 40, 4, 4000
RANDOM = "random"
SHARED = "raycolor, shared stages"
KEPT = (2, 4, 8, 13)
ARMS = (
    RANDOM,
    *(f"one rung, best {kept}" for kept in KEPT),
    "stock",
    "raycolor",
    SHARED,
    "raycolor, with repeats, shared stages",
    "raycolor, compared in pretraining, shared stages",
    "raycolor, random suggestions, shared stages",
)
COLUMNS = (
    "search",
    "images to the score, in whole runs",
    "core-seconds",
    "never",
    "runs in all",
    "best in the end",
)
GOING_ON = ("stock", SHARED, "raycolor, compared in pretraining, shared stages")
QUARTER = TRIALS / 4
"""Whole runs after which random search gives a second, milder score to reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What came of one arm with one seed."""

    moments: list[Moment]

    @property
    def best(self) -> float:
        """Lowest objective of all."""
        return self.moments[-1].best

    def cost(self, target: float, measure: str) -> float:
        """Compute until a score is reached; infinite if it never is.

        Args:
            target: the score.
            measure: `images` or `core_seconds`.
        """
        for moment in self.moments:
            if moment.best <= target:
                return float(getattr(moment, measure))
        return math.inf


def search(
    name: str,
    grid: Grid,
    plan: Plan,
    seed: int,
    *,
    trials: int = TRIALS,
    enough: Callable[[Moment], bool] = lambda _: False,
) -> Search:
    """Run one arm with one seed."""
    kind = name.removesuffix(", shared stages")
    arm = new_arm(kind, grid, plan, trials=trials, seed=seed)
    return Search(moments=simulate(arm, workers=WORKERS, shared=kind != name, enough=enough))


def summary(found: Sequence[Search], targets: Sequence[float], grid: Grid) -> dict[str, Any]:
    """Sum up an arm.

    Args:
        found: one search a seed.
        targets: the score that each has to reach.
        grid: the curves.
    """
    result: dict[str, Any] = {"best": _quartiles([one.best for one in found])}
    for measure in ("images", "core_seconds"):
        costs = [one.cost(target, measure) for one, target in zip(found, targets, strict=True)]
        result[measure] = _quartiles(costs)
        result[f"{measure}_in_all"] = _quartiles(
            [float(getattr(one.moments[-1], measure)) for one in found]
        )
    costs = [one.cost(target, "images") for one, target in zip(found, targets, strict=True)]
    result["runs"] = [None if c is None else c / grid.budget for c in result["images"]]
    result["runs_in_all"] = [c / grid.budget for c in result["images_in_all"]]
    result["never"] = sum(map(math.isinf, costs)) / len(costs)
    return result


def _quartiles(values: Sequence[float]) -> list[float | None]:
    """Lower quartile, median, upper quartile, each a value that occurs; None for infinity."""
    found = np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf")
    return [float(value) if math.isfinite(value) else None for value in found]


def course(found: Sequence[Search], grid: Grid, runs: Sequence[float]) -> list[list[float | None]]:
    """Quartiles of the best score after each of some amounts of compute, in whole runs."""
    rows = []
    for amount in runs:
        scores = []
        for one in found:
            able = [m.best for m in one.moments if m.images <= amount * grid.budget]
            scores.append(able[-1] if able else math.inf)
        rows.append(_quartiles(scores))
    return rows


def table(results: dict[str, dict[str, Any]], base: dict[str, Any], *, goes_on: bool) -> str:
    """Write what was found as Markdown."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]

    def cell(values: Sequence[float | None], digits: int) -> str:
        low, middle, high = (
            "never" if value is None else f"{value:,.{digits}f}" for value in values
        )
        return f"{middle} ({low} to {high})"

    for name, found in results.items():
        lines.append(
            f"| {name} | {cell(found['runs'], 2)} | {cell(found['core_seconds'], 0)} | "
            f"{found['never']:.0%} | {found['runs_in_all'][1]:.1f} | {cell(found['best'], 1)} |"
        )
    if goes_on:
        whole = base["runs_in_all"][1]
        for name, found in results.items():
            middle = found["runs"][1]
            if middle is not None:
                lines.append(f"\n{name}: {middle / whole:.1%} of random search's whole compute")
    return "\n".join(lines)


def main() -> None:
    """Run all arms with all seeds, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--curves", type=Path, default=CURVES / TABLE, help="the recorded table")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--quick", action="store_true", help="three seeds, for a test")
    flags = parser.parse_args()
    if not flags.curves.is_file():
        parser.error(
            f"--curves {flags.curves}: there is no such table; "
            "`python benchmarks/record_curves.py` records it, or name another one"
        )
    seeds = range(3 if flags.quick else flags.seeds)
    grid, started = read_grid(flags.curves), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        plan = grid_plan(Path(folder))
        found: dict[str, list[Search]] = {name: [] for name in ARMS}
        for seed in seeds:
            for name in ARMS:
                found[name].append(search(name, grid, plan, seed))
        ends = [one.best for one in found[RANDOM]]
        target = float(np.quantile(ends, 0.5, method="inverted_cdf"))
        milder = course(found[RANDOM], grid, [QUARTER])[0][1]
        assert milder is not None, "random search has reports after a quarter of its compute"
        print(f"40 trials: {time.monotonic() - started:.0f} s", file=sys.stderr)

        def enough(moment: Moment) -> bool:
            return moment.best <= target or moment.images >= TRIALS * grid.budget

        going_on: dict[str, list[Search]] = {name: [] for name in GOING_ON}
        for seed in seeds:
            for name in GOING_ON:
                going_on[name].append(search(name, grid, plan, seed, trials=ENDLESS, enough=enough))
    every = [target] * len(seeds)
    runs = np.geomspace(0.3, TRIALS, 120).round(3).tolist()
    shown = (RANDOM, "one rung, best 8", "stock", "raycolor", SHARED)
    courses = {name: course(found[name], grid, runs) for name in shown}
    results = {
        "environment": describe_environment(),
        "recorded": grid.environment,
        "seeds": len(seeds),
        "configurations": len(grid.curves),
        "budget": grid.budget,
        "trials": TRIALS,
        "workers": WORKERS,
        "target": target,
        "target_rank": sum(curve.best <= target for curve in grid.curves),
        "arms": {name: summary(one, every, grid) for name, one in found.items()},
        "milder_target": milder,
        "arms_to_the_milder": {
            name: summary(one, [milder] * len(seeds), grid) for name, one in found.items()
        },
        "arms_against_the_seeds_own_score": {
            name: summary(one, ends, grid) for name, one in found.items()
        },
        "arms_going_on": {name: summary(one, every, grid) for name, one in going_on.items()},
        "runs": runs,
        "courses": courses,
        "seconds": round(time.monotonic() - started),
    }
    base = results["arms"][RANDOM]
    milder_base = results["arms_to_the_milder"][RANDOM]
    tables = (
        (
            f"{len(grid.curves)} configurations, {len(seeds)} seeds; to reach: {target:.2f}, which "
            f"{results['target_rank']} configurations reach"
        ),
        table(results["arms"], base, goes_on=False),
        f"To {milder:.2f}, where random search is after a quarter of its compute:",
        table(results["arms_to_the_milder"], milder_base, goes_on=False),
        "Without an end of trials:",
        table(results["arms_going_on"], base, goes_on=True),
    )
    tell(results, "\n\n".join(tables), flags.out)


if __name__ == "__main__":
    main()
