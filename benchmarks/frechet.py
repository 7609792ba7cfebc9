"""Seconds of the Fréchet distance's matrix part, beside torchmetrics and scipy.

    python benchmarks/frechet.py [--threads 2] [--rounds 3] [--out frechet.json]

Given are the features of N true and N coloured pictures, of 2048 numbers each as Inception-v3 has.
Ours is all from there to the distance. Of torchmetrics only `compute` counts, not the sums that
`update` takes before it; of scipy only `sqrtm` of the product of two covariances, the way that
pytorch-fid takes. The three take turns, round after round, so that a noisy machine disturbs all
alike. The output is a table, and JSON with hardware and versions.

scipy takes half a minute a round; `--without-scipy` leaves it out.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from told import tell
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from raycolor.environment import describe_environment
from raycolor.metrics.frechet import feature_statistics, frechet_distance

LENGTH = 2048
NUMBERS = (200, 1000, 4096)
OURS, TORCHMETRICS, SCIPY = "raycolor", "torchmetrics", "scipy"


def features(number: int, generator: torch.Generator) -> Tensor:
    """Draw features that are correlated, of unequal size and never negative, as pooled ones are."""
    mixing = torch.randn(LENGTH, LENGTH, generator=generator) / LENGTH**0.5
    drawn = torch.randn(number, LENGTH, generator=generator) @ mixing
    pooled: Tensor = (drawn * torch.linspace(0.05, 2, LENGTH) + 0.1).relu()
    return pooled


class Handed(nn.Module):
    """Stands in for a network whose features are known: gives them out in their order."""

    num_features = LENGTH

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = known

    def forward(self, pictures: Tensor) -> Tensor:
        """Give out the features of so many pictures."""
        given, self.known = self.known[: len(pictures)], self.known[len(pictures) :]
        return given


def prepared(real: Tensor, fake: Tensor) -> FrechetInceptionDistance:
    """Have torchmetrics take its sums."""
    metric = FrechetInceptionDistance(feature=Handed(torch.cat([real, fake]).double()))
    metric.set_dtype(torch.float64)
    for some, are_real in ((real, True), (fake, False)):
        # It looks at nothing but their number.
        metric.update(torch.zeros(len(some), 3, 1, 1, dtype=torch.uint8), real=are_real)
    return metric


def by_scipy(real: Tensor, fake: Tensor) -> Callable[[], float]:
    """Return the distance as scipy computes it, covariances ready."""
    means = [some.double().mean(dim=0).numpy() for some in (real, fake)]
    covariances = [np.cov(some.double().numpy(), rowvar=False) for some in (real, fake)]
    rest = float(((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances))
    product = covariances[0] @ covariances[1]

    def distance() -> float:
        return rest - 2 * float(np.trace(np.real(scipy.linalg.sqrtm(product))))

    return distance


def measure(number: int, *, with_scipy: bool, seed: int) -> dict[str, tuple[float, float]]:
    """Return seconds and distance of each way, once."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = features(number, generator), features(number, generator)
    theirs = prepared(real, fake)
    ways: dict[str, Callable[[], float]] = {
        OURS: lambda: frechet_distance(feature_statistics(fake), feature_statistics(real)),
        TORCHMETRICS: lambda: float(theirs.compute()),
    }
    if with_scipy:
        ways[SCIPY] = by_scipy(real, fake)
    found = {}
    for name, way in ways.items():
        started = time.perf_counter()
        distance = way()
        found[name] = (time.perf_counter() - started, distance)
    return found


def table(results: list[dict[str, object]]) -> str:
    """Write the results as Markdown."""
    lines = [
        "| pictures | way | seconds | times ours | relative difference |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['pictures']} | {row['way']} | {row['seconds']:.3f} | {row['times_ours']:.1f} | "
        f"{row['relative_difference']:.1e} |"
        for row in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all ways in rounds, write medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-scipy", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    # A covariance of fewer pictures than features is singular, which scipy warns of.
    warnings.filterwarnings("ignore", category=scipy.linalg.LinAlgWarning)
    # The first decompositions of a process load libraries.
    warm = torch.eye(64, dtype=torch.float64)
    torch.linalg.eigh(warm), torch.linalg.svdvals(warm), torch.linalg.eigvals(warm)
    rounds: dict[int, list[dict[str, tuple[float, float]]]] = {number: [] for number in NUMBERS}
    for turn in range(flags.rounds):
        for number in NUMBERS:
            print(f"round {turn + 1} of {flags.rounds}, {number} pictures", file=sys.stderr)
            rounds[number].append(measure(number, with_scipy=not flags.without_scipy, seed=turn))
    results: list[dict[str, object]] = []
    for number, found in rounds.items():
        medians = {way: statistics.median(one[way][0] for one in found) for way in found[0]}
        for way, seconds in medians.items():
            differing = max(abs(one[way][1] / one[OURS][1] - 1) for one in found)
            results.append(
                {
                    "pictures": number,
                    "way": way,
                    "seconds": round(seconds, 4),
                    "times_ours": round(seconds / medians[OURS], 2),
                    "relative_difference": differing,
                }
            )
    environment = describe_environment()
    environment["packages"] |= {name: version(name) for name in (TORCHMETRICS, SCIPY)}
    about = {
        "environment": environment,
        "threads": flags.threads,
        "rounds": flags.rounds,
        "features": LENGTH,
        "results": results,
    }
    tell(about, table(results), flags.out)


if __name__ == "__main__":
    main()
