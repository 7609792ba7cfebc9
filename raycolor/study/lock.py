"""A lock on this machine: a file that one process has open and locked."""

import fcntl
from pathlib import Path


class Lock:
    """A lock that this process holds until it closes it, or ends."""

    def __init__(self, path: Path) -> None:
        """Take it.

        Args:
            path: of its file; made if it is not there, in a folder that is.

        Raises:
            BlockingIOError: another process holds it.
            OSError: it cannot be written.
        """
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise

    def close(self) -> None:
        """Give it back."""
        self._file.close()
