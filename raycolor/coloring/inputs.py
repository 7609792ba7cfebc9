"""Photographs that a user names: files, folders and patterns."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raycolor.errors import DataError

READ = (  # noqa: SIM905  (as a list each would take a line)
    ".jpg .jpeg .jpe .jfif .png .apng .tif .tiff .webp .bmp .dib .gif .avif .jp2 .j2k .jpx .jpf "
    ".ppm .pgm .pbm .pnm .pfm .tga .qoi .psd .pcx .sgi .mpo .ico .icns .dds"
).split()
UNREAD = (  # noqa: SIM905  (likewise)
    ".heic .heif .hif .jxl .dng .cr2 .cr3 .nef .arw .orf .raf .rw2 .pef .srw .exr .hdr"
).split()
PHOTOGRAPHS = frozenset(READ + UNREAD)
"""Endings of the files that a folder is searched for. The unread ones are photographs too: better
a sentence for each than to leave them out in silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One photograph to colour."""

    path: Path
    below: Path
    """Where it lies below the folder, or the fixed part of the pattern, that led to it."""


def find_photographs(named: Sequence[str], *, without: Path) -> list[Found]:
    """Find all photographs that are named, each once.

    Args:
        named: files, folders (searched with all folders in them) and patterns with `*`, `?`, `[]`
            or `**`. What exists is taken as it is named, even with such a character in it.
        without: folder of the results, left out where a folder above it is searched.

    Returns:
        In the order of the names, sorted within a folder or a pattern.

    Raises:
        DataError: one or more names lead to no photograph; each has its line.
    """
    if not named:
        raise DataError("no photograph given; name files, folders or patterns")
    problems: list[str] = []
    found: dict[Path, Found] = {}
    for name in named:
        try:
            for photograph in _named(name, without):
                found.setdefault(photograph.path.resolve(), photograph)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return list(found.values())


def _named(name: str, without: Path) -> list[Found]:
    path = Path(name)
    try:
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{name}: cannot be looked at ({error.strerror})") from error
    if exists:
        return _below(path, path if path.is_dir() else path.parent, without)
    if not glob.has_magic(name):
        raise DataError(f"{name}: there is no such photograph or folder")
    # Not Path.glob: it finds hidden files too.
    matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
    if not matches:
        raise DataError(f"{name}: no file has such a name")
    fixed = Path(*_fixed_parts(path))
    photographs = [item for match in matches for item in _below(match, fixed, without, found=True)]
    if not photographs:
        raise DataError(f"{name}: leads to no photograph")
    return photographs


def _fixed_parts(pattern: Path) -> Iterator[str]:
    """Yield the parts of a pattern before the first that has a wildcard, and not the last."""
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _below(path: Path, root: Path, without: Path, *, found: bool = False) -> list[Found]:
    """List a file, or all photographs in a folder.

    Raises:
        DataError: there is none in a folder that was not only found by a pattern.
    """
    if not path.is_dir():
        return [Found(path=path, below=path.relative_to(root))]
    photographs = [Found(path=file, below=file.relative_to(root)) for file in _walk(path, without)]
    if not photographs and not found:
        raise DataError(
            f"{path}: no photograph in this folder or those in it; looked for "
            f"{', '.join(READ[:6])} and the like"
        )
    return photographs


def _walk(folder: Path, without: Path) -> Iterator[Path]:
    """Yield the photographs in a folder and all folders in it, sorted; hidden ones are left out.

    Raises:
        DataError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error

    results = without.resolve()
    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(here) / name).resolve() != results
        )
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PHOTOGRAPHS:
                yield Path(here) / name
