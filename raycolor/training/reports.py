"""The reports of one run: a table in its folder, and a line for people.

`reports.csv` has a line a report and a column a metric; numbers are written in full, so that they
are the same bits when they are read again.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raycolor.errors import CheckpointError
from raycolor.files import write_text
from raycolor.study.live import against_gray, duration

FILE = "reports.csv"
STAGES = {"pretraining": "pretrain", "adversarial": "GAN"}
"""Short names, for a narrow table."""
HEADING = (
    "images",
    "stage",
    "G loss",
    "L1",
    "D loss",
    "D acc",
    "distance",
    "best",
    "against gray",
    "img/s",
    "left",
)
WIDTHS = (9, 8, 7, 6, 6, 5, 8, 7, 12, 6, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One report, as the table keeps it."""

    images_seen: int
    stage: str
    metrics: dict[str, float]
    gray: float
    """Distance of the grey pictures."""


def read_rows(folder: Path) -> list[Row]:
    """Read the reports of a run; an empty list before the first.

    Raises:
        CheckpointError: the table is damaged.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if "images_seen" not in (table.fieldnames or ()):
                raise ValueError("no column images_seen")
            return [
                Row(
                    images_seen=int(line.pop("images_seen")),
                    stage=line.pop("stage"),
                    gray=float(line.pop("gray")),
                    metrics={name: float(value) for name, value in line.items() if value},
                )
                for line in table
            ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the reports of a run ({error}); remove it, or choose "
            "another --out"
        ) from error


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Write the reports of a run, complete or not at all.

    Raises:
        CheckpointError: the storage refuses.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["images_seen", "stage", "gray", *names])
    for row in rows:
        values = [repr(row.metrics[name]) if name in row.metrics else "" for name in names]
        table.writerow([row.images_seen, row.stage, repr(row.gray), *values])
    try:
        write_text(folder / FILE, text.getvalue())
    except OSError as error:
        raise CheckpointError(
            f"{folder / FILE}: cannot be written ({error}); make room or mend the storage, then "
            "give the same command again"
        ) from error


def heading(distance: str) -> str:
    """Return the heading of the lines for people.

    Args:
        distance: name of the Fréchet distance in reports.
    """
    return f"distance: {distance}\n{_aligned(HEADING)}"


def told(row: Row, *, distance: str, images: int, every: int) -> str:
    """Write a report as one line for people.

    Args:
        row: the report.
        distance: name of the Fréchet distance in reports.
        images: of the whole run.
        every: images between two reports.
    """
    metrics = row.metrics

    def number(name: str, form: str) -> str:
        return format(metrics[name], form) if name in metrics else "-"

    best = metrics[f"{distance}_best"]
    left = seconds_left(row, images=images, every=every)
    return _aligned(
        (
            f"{row.images_seen:,}",
            STAGES.get(row.stage, row.stage),
            number("generator_loss", ".3g"),
            number("generator_l1_loss", ".4f"),
            number("discriminator_loss", ".3f"),
            number("discriminator_accuracy", ".0%"),
            number(distance, ".2f"),
            f"{best:.2f}",
            against_gray(best, row.gray),
            number("images_per_second", ".0f"),
            duration(left) if math.isfinite(left) else "-",
        )
    )


def seconds_left(row: Row, *, images: int, every: int) -> float:
    """Estimate the seconds to the end of a run, at the speed since the report before.

    Args:
        row: the last report.
        images: of the whole run.
        every: images between two reports.
    """
    left = images - row.images_seen
    training = left / row.metrics["images_per_second"]
    reports = row.images_seen // every
    return training + left // every * row.metrics["evaluate_seconds"] / reports


def result(rows: Sequence[Row], *, distance: str) -> str:
    """Tell the result of a run in a sentence.

    Args:
        rows: its reports; at least one.
        distance: name of the Fréchet distance in reports.
    """
    last = rows[-1]
    value = last.metrics[f"{distance}_best"]
    if not math.isfinite(value):
        return "No report has a finite distance, so there is no best generator."
    found = next((row for row in rows if row.metrics[distance] == value), None)
    # Without it the table was removed, and begun anew when the run went on.
    at = f" at {found.images_seen:,} images" if found else ""
    against = against_gray(value, last.gray)
    return f"Best: {distance} {value:.2f}{at}, {against} the {last.gray:.2f} of grey pictures."


def _aligned(cells: Sequence[str]) -> str:
    text = zip(cells, WIDTHS, strict=True)
    return "  ".join(cell.rjust(width) for cell, width in text)
