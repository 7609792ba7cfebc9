"""Room on this machine for copies of data sets: bounded; the least recently used give way.

Beside the copies and their locks, see `raycolor.remote.data_sets`:

    data/.FINGERPRINT.use        held, shared, by each process that uses the copy, until it ends
    data/.FINGERPRINT.removed/   a copy on its way out
    data/.FINGERPRINT.part/bytes what the whole copy will take
    data/.room.lock              held by the process that makes room

A copy that some process uses is never removed: whoever removes it has to hold its lock alone. Locks
go with their processes, however those end, and what a killed one left half removed, the next one
removes.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from raycolor.cache import VARIABLE
from raycolor.errors import DataError

LIMIT = "RAYCOLOR_CACHE_GB"
"""Environment variable with the most that copies of data sets may take, in gigabytes."""
SHARE = 0.9
"""Of the disk that they may take without it, other files left out: trials keep something too."""
BYTES = "bytes"
"""File in a copy that is on its way: how many bytes it will have."""
_NAME = re.compile(r"([0-9a-f]{64})|\.([0-9a-f]{64})\.part")

_used: dict[Path, int] = {}
"""Descriptors of the locks of what this process uses: the system closes them at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A copy, or a part of one."""

    path: Path
    fingerprint: str
    used_at: float
    num_bytes: int


def part_of(folder: Path) -> Path:
    """Name the folder where a copy grows until it is whole."""
    return folder.with_name(f".{folder.name}.part")


def use(folder: Path) -> None:
    """Keep a copy from being removed as long as this process lives.

    Args:
        folder: of the copy, which need not be there yet.

    Raises:
        OSError: the folder above it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = _use_lock(folder)
    held = _used.get(path)
    if held is None or not _is_same(held, path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # Whoever holds it alone moves a folder away, which takes a moment.
            fcntl.flock(lock, fcntl.LOCK_SH)
        except OSError:
            os.close(lock)
            raise
        if held is not None:
            os.close(held)
        _used[path] = lock
    if folder.is_dir():
        os.utime(folder)


def check_room(address: str, folder: Path, num_bytes: int) -> None:
    """Check that there is or could be room for a copy, without making it.

    Args:
        address: of the data set, for the message.
        folder: where the copy will lie; nothing of it need be there.
        num_bytes: of the whole copy.

    Raises:
        DataError: there is not, or the limit is none.
    """
    with ExitStack() as locks:
        _giving_way(address, folder, num_bytes, locks)


def make_room(address: str, folder: Path, num_bytes: int) -> None:
    """Make room for a copy, and note that it is taken; `use` has to hold it already.

    Args:
        address: of the data set, for the message.
        folder: where the copy will lie; its part is there.
        num_bytes: of the whole copy.

    Raises:
        DataError: there is none, or the limit is none; nothing was removed then.
    """
    with _room_lock(folder):
        for left in folder.parent.glob(".*.removed"):
            shutil.rmtree(left)
        with ExitStack() as locks:
            for kept in _giving_way(address, folder, num_bytes, locks):
                removed = kept.path.with_name(f".{kept.fingerprint}.removed")
                # At once, so that nobody finds half of it.
                kept.path.rename(removed)
                shutil.rmtree(removed)
        (part_of(folder) / BYTES).write_text(str(num_bytes), encoding="ascii")


def settle(folder: Path) -> None:
    """Put a copy in its place, now that it is whole; what lies there is not.

    Args:
        folder: where the copy belongs.
    """
    with _room_lock(folder):
        (part_of(folder) / BYTES).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        part_of(folder).rename(folder)


def most_bytes(folder: Path, taken: int) -> int:
    """Return how many bytes all copies may take together.

    Args:
        folder: of the copies, or one that it will be made in.
        taken: by them now.

    Raises:
        DataError: the environment says something else than a number of gigabytes.
    """
    named = os.environ.get(LIMIT)
    if not named:
        return int(SHARE * (taken + shutil.disk_usage(folder).free))
    try:
        limit = float(named) * 1e9
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise DataError(
            f"environment variable {LIMIT}: {named!r} is no number of gigabytes above 0; give one, "
            "as 200, or leave it out"
        )
    return int(limit)


def _giving_way(address: str, folder: Path, num_bytes: int, locks: ExitStack) -> list[Kept]:
    """Name the copies that have to go, least recently used first.

    Args:
        address: as for `make_room`.
        folder: as for `make_room`.
        num_bytes: as for `make_room`.
        locks: takes those of the named copies.

    Raises:
        DataError: there is no room.
    """
    place = next(path for path in folder.parents if path.exists())
    everything = list(_kept(folder.parent))
    others = [kept for kept in everything if kept.fingerprint != folder.name]
    here, free = _size_of(part_of(folder)), shutil.disk_usage(place).free
    taken = sum(kept.num_bytes for kept in others)
    most = most_bytes(place, sum(_size_of(kept.path) for kept in everything))
    over = taken + num_bytes - most
    # What others that are on their way will still take is not free either.
    coming = sum(kept.num_bytes - _size_of(kept.path) for kept in others)
    short = num_bytes - here - (free - coming)
    if num_bytes > most and os.environ.get(LIMIT):
        raise DataError(
            f"{address}: takes {num_bytes / 1e6:,.0f} MB, and copies of data sets may take "
            f"{most / 1e6:,.0f} on this machine; give more gigabytes in the environment variable "
            f"{LIMIT}, or take a smaller data set"
        )
    going: list[Kept] = []
    for kept in sorted(others, key=lambda kept: kept.used_at):
        if max(over, short) <= 0:
            break
        if locks.enter_context(_alone(_use_lock(folder.with_name(kept.fingerprint)))):
            going.append(kept)
            over -= kept.num_bytes
            short -= kept.num_bytes
    if max(over, short) > 0:
        raise DataError(_no_room(address, folder, num_bytes, others, going, most=most, free=free))
    return going


def _no_room(
    address: str,
    folder: Path,
    num_bytes: int,
    others: list[Kept],
    going: list[Kept],
    *,
    most: int,
    free: int,
) -> str:
    busy = sum(kept.num_bytes for kept in others) - sum(kept.num_bytes for kept in going)
    running = f" and running programs use {busy / 1e6:,.0f} of copies" if busy else ""
    if os.environ.get(LIMIT):
        return (
            f"{address}: takes {num_bytes / 1e6:,.0f} MB in {folder.parent}, where copies may take "
            f"{most / 1e6:,.0f}{running} ({free / 1e6:,.0f} are free on the disk); give more "
            f"gigabytes in the environment variable {LIMIT}, make room there, or wait for them"
        )
    more = num_bytes - _size_of(part_of(folder))
    return (
        f"{address}: takes {more / 1e6:,.0f} MB more in {folder.parent}, where "
        f"{free / 1e6:,.0f} are free{running}; make room there, or name another folder in the "
        f"environment variable {VARIABLE}"
    )


def _kept(folder: Path) -> Iterator[Kept]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        with suppress(FileNotFoundError):
            if match and path.is_dir():
                yield Kept(
                    path=path,
                    fingerprint=match[1] or match[2],
                    used_at=path.stat().st_mtime,
                    num_bytes=max(_size_of(path), _promised(path)),
                )


def _promised(path: Path) -> int:
    """Return how many bytes a copy on its way will have; 0 if that is not known."""
    try:
        return int((path / BYTES).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _size_of(folder: Path) -> int:
    num_bytes = 0
    for path in folder.glob("*"):
        # A process that found its copy damaged removes it meanwhile.
        with suppress(FileNotFoundError):
            num_bytes += path.stat().st_size
    return num_bytes


def _use_lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.use")


def _is_same(held: int, path: Path) -> bool:
    """Tell whether a lock that is held is still the file that others see."""
    return path.exists() and os.path.samestat(os.fstat(held), path.stat())


@contextmanager
def _room_lock(folder: Path) -> Iterator[None]:
    with (folder.parent / ".room.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold a lock alone, if nobody else holds it; tell whether it is so."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
