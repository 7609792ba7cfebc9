"""Writes that a storage may refuse: tried again for a while, then told in one sentence.

A full disk, a network folder that is away for a moment, a quota: none of them is a fault of a study
or of a trial. A write that fails is tried 6 times within 30 seconds. If the storage still refuses,
the study pauses: its trials stay open, and the same command goes on once the storage is mended.
"""

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from raycolor.errors import CheckpointError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries of one write."""

T = TypeVar("T")

_HOPELESS = ("ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG", "ELOOP", "EINVAL")
"""What is wrong with the path itself, which no waiting mends."""
_OF_STORAGE = (
    *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ESTALE", "ETIMEDOUT"),
    *("EREMOTEIO", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH"),
)
"""What no code of a trial can cause."""


class StorageError(CheckpointError):
    """The storage refuses a write, and went on refusing; nothing is wrong with what was written."""


class HopelessError(OSError):
    """A storage refuses in a way that no waiting mends, as when there is no such bucket."""


class Patience:
    """Tries a write, or a read, again and again, with longer and longer waits."""

    def __init__(
        self, waits_s: Sequence[float] = WAITS_S, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Begin with full patience.

        Args:
            waits_s: seconds between tries.
            sleep: waits that many seconds.
        """
        self._waits_s = tuple(waits_s)
        self._sleep = sleep
        self._lost = False

    def write(self, where: Path | str, attempt: Callable[[], None]) -> None:
        """Make a write happen.

        A storage that was given up is tried once, without waiting, until it takes a write again:
        what a program does at its end must not wait half a minute a file.

        Args:
            where: what is written, for the message.
            attempt: writes it, whole or not at all; raises OSError if it cannot.

        Raises:
            StorageError: every try failed.
        """
        self._insist(where, attempt, "written")

    def read(self, where: Path | str, attempt: Callable[[], T]) -> T:
        """Make a read happen, on a storage that may be away for a moment.

        Args:
            where: what is read, for the message.
            attempt: reads it; raises OSError if it cannot.

        Raises:
            FileNotFoundError: it is not there, which no waiting mends.
            StorageError: every try failed.
        """
        return self._insist(where, attempt, "read")

    def _insist(self, where: Path | str, attempt: Callable[[], T], what: str) -> T:
        waits_s = () if self._lost else self._waits_s
        number = 0
        while True:
            try:
                done = attempt()
            except OSError as error:
                if what == "read" and isinstance(error, FileNotFoundError):
                    raise
                hopeless = isinstance(error, HopelessError) or _name(error) in _HOPELESS
                if hopeless or number == len(waits_s):
                    self._lost = True
                    raise refusal(where, error, tries=number + 1, what=what) from error
                self._sleep(waits_s[number])
                number += 1
            else:
                self._lost = False
                return done


PATIENCE = Patience()
"""Of this process: all that it writes lies on one storage."""


def refusal(
    where: Path | str, error: OSError, *, tries: int = 1, what: str = "written"
) -> StorageError:
    """Say that a write or a read failed, and what to do.

    Args:
        where: what was to be written or read.
        error: why it was not.
        tries: how often it was tried.
        what: `written` or `read`.
    """
    if isinstance(error, HopelessError):
        return StorageError(f"{where}: {error}")
    tried = f" after {tries} tries" if tries > 1 else ""
    remedy = "make room or mend the storage" if what == "written" else "mend the storage"
    reason = error.strerror or str(error)
    # Of many files that are written as one, which it was.
    if error.filename is not None and str(error.filename) != str(where):
        reason += f": {error.filename}"
    return StorageError(
        f"{where}: cannot be {what} ({reason}){tried}; {remedy}, then give the same command again"
    )


def is_of_storage(error: OSError) -> bool:
    """Tell whether an error says that a storage is full, broken or away."""
    return _name(error) in _OF_STORAGE


def _name(error: OSError) -> str:
    """Name an error as `errno` does; not every system knows all names."""
    return errno.errorcode.get(error.errno or 0, "")
