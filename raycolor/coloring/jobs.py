"""What is written where, decided and checked before anything is coloured."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raycolor.coloring.inputs import PHOTOGRAPHS, Found
from raycolor.coloring.writing import SUFFIXES, FormatName, usual_suffix
from raycolor.errors import DataError

MOST_LINES = 10
"""Problems of one kind that are listed."""
BESIDE = "_side_by_side"
"""What the name of a side-by-side picture ends in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One photograph to colour."""

    source: Path
    target: Path
    sheet: Path | None
    """Where the side-by-side picture goes; None for none."""

    @property
    def written(self) -> tuple[Path, ...]:
        """All files that it makes."""
        return (self.target,) if self.sheet is None else (self.target, self.sheet)


def names_one_file(out: Path) -> bool:
    """Whether `--out` is the name of a picture, and not of a folder."""
    return out.suffix.lower() in SUFFIXES and not out.is_dir()


def plan_jobs(
    found: Sequence[Found],
    *,
    out: Path,
    format: FormatName | None,
    side_by_side: bool,
    overwrite: bool,
) -> list[Job]:
    """Name the file that each photograph becomes.

    Args:
        found: the photographs.
        out: a folder, in which each keeps its place below the folder that was named; or a file.
        format: of the results; PNG, or that of a file's ending, if not given.
        side_by_side: whether there is a second picture for each.
        overwrite: whether files that are there already are replaced.

    Raises:
        DataError: all problems, one a line: results that cannot be, that would replace a
            photograph, that are there already, or that two photographs would become.
    """
    jobs = [
        Job(
            source=item.path,
            target=target,
            sheet=target.with_name(f"{target.stem}{BESIDE}{target.suffix}")
            if side_by_side
            else None,
        )
        for item, target in zip(found, _targets(found, out, format), strict=True)
    ]
    problems = [*_clashes(jobs), *_overwritten(jobs, overwrite), *_unwritable(out)]
    if problems:
        more = len(problems) - MOST_LINES
        tail = [f"and {more} more like these"] if more > 0 else []
        raise DataError("\n".join([*problems[:MOST_LINES], *tail]))
    return jobs


def _targets(found: Sequence[Found], out: Path, format: FormatName | None) -> list[Path]:
    """Name the results.

    Raises:
        DataError: `--out` and the photographs, or `--format`, do not go together.
    """
    if names_one_file(out):
        if len(found) > 1:
            raise DataError(f"--out {out}: is one file for {len(found)} photographs; name a folder")
        if format not in (None, SUFFIXES[out.suffix.lower()]):
            raise DataError(f"--out {out}: does not end as a {format} file; leave --format out")
        return [out]
    if out.suffix.lower() in PHOTOGRAPHS and not out.is_dir():
        raise DataError(
            f"--out {out}: pictures are written as {', '.join(SUFFIXES)}; take one of these "
            "endings, or name a folder"
        )
    suffix = usual_suffix(format or "png")
    return [out / item.below.with_suffix(suffix) for item in found]


def _clashes(jobs: Sequence[Job]) -> Iterator[str]:
    """Tell of results that two photographs would become."""
    maker: dict[Path, Path] = {}
    for job in jobs:
        for path in job.written:
            first = maker.setdefault(path, job.source)
            if first != job.source:
                yield f"{first} and {job.source}: both become {path}; colour them one at a time"


def _overwritten(jobs: Sequence[Job], overwrite: bool) -> Iterator[str]:
    """Tell of results that would replace a file that has to stay."""
    sources = {_identity(job.source): job.source for job in jobs}
    for path in (path for job in jobs for path in job.written):
        if not os.path.lexists(path):
            continue
        if path.is_dir():
            yield f"{path}: is a folder; choose another --out"
        elif path.exists() and _identity(path) in sources:
            yield f"{path}: is a photograph to colour, and would be replaced; choose another --out"
        elif not overwrite:
            yield f"{path}: is there already; give --overwrite or another --out"


def _unwritable(out: Path) -> Iterator[str]:
    """Tell if nothing can be written to `--out`."""
    there = out.parent if names_one_file(out) else out
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield f"--out {out}: {there} is a file; choose another --out"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"--out {out}: {there} may not be written to; choose another --out"


def _identity(path: Path) -> tuple[int, int]:
    """Number a file, whatever name leads to it."""
    status = path.stat()
    return status.st_dev, status.st_ino
