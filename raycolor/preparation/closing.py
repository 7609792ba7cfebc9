"""What a preparation tells at its end."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from raycolor.config import ENCODER_STRIDE, TrialConfig
from raycolor.data import SPLITS
from raycolor.preparation.run import Result
from raycolor.preparation.settings import SIZES
from raycolor.preparation.skips import by_reason, first_names, printable

SCRATCH_STRIDE = 4
"""Sides that the U-Net from scratch takes are multiples of this."""


def print_closing(console: Console, result: Result, out: Path | str) -> None:
    """Tell what was written, what was left out, and what to do next.

    Args:
        console: where to.
        result: of the preparation.
        out: the data set's folder or address, as the user named it.
    """
    for line in closing_lines(result, out):
        console.print(_encodable(line, console), markup=False, highlight=False)
    # Never broken at the terminal's width: it is there to be copied.
    command = _encodable(f"Next: {next_command(result.data.size, out)}", console)
    console.print(command, markup=False, highlight=False, soft_wrap=True)


def closing_lines(result: Result, out: Path | str) -> Iterator[str]:
    """Yield what was written and what was left out."""
    data = result.data
    total = sum(data.counts.values())
    size = _size(result.num_bytes)
    yield f"{printable(str(out))}: {total:,} pictures of {data.size} pixels, {size}"
    yield "  " + ", ".join(f"{split} {data.counts[split]:,}" for split in SPLITS)
    if result.folders:
        folders = [
            f"{printable(name)} is {split}" for name, split in sorted(result.folders.items())
        ]
        yield f"  by folders: {', '.join(folders)}"
    yield f"  fingerprint {data.fingerprint[:12]}"
    if result.skipped:
        yield f"Left out, as dataset.json lists: {len(result.skipped):,}"
        for reason, names in by_reason(result.skipped):
            yield f"  {len(names):,} {reason}: {first_names(names, len(names))}"
    if result.num_passed_over:
        yield f"Passed over, hidden or no pictures by their names: {result.num_passed_over:,}"
    yield from result.notes
    yield from _size_notes(data.size, result.common_side)


def next_command(size: int, out: Path | str) -> str:
    """Return the search that uses a data set, with settings that fit its size."""
    crop = TrialConfig().data.size
    words = ["python", "-m", "raycolor.search", "--data", str(out), "--study"]
    # The name of a folder, made one that a study can have.
    words.append(re.sub(r"[^A-Za-z0-9._-]+", "-", _name(str(out))).strip("-._") or "mine")
    if size < crop:
        stride = ENCODER_STRIDE if size >= ENCODER_STRIDE else SCRATCH_STRIDE
        words += ["--set", f"data.size={size // stride * stride}"]
    if size < ENCODER_STRIDE:
        words += ["--set", "generator.backbone=scratch", "--set", "discriminator.downs=2"]
    return shlex.join(words)


def _size_notes(size: int, common_side: int) -> Iterator[str]:
    """Yield what the user may want to know about the size."""
    fitting = size // ENCODER_STRIDE * ENCODER_STRIDE
    if not fitting:
        yield (
            f"Note: pretrained backbones need {ENCODER_STRIDE} pixels; {size} leave only the "
            "backbone scratch."
        )
    elif fitting != size:
        yield (
            f"Note: pretrained backbones see crops whose side is a multiple of {ENCODER_STRIDE}; "
            f"the largest that {size} pixels allow is data.size={fitting}."
        )
    possible = min(common_side, SIZES.stop - 1) // ENCODER_STRIDE * ENCODER_STRIDE
    if possible >= 2 * size:
        yield (
            f"Note: nine of ten photographs are large enough for --size {possible}; larger "
            "pictures show more, and cost more."
        )


def _name(out: str) -> str:
    """Return the last part of an address or of a folder's path."""
    if "://" in out:
        return out.partition("?")[0].rstrip("/").rpartition("/")[2]
    return Path(out).resolve().name


def _size(num_bytes: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"


def _encodable(text: str, console: Console) -> str:
    """Write out the letters of names that a terminal without UTF-8 does not have."""
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)
