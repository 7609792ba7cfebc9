"""Writes that a storage may refuse: tried again for a while, then told in one sentence.

A full disk, a network folder that is away for a moment, a quota: none of them is a fault of a study
or of a trial. A write that fails is tried 6 times within 30 seconds. If the storage still refuses,
the study pauses: its trials stay open, and the same command goes on once the storage is mended.
"""

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from raycolor.errors import CheckpointError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries of one write."""

_HOPELESS = ("ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG", "ELOOP", "EINVAL")
"""What is wrong with the path itself, which no waiting mends."""
_OF_STORAGE = (
    *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ESTALE", "ETIMEDOUT"),
    *("EREMOTEIO", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH"),
)
"""What no code of a trial can cause."""


class StorageError(CheckpointError):
    """The storage refuses a write, and went on refusing; nothing is wrong with what was written."""


class Patience:
    """Tries a write again and again, with longer and longer waits."""

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

    def write(self, where: Path, attempt: Callable[[], None]) -> None:
        """Make a write happen.

        A storage that was given up is tried once, without waiting, until it takes a write again:
        what a program does at its end must not wait half a minute a file.

        Args:
            where: what is written, for the message.
            attempt: writes it, whole or not at all; raises OSError if it cannot.

        Raises:
            StorageError: every try failed.
        """
        waits_s = () if self._lost else self._waits_s
        for number in range(len(waits_s) + 1):
            try:
                attempt()
            except OSError as error:
                if _name(error) in _HOPELESS or number == len(waits_s):
                    self._lost = True
                    raise refusal(where, error, tries=number + 1) from error
                self._sleep(waits_s[number])
            else:
                self._lost = False
                return


PATIENCE = Patience()
"""Of this process: all that it writes lies on one storage."""


def refusal(where: Path, error: OSError, *, tries: int = 1) -> StorageError:
    """Say that a write failed, and what to do.

    Args:
        where: what was to be written.
        error: why it was not.
        tries: how often it was tried.
    """
    tried = f" after {tries} tries" if tries > 1 else ""
    return StorageError(
        f"{where}: cannot be written ({error.strerror or error}){tried}; make room or mend the "
        "storage, then give the same command again"
    )


def is_of_storage(error: OSError) -> bool:
    """Tell whether an error says that a storage is full, broken or away."""
    return _name(error) in _OF_STORAGE


def _name(error: OSError) -> str:
    """Name an error as `errno` does; not every system knows all names."""
    return errno.errorcode.get(error.errno or 0, "")
