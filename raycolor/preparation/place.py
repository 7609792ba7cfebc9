"""The folder of the result: complete or absent, and never someone's own files.

A data set is built in a hidden folder beside its place and renamed when it is complete. A run that
was killed leaves hidden folders, which the next run removes.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from raycolor.data import SPLITS
from raycolor.errors import DataError

FILES = {"dataset.json", *(f"{split}.arrow" for split in SPLITS)}
"""All that a prepared data set consists of."""


@contextmanager
def building(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a folder to build a data set in; it becomes `out` when the block ends well.

    An older data set stays as it is until then.

    Args:
        out: where the data set is wanted; its parents are made if they are not there.
        overwrite: replace an older data set.

    Yields:
        The hidden folder beside `out`.

    Raises:
        DataError: something else is there, or nothing can be written there.
    """
    place = out.resolve()
    with writing(out):
        place.parent.mkdir(parents=True, exist_ok=True)
        _recover(place)
        check_free(out, overwrite=overwrite)
        _sweep(place)
    folder = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with writing(out):
            stack.callback(os.close, _make_locked(folder))
        yield folder
        with writing(out):
            check_free(out, overwrite=overwrite)
            _swap(folder, place)


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    """Give a hidden folder beside `place` that goes with the block; what killed runs left goes too.

    Raises:
        DataError: nothing can be written there.
    """
    folder = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    with ExitStack() as stack:
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            _sweep(place)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(os.close, _make_locked(folder))
        yield folder


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn a refusal of the disk into a sentence.

    Raises:
        DataError: what the disk says, and what to do.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror or error}); name a folder on a disk with "
            "room, where you may write"
        ) from error


def check_free(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that holds anything but a data set that may be replaced.

    Raises:
        DataError: with what is there.
    """
    if out.is_dir():
        found = sorted(path.name for path in out.iterdir())
        if not found:
            return
        if not is_prepared(out):
            raise DataError(
                f"{out}: holds files that are no prepared data set ({', '.join(found[:3])}"
                f"{', ...' if len(found) > 3 else ''}); name a new folder"
            )
        if not overwrite:
            raise DataError(
                f"{out}: holds a prepared data set; add --overwrite to replace it, or name a new "
                "folder"
            )
    elif out.exists() or out.is_symlink():
        raise DataError(f"{out}: is a file, or a link that leads nowhere; name a new folder")


def is_prepared(folder: Path) -> bool:
    """Tell whether a folder holds a prepared data set and nothing else."""
    if not {path.name for path in folder.iterdir()} <= FILES:
        return False
    try:
        about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and {"format", "fingerprint", "counts"} <= set(about)


def _make_locked(folder: Path) -> int:
    """Make a folder that is locked for as long as this process lives.

    Returns:
        The descriptor that holds the lock.
    """
    while True:
        folder.mkdir()
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # some network disks have no locks, and then no sweeping either
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another run may have swept it before the lock was there.
        if folder.exists():
            return lock
        os.close(lock)


def _sweep(place: Path) -> None:
    """Remove what killed runs left beside the place."""
    for folder in _left(place, "part"):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # another run is building there
        finally:
            os.close(lock)
    for folder in _left(place, "old"):
        _remove_data_set(folder)


def _swap(folder: Path, place: Path) -> None:
    """Put the new data set in place of the older one."""
    if not place.exists() or not any(place.iterdir()):
        folder.rename(place)
        return
    old = place.with_name(f".{place.name}.{secrets.token_hex(4)}.old")
    place.rename(old)
    folder.rename(place)
    _remove_data_set(old)


def _recover(place: Path) -> None:
    """Put an older data set back, if a run was killed within `_swap`."""
    if not place.exists():
        for old in _left(place, "old"):
            if is_prepared(old):
                old.rename(place)
                return


def _left(place: Path, suffix: str) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.{suffix}")
    return sorted(
        path for path in place.parent.iterdir() if pattern.fullmatch(path.name) and path.is_dir()
    )


def _remove_data_set(folder: Path) -> None:
    """Remove the files of a data set; whatever else is there stays."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
