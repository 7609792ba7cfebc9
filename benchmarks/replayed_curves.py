"""Which learning curves a benchmark of drivers replays: recorded ones, or those of a formula."""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from record_curves import CURVES, TABLE
from replayed import analytic_curves

EVERY = 512
"""Images between the reports of analytic curves."""


def add_curves(parser: argparse.ArgumentParser) -> None:
    """Let a command say which curves are replayed."""
    parser.add_argument(
        "--curves",
        type=Path,
        default=CURVES / TABLE,
        help="table of record_curves.py, or reports.parquet of a study",
    )
    parser.add_argument("--analytic", action="store_true", help="curves of a formula instead")


def chosen_curves(
    parser: argparse.ArgumentParser, flags: argparse.Namespace
) -> tuple[list[list[float]], int]:
    """Return the curves that a command was told to replay, and the images between reports."""
    if flags.analytic:
        return analytic_curves(64, 27, 1), EVERY
    if not flags.curves.is_file():
        parser.error(f"--curves {flags.curves}: there is no such table; or give --analytic")
    return recorded_curves(flags.curves)


def recorded_curves(path: Path) -> tuple[list[list[float]], int]:
    """Read curves from the table of `record_curves.py`, or from a study's `reports.parquet`.

    A value holds until the next report that was recorded, in short curves to the end.

    Returns:
        The curves, all of one length, the best first; and the images between reports.
    """
    columns = pq.read_table(path).to_pydict()
    name = next(column for column in columns if column.endswith("_best"))
    runs = columns["configuration" if "configuration" in columns else "number"]
    found: dict[int, dict[int, float]] = {}
    for run, images, value in zip(runs, columns["images_seen"], columns[name], strict=True):
        if value is not None:
            found.setdefault(run, {})[images] = value
    every = min(images for reports in found.values() for images in reports)
    last = max(images for reports in found.values() for images in reports)
    curves = []
    for reports in found.values():
        curve, value = [], reports[min(reports)]
        for images in range(every, last + 1, every):
            value = reports.get(images, value)
            curve.append(value)
        curves.append(curve)
    return sorted(curves, key=lambda curve: curve[-1]), every
