"""Files that are complete or absent."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"
"""Ending of a file that is being written; a process that was killed may leave one behind."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` when the block ends well.

    A reader never sees half a file, and after an error the older file is still there.

    Args:
        path: the file to make or to replace; its folder is made if it is not there.

    Yields:
        Where to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the process's number: another machine that shares the storage may have the same.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def is_there(path: Path) -> bool:
    """Tell whether a file is there that may be looked at.

    In a folder that lets this user in nowhere, as somebody else's home, nothing is there.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
