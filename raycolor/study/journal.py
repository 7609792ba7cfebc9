"""The journal: an append-only file of records, the one truth about a study.

One JSON record a line. `append` returns when the line is on the disk. A driver that was killed
while writing leaves a torn last line, which is dropped when the journal is opened again.

    journal.jsonl   the records; locked while a driver works on the study
    lease.json      who that driver is
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from raycolor import storage
from raycolor.errors import CheckpointError
from raycolor.study import lease
from raycolor.study.lease import FileSlot, Lease, read_holder
from raycolor.study.lines import parsed
from raycolor.study.records import Record, to_line

FILE = "journal.jsonl"


def read_journal(folder: Path) -> list[Record]:
    """Read all complete records of a study; an empty list if there is no journal.

    Args:
        folder: the journal's folder.

    Raises:
        CheckpointError: a line in the middle is damaged, or the format is another one.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error
    return list(parsed(path, content[: content.rfind(b"\n") + 1]))


class Journal:
    """The journal of one study, open for writing by this process alone."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None] | None = None) -> None:
        """Open or create a journal, drop a torn last line, and lock it.

        Args:
            folder: the journal's folder; made if it is not there.
            tell: hears why opening it takes a minute, where it does.

        Raises:
            CheckpointError: another process writes it, it is damaged, or the storage refuses.
        """
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a buffer would keep, and write again, what the storage refused.
            self._file = self._path.open("ab+", buffering=0)
        except OSError as error:
            raise CheckpointError(
                f"{folder}: cannot be written ({error}); choose another --out"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            holder = read_holder(FileSlot(folder / lease.FILE))
            raise CheckpointError(
                f"{self._path}: another search works on this study"
                + (f": {holder}" if holder else "")
                + "; wait for it, or choose another --study"
            ) from error
        try:
            # The lock is the guard where it reaches; the lease is where it does not.
            self._lease = Lease(FileSlot(folder / lease.FILE), tell=tell)
        except BaseException:
            self._file.close()
            raise
        try:
            self._file.seek(0)
            content = self._file.read()
            self._end = content.rfind(b"\n") + 1
            self._torn = self._end < len(content)
            self.records = list(parsed(self._path, content[: self._end]))
            self._mend()
        except OSError as error:
            self.close()
            raise storage.refusal(self._path, error) from error
        except BaseException:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns.

        Raises:
            StorageError: the storage refuses, and went on refusing; nothing of the record stays.
            CheckpointError: another driver has taken over the study.
        """
        if self._lease.taken_by is not None:
            raise CheckpointError(
                f"{self._path}: another search has taken over this study: {self._lease.taken_by}; "
                "this one could not renew its lease for a minute and ends"
            )
        line = to_line(record).encode("utf-8") + b"\n"

        def attempt() -> None:
            self._mend()
            self._torn = True
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
            # In this order: Ctrl-C may come between any two lines.
            self._end += len(line)
            self._torn = False

        try:
            storage.PATIENCE.write(self._path, attempt)
        except storage.StorageError:
            # If this fails too, the next opening drops what stays.
            with suppress(OSError):
                self._mend()
            raise
        self.records.append(record)

    def _mend(self) -> None:
        """Drop what a write that failed, or a driver that was killed, left after the last line."""
        if self._torn:
            # Durable with the next line, and until then dropped again by whoever opens the journal.
            self._file.truncate(self._end)
            self._torn = False

    def close(self) -> None:
        """Release the file, its lock and the lease."""
        self._lease.release()
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
