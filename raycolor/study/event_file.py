"""One file of TensorBoard events, written in the thread that knows them.

TensorBoard's own writer hands events to a thread of its own, where a full disk ends in a traceback
on the screen and the driver hears of it later or never. Here a write that fails raises.
"""

import itertools
import os
import platform
import time
import weakref
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

_numbers = itertools.count()


class EventFile:
    """An event file that is open for writing; every event is in it at once."""

    def __init__(self, folder: Path) -> None:
        """Begin a new file.

        Args:
            folder: the run's; made if it is not there.

        Raises:
            OSError: the storage refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # No file object: its buffer would keep, and write again, what the storage refused.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(folder / _name(), flags, 0o666)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._records = RecordWriter(self)
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_event(self, event: Event) -> None:
        """Write one event.

        Raises:
            OSError: the storage refuses; the file may end in half an event then.
        """
        self._records.write(event.SerializeToString())

    def write(self, content: bytes) -> None:
        """Write all of some bytes, as `RecordWriter` expects it."""
        written = 0
        while written < len(content):
            written += os.write(self._descriptor, content[written:])

    def close(self) -> None:
        """Close the file; nothing is left to be written."""
        self._close()


def _name() -> str:
    """Name a file as TensorBoard looks for it, and as no other of this process is named."""
    parts = (f"{int(time.time()):010d}", platform.node(), os.getpid(), next(_numbers))
    return "events.out.tfevents." + ".".join(map(str, parts))
