"""What is new in a journal that another process writes: read again and again, never written.

A reading costs a listing, and what has changed since the one before: a segment only grows, so one
of the same name and size is the same. Of a journal in a folder only its new end is read.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from raycolor.remote.address import below, last_name, parent
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience, refusal
from raycolor.study.journal import FILE
from raycolor.study.lines import asked_after, parsed
from raycolor.study.records import Record
from raycolor.study.segments import FOLDER, READERS, Segment, chain, is_segment, to_segment

WAITS_S = (1.0, 2.0, 4.0)
"""Seconds between the tries of a call: a reader says soon that a storage is away, and waits on."""
MOST_ASIDE = 10_000
"""Studies of one name that were moved aside, among which one is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a reading found."""

    kind: Literal["more", "anew", "gone"]
    """`more`: the records follow those of the reading before. `anew`: they are all that there are,
    and what was read before does not count, as at the first reading. `gone`: there is no journal,
    or it is being taken away."""
    records: list[Record] = field(default_factory=list)
    origin: str | None = None
    """What no other study has; None where there is no journal."""


@runtime_checkable
class Reader(Protocol):
    """Reads a study's journal while it grows."""

    def read(self) -> News:
        """Read what is new.

        Raises:
            CheckpointError: the journal is damaged, or of another format.
            StorageError: the storage refuses, and went on refusing.
        """
        ...

    def aside(self, origin: str) -> str | None:
        """Find where a study that was read here lies now, if `--fresh` has moved it aside.

        Args:
            origin: of that study.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        ...


class SegmentReader:
    """Reads the segments of a study on shared storage."""

    def __init__(self, address: str, *, patience: Patience | None = None) -> None:
        """Name the study.

        Args:
            address: of the study.
            patience: of all calls; of some seconds if not given.
        """
        self._origin: str | None = None
        self._patience = patience or Patience(WAITS_S)
        self._bucket = Bucket(address, patience=self._patience)
        self._known: dict[str, tuple[int, Segment]] = {}
        self._counted: list[tuple[str, int]] = []
        self._asked = 0

    def read(self) -> News:
        """Read what is new; see `Reader`."""
        segments = self._segments()
        counted = chain(segments)
        if not counted:
            return News(kind="gone")
        origin = counted[0][0].name
        there = {segment.name for segment in segments}
        if origin == self._origin:
            while self._counted[-1][1] == 0 and self._counted[-1][0] not in there:
                # A driver that withdrew has taken it away; it had no records.
                self._counted.pop()
        if origin == self._origin and any(name not in there for name, _ in self._counted):
            # `--fresh` takes the newest segments away first.
            return News(kind="gone")
        if goes_on := self._goes_on(counted):
            first, skipped = len(self._counted) - 1, self._counted[-1][1]
        else:
            first, skipped, self._asked = 0, 0, 0
        records: list[Record] = []
        asked = self._asked
        for segment, number in counted[first:]:
            content = b"".join(line + b"\n" for line in segment.lines[skipped:number])
            where = self._bucket.where(segment.name)
            for record in parsed(where, content, asked=asked, first_line=2 + skipped):
                asked = asked_after(record, asked)
                records.append(record)
            skipped = 0
        # Last: a reading that fails is one that was not.
        self._origin, self._asked = origin, asked
        self._counted = [(segment.name, number) for segment, number in counted]
        return News(kind="more" if goes_on else "anew", records=records, origin=origin)

    def aside(self, origin: str) -> str | None:
        """Find where the study lies now; see `Reader`."""
        name, above = last_name(self._bucket.address), parent(self._bucket.address)
        around = Bucket(above, patience=self._patience)
        for number in range(1, MOST_ASIDE):
            if around.size(f"{name}.{number}/{origin}") is not None:
                return below(above, f"{name}.{number}")
            if not around.children(f"{name}.{number}"):
                break
        return None

    def _segments(self) -> list[Segment]:
        """Return all segments that are there; read those that are new or have grown."""
        listed = {n: e.size for n, e in self._bucket.files(FOLDER).items() if is_segment(n)}
        known = {name: self._known[name] for name in listed if name in self._known}
        wanted = [name for name in listed if name not in known or known[name][0] != listed[name]]
        with ThreadPoolExecutor(READERS) as readers:
            for name, content in zip(wanted, readers.map(self._content, wanted), strict=True):
                if content is None:
                    known.pop(name, None)
                else:
                    known[name] = (len(content), to_segment(name, content))
        self._known = known
        return [segment for _, segment in known.values()]

    def _content(self, name: str) -> bytes | None:
        try:
            return self._bucket.read(name)
        except FileNotFoundError:
            # A driver that withdrew has taken it away meanwhile, or the study is moved aside.
            return None

    def _goes_on(self, counted: Sequence[tuple[Segment, int]]) -> bool:
        """Tell whether what counts begins with what was read before."""
        before = self._counted
        if not before or len(counted) < len(before):
            return False
        now = [(segment.name, number) for segment, number in counted[: len(before)]]
        # A driver that took over may have refused the last records of the one before.
        last, number = now[-1]
        return now[:-1] == before[:-1] and last == before[-1][0] and number >= before[-1][1]


class JournalReader:
    """Reads the journal of a study in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the study.

        Args:
            folder: the study's.
        """
        self._origin: str | None = None
        self._folder = folder
        self._end = 0
        self._last = b""
        self._lines = 0
        self._asked = 0

    def read(self) -> News:
        """Read what is new; see `Reader`."""
        path = self._folder / FOLDER / FILE
        try:
            with path.open("rb") as file:
                first = file.readline()
                origin = _origin(first)
                if origin is None:
                    return News(kind="gone")
                content = first + file.read() if origin != self._origin else b""
                if not content:
                    file.seek(self._end - len(self._last))
                    tail = file.read()
                    if tail.startswith(self._last):
                        return self._more(path, tail[len(self._last) :])
                    # A driver has dropped what a full disk had let it write in part.
                    file.seek(0)
                    content = file.read()
        except FileNotFoundError:
            return News(kind="gone")
        except OSError as error:
            raise refusal(path, error, what="read") from error
        self._origin, self._end, self._last, self._lines, self._asked = origin, 0, b"", 0, 0
        return News(kind="anew", records=self._more(path, content).records, origin=origin)

    def aside(self, origin: str) -> str | None:
        """Find where the study lies now; see `Reader`."""
        for number in range(1, MOST_ASIDE):
            folder = self._folder.with_name(f"{self._folder.name}.{number}")
            try:
                with (folder / FOLDER / FILE).open("rb") as file:
                    if _origin(file.readline()) == origin:
                        return str(folder)
            except OSError:
                if not folder.exists():
                    break
        return None

    def _more(self, path: Path, content: bytes) -> News:
        whole = content[: content.rfind(b"\n") + 1]
        records: list[Record] = []
        asked = self._asked
        for record in parsed(path, whole, asked=asked, first_line=self._lines + 1):
            asked = asked_after(record, asked)
            records.append(record)
        if whole:
            self._end += len(whole)
            self._last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
            self._lines += whole.count(b"\n")
            self._asked = asked
        return News(kind="more", records=records, origin=self._origin)


def _origin(first_line: bytes) -> str | None:
    """Name a journal by its first line, which has the moment in which the study began."""
    if not first_line.endswith(b"\n"):
        return None
    return f"{FILE} {hashlib.sha256(first_line).hexdigest()[:16]}"
