"""One file of TensorBoard events, written in the thread that knows them.

TensorBoard's own writer hands events to a thread of its own, where a full disk ends in a traceback
on the screen and the driver hears of it later or never. Here a write that fails raises.
"""

import itertools
import os
import platform
import struct
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

_numbers = itertools.count()


class EventFile:
    """An event file that is open for writing; every event is in it at once."""

    def __init__(self, folder: Path, *, old: "OldEvents | None" = None) -> None:
        """Begin a new file, or go on with one.

        Args:
            folder: the run's; made if it is not there.
            old: a file of it to go on with, after its last whole event.

        Raises:
            OSError: the storage refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # No file object: its buffer would keep, and write again, what the storage refused.
        if old is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(folder / _name(), flags, 0o666)
        else:
            self._descriptor = os.open(old.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._records = RecordWriter(self)
        if old is None:
            self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        else:
            os.ftruncate(self._descriptor, old.size)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class OldEvents:
    """What an event file holds."""

    path: Path
    events: tuple[Event, ...]
    """Its whole events, the version of the file first."""
    size: int
    """Bytes of these; what follows was not written to its end."""


def read_events(path: Path) -> OldEvents:
    """Read an event file up to its last whole event.

    An event is a length of 8 bytes, their checksum of 4, that many bytes, and their checksum.

    Raises:
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    events: list[Event] = []
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        end = place + 12 + length + 4
        if end > len(content):
            break
        try:
            events.append(Event.FromString(content[place + 12 : end - 4]))
        except DecodeError:
            break
        place = end
    return OldEvents(path=path, events=tuple(events), size=place)


def _name() -> str:
    """Name a file as TensorBoard looks for it, and as no other of this process is named."""
    parts = (f"{int(time.time()):010d}", platform.node(), os.getpid(), next(_numbers))
    return "events.out.tfevents." + ".".join(map(str, parts))
