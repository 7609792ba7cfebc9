"""The journal on shared storage: numbered segments, of which a driver writes its own alone.

    journal/00000003.5f0c91d2.jsonl   a segment: its number, and the mark of its driver
    journal/lease.json                which driver works on the study

Object stores cannot append, so `append` writes the newest segment again with one record more; it
returns when that is durable. The first line of a segment names the one before, and how many lines
of it count.

No conditional put is needed, only that a file that was written is seen by the next listing, as S3,
Google's store and disks promise:

- Two drivers that begin in the same moment each write a segment and then look around. At least one
  sees the other's; whoever does withdraws. Both may, and the user tries again; both never stay.
- A driver that was frozen while another took over (see `lease`) may write on for 20 s. It writes to
  its own segment, and the other's first line has said how many lines of that one count, so what
  it adds is read by nobody.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from raycolor.errors import CheckpointError
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience, StorageError
from raycolor.study import lease
from raycolor.study.lease import EXPIRY_S, Holder, Lease, read_holder
from raycolor.study.lines import asked_after, parsed
from raycolor.study.lock import Lock
from raycolor.study.records import FORMAT, Record, to_line

FOLDER = "journal"
LOCK = "driver.lock"
"""In a driver's own folder: one driver of this machine at a time."""
MOST_RECORDS = 100
"""Records of a segment: each record writes all before it again."""
LEASE_WAITS_S = (1.0, 2.0, 4.0)
"""Seconds between the tries of a renewal; the next one comes soon."""
READINGS = 3
"""Times that all segments are read, if some vanish meanwhile."""
READERS = 16
"""Segments that are read at once."""
_NAME = re.compile(FOLDER + r"/(\d{8})\.([0-9a-f]{8})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment as it was read."""

    name: str
    number: int
    mark: str
    """Of its driver."""
    after: str | None
    """Name of the segment before; None for the first."""
    after_records: int
    """Records of that one which count."""
    lines: tuple[bytes, ...]
    """Its records, one a line."""


class BucketSlot:
    """A lease in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._name = f"{FOLDER}/{lease.FILE}"

    def __str__(self) -> str:
        return self._bucket.where(self._name)

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is."""
        try:
            return self._bucket.read(self._name)
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all."""
        self._bucket.write(self._name, content)

    def clear(self) -> None:
        """Remove it."""
        self._bucket.delete(self._name)


def read_segments(bucket: Bucket) -> list[Record]:
    """Read all records of a study on shared storage; an empty list if there is no journal.

    Args:
        bucket: the study's folder.

    Raises:
        CheckpointError: a segment is damaged or missing, or the format is another one.
        StorageError: the storage refuses, and went on refusing.
    """
    return _records(bucket, chain(_read(bucket)))


def holder(bucket: Bucket) -> Holder | None:
    """Read which driver works on a study; None if none does."""
    return read_holder(BucketSlot(bucket))


def chain(segments: Sequence[Segment]) -> list[tuple[Segment, int]]:
    """Choose the segments that count, in order, and how many records of each do.

    Args:
        segments: all that are there.

    Raises:
        CheckpointError: one that another one names is missing.
    """
    following: dict[str | None, list[Segment]] = {}
    for segment in segments:
        following.setdefault(segment.after, []).append(segment)
    found: list[tuple[Segment, int]] = []
    last: Segment | None = None
    while True:
        candidates = following.get(None if last is None else last.name, [])
        if not candidates:
            break

        # One that others go on from, then one with records: a driver that withdrew, and was
        # killed before it could remove its segment, has neither. Then a driver that took over.
        mark = None if last is None else last.mark
        ranked = {
            (s.name in following, bool(s.lines), s.mark != mark, s.name): s for s in candidates
        }
        chosen = ranked[max(ranked)]
        if last is not None:
            found[-1] = (last, chosen.after_records)
            if chosen.after_records > len(last.lines):
                raise CheckpointError(
                    f"{last.name}: has {len(last.lines)} records, but {chosen.name} follows "
                    f"{chosen.after_records}; bring the newer version of it back"
                )
        found.append((chosen, len(chosen.lines)))
        last = chosen
    reached = {segment.number for segment, _ in found}
    if lost := [s for s in segments if s.number not in reached and s.number > len(found)]:
        missing = min(lost, key=lambda segment: segment.number).after
        raise CheckpointError(
            f"{missing}: is missing, but a later segment follows it; bring it back, or move the "
            "study's folder away to begin anew"
        )
    return found


def origin_of(bucket: Bucket) -> str | None:
    """Return the name of a study's first segment, which no other study has; None without one."""
    counted = chain(_read(bucket))
    return counted[0][0].name if counted else None


@contextmanager
def held(
    bucket: Bucket, mirror: Path, *, tell: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Keep other drivers off a study without reading its journal, which may be damaged.

    Args:
        bucket: the study's folder.
        mirror: this driver's own folder on this machine; made if it is not there.
        tell: hears why this takes a minute, where it does.

    Raises:
        CheckpointError: another driver works on the study.
    """
    slot = BucketSlot(bucket)
    lock = _locked(bucket, mirror, slot)
    try:
        taken = Lease(slot, tell=tell, mirror=str(mirror.resolve()))
        try:
            yield
        finally:
            taken.release()
    finally:
        lock.close()


def _read(bucket: Bucket) -> list[Segment]:
    """Read all segments, whichever count."""
    for left in reversed(range(READINGS)):
        names = [name for name in bucket.files(FOLDER) if is_segment(name)]
        try:
            with ThreadPoolExecutor(READERS) as readers:
                contents = list(readers.map(bucket.read, names))
        except FileNotFoundError:
            # A driver that withdrew has taken its segment away meanwhile.
            if not left:
                raise
        else:
            return [to_segment(name, text) for name, text in zip(names, contents, strict=True)]
    raise AssertionError("the last reading returns or raises")


def is_segment(name: str) -> bool:
    """Tell whether a file of a study's folder is a segment of its journal."""
    return _NAME.fullmatch(name) is not None


def to_segment(name: str, content: bytes) -> Segment:
    """Take a segment's content apart.

    Raises:
        CheckpointError: its first line is damaged.
    """
    match = _NAME.fullmatch(name)
    assert match is not None
    # What a store was given when its driver was killed may end within a line.
    head, *lines = content.split(b"\n")[:-1] or [b""]
    try:
        tree = json.loads(head)
        return Segment(
            name=name,
            number=int(match[1]),
            mark=match[2],
            after=tree["after"],
            after_records=int(tree["records"]),
            lines=tuple(lines),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{name}, line 1: damaged ({error}); bring the segment back, or move the study's "
            "folder away to begin anew"
        ) from error


def _records(bucket: Bucket, counted: Sequence[tuple[Segment, int]]) -> list[Record]:
    records: list[Record] = []
    asked = 0
    for segment, number in counted:
        content = b"".join(line + b"\n" for line in segment.lines[:number])
        for record in parsed(bucket.where(segment.name), content, asked=asked, first_line=2):
            asked = asked_after(record, asked)
            records.append(record)
    return records


class SegmentJournal:
    """The journal of one study on shared storage, open for writing by this process alone.

    Attributes:
        records: all of the study so far.
        origin: name of its first segment, which no other study has.
    """

    def __init__(
        self,
        bucket: Bucket,
        mirror: Path,
        *,
        tell: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open or create a journal, and take its lease.

        Args:
            bucket: the study's folder.
            mirror: this driver's own folder on this machine; made if it is not there.
            tell: hears why opening it takes a minute, where it does.
            sleep: waits that many seconds.

        Raises:
            CheckpointError: another process writes it, or it is damaged.
            StorageError: the storage refuses, and went on refusing.
        """
        self._bucket = bucket
        self._mark = secrets.token_hex(4)
        # With a patience of its own: what the lease gave up must not make the journal impatient.
        slot = BucketSlot(Bucket(bucket.address, patience=Patience(LEASE_WAITS_S)))
        self._lock = _locked(bucket, mirror, slot)
        try:
            self._lease = Lease(slot, tell=tell, sleep=sleep, mirror=str(mirror.resolve()))
        except BaseException:
            self._lock.close()
            raise
        try:
            counted = chain(_read(bucket))
            self.records = _records(bucket, counted)
            last, number = counted[-1] if counted else (None, 0)
            self._begin(last.name if last else None, number, last.number + 1 if last else 1)
            self.origin = counted[0][0].name if counted else self._name
        except BaseException:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Write one record; it is durable when this returns.

        Raises:
            StorageError: the storage refuses, and went on refusing.
            CheckpointError: another driver has taken over the study.
        """
        if len(self._lines) >= MOST_RECORDS:
            self._begin(self._name, len(self._lines), self._number + 1)
        self._lease.check()
        if self._lease.taken_by is not None:
            raise self._taken(self._lease.taken_by)
        if self._lease.is_doubtful:
            raise StorageError(
                f"{self._bucket}: this search's lease could not be renewed for {EXPIRY_S:g} s, so "
                "another may have taken over; mend the storage, then give the same command again"
            )
        line = to_line(record).encode("utf-8")
        self._write([*self._lines, line])
        self._lines.append(line)
        self.records.append(record)

    @property
    def is_taken(self) -> bool:
        """Tell whether another driver has taken over the study."""
        return self._lease.taken_by is not None

    def close(self) -> None:
        """Release the lease and the lock."""
        try:
            self._lease.release()
        finally:
            self._lock.close()

    def __enter__(self) -> "SegmentJournal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, after: str | None, records: int, number: int) -> None:
        """Begin a segment, unless another driver has begun one of that number or later."""
        name = f"{FOLDER}/{number:08d}.{self._mark}.jsonl"
        head = json.dumps({"segment": FORMAT, "after": after, "records": records}).encode("utf-8")
        self._bucket.write(name, head + b"\n")
        for other in self._bucket.files(FOLDER):
            match = _NAME.fullmatch(other)
            if match and int(match[1]) >= number and match[2] != self._mark:
                with suppress(StorageError):
                    self._bucket.delete(name)
                raise self._taken(self._lease.taken_by or holder(self._bucket))
        self._name, self._number, self._head = name, number, head
        self._lines: list[bytes] = []

    def _write(self, lines: Sequence[bytes]) -> None:
        content = b"".join(line + b"\n" for line in (self._head, *lines))
        self._bucket.write(self._name, content)

    def _taken(self, by: Holder | None) -> CheckpointError:
        who = f": {by}" if by else ""
        return CheckpointError(
            f"{self._bucket}: another search has begun to work on this study{who}; this one ends"
        )


def _locked(bucket: Bucket, mirror: Path, slot: BucketSlot) -> Lock:
    try:
        mirror.mkdir(parents=True, exist_ok=True)
        return Lock(mirror / LOCK)
    except BlockingIOError as error:
        found = read_holder(slot)
        raise CheckpointError(
            f"{bucket}: another search works on this study"
            + (f": {found}" if found else "")
            + "; wait for it, or choose another --study"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{mirror}: cannot be written ({error.strerror or error}); name another folder in "
            "the environment variable RAYCOLOR_CACHE"
        ) from error
