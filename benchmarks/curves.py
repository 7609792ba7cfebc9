"""Recorded learning curves: what a configuration of the grid reports, and what it costs."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from raycolor.spaces.domains import Scalar

FD = "fd_efficientnet_lite0"
OBJECTIVE = f"{FD}_best"
BACKBONE, LENGTH = "generator.backbone", "pretraining.images"
METRICS = (FD, OBJECTIVE, "generator_adversarial_loss", "discriminator_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One report."""

    images: int
    """Training images so far."""
    stage: str
    metrics: dict[str, float]
    seconds: float
    """Of one core, since the report before: training and evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """All reports of one configuration."""

    chosen: dict[str, Scalar]
    points: tuple[Point, ...]

    @property
    def best(self) -> float:
        """Lowest distance of the whole run."""
        return self.points[-1].metrics[OBJECTIVE]

    @property
    def seconds(self) -> float:
        """Of one core, for the whole run."""
        return sum(point.seconds for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The curves of all configurations."""

    curves: tuple[Curve, ...]
    searched: dict[str, list[Scalar]]
    """The values of each setting."""
    environment: dict[str, Any]
    """Of the machine that recorded them."""
    gray: float
    """Distance of the grey pictures."""

    def index(self, chosen: Mapping[str, Scalar]) -> int:
        """Return the place of a configuration."""
        return next(i for i, curve in enumerate(self.curves) if curve.chosen == dict(chosen))

    @property
    def budget(self) -> int:
        """Training images of a whole run."""
        return self.curves[0].points[-1].images


def read_grid(path: Path) -> Grid:
    """Read the table that `record_curves.py` wrote.

    What a report costs is the median over the configurations with the same backbone, place and
    stage: the machine that recorded them was not idle.
    """
    table = pq.read_table(path)
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row["configuration"]].append(row)
    names = table.column_names
    paths = names[1 : names.index("images_seen")]
    costs = _costs(rows.values())
    curves = []
    for _, reports in sorted(rows.items()):
        chosen: dict[str, Scalar] = {path: reports[0][path] for path in paths}
        points = [
            Point(
                images=row["images_seen"],
                stage=row["stage"],
                metrics={name: row[name] for name in METRICS if row[name] is not None},
                seconds=costs[_kind(row, place)],
            )
            for place, row in enumerate(reports)
        ]
        curves.append(Curve(chosen=chosen, points=tuple(points)))
    about = json.loads((table.schema.metadata or {})[b"environment"])
    values = {path: list(dict.fromkeys(curve.chosen[path] for curve in curves)) for path in paths}
    gray = next(iter(rows.values()))[0]["gray"]
    return Grid(curves=tuple(curves), searched=values, environment=about, gray=gray)


def _costs(curves: Any) -> dict[tuple[Scalar, int, str], float]:
    """Seconds of each kind of report; the first costs what the second does, less the start-up."""
    found: dict[tuple[Scalar, int, str], list[float]] = defaultdict(list)
    for reports in curves:
        steps = [now["core_seconds"] - before["core_seconds"] for before, now in pairwise(reports)]
        for place, (row, seconds) in enumerate(zip(reports, [steps[0], *steps], strict=True)):
            found[_kind(row, place)].append(seconds)
    return {kind: median(seconds) for kind, seconds in found.items()}


def _kind(row: Mapping[str, Any], place: int) -> tuple[Scalar, int, str]:
    return row[BACKBONE], place, row["stage"]


def prefix(curve: Curve) -> tuple[Scalar, ...]:
    """Name what determines a pretraining but for its length: data and rates are the grid's."""
    return (curve.chosen[BACKBONE],)


def pretrained(curve: Curve) -> Sequence[Point]:
    """Return the reports of the pretraining stage."""
    return [point for point in curve.points if point.stage == "pretraining"]
