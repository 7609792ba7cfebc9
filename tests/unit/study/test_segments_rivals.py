"""Of several drivers of a study on shared storage one stays, and damage is named."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raycolor.errors import CheckpointError
from raycolor.remote.bucket import Bucket
from raycolor.storage import StorageError
from raycolor.study import lease, segments
from raycolor.study.records import Record
from raycolor.study.segments import FOLDER, SegmentJournal, read_segments
from tests.unit.study.told import end

pytestmark = pytest.mark.usefixtures("quick_storage")


def times(records: list[Record]) -> list[float]:
    return [record.time for record in records]


# --- rivals


Open = Callable[..., SegmentJournal]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Open]:
    """Opens the journal of one study on machines of different names."""
    opened: list[SegmentJournal] = []

    def take(name: str, **options: Any) -> SegmentJournal:
        journal = SegmentJournal(
            Bucket(f"file://{tmp_path}/shared/study"),
            tmp_path / name,
            sleep=lambda seconds: None,
            **options,
        )
        opened.append(journal)
        return journal

    yield take
    for journal in opened:
        journal.close()


def freeze(journal: SegmentJournal) -> None:
    """Let nothing of a driver renew its lease any more."""
    journal._lease._released.set()
    journal._lease._thread.join()


def test_a_second_driver_on_this_machine_is_refused_and_hears_who_works(machines: Open) -> None:
    machines("here")
    with pytest.raises(CheckpointError) as caught:
        machines("here")
    assert ": another search works on this study: process " in str(caught.value)
    assert str(caught.value).endswith("; wait for it, or choose another --study")


def test_a_driver_that_was_killed_here_is_not_waited_for(machines: Open) -> None:
    first = machines("here")
    first.append(end(0))
    freeze(first)
    first._lock.close()
    told: list[str] = []
    second = machines("here", tell=told.append)
    assert told == []
    assert times(second.records) == [0.0]


def test_a_driver_elsewhere_is_taken_over_and_what_it_adds_is_read_by_nobody(
    machines: Open, tmp_path: Path
) -> None:
    frozen = machines("one")
    for number in range(3):
        frozen.append(end(number))
    freeze(frozen)
    told: list[str] = []
    second = machines("two", tell=told.append)
    assert "worked on this study and has not said that it ended" in told[0]
    assert times(second.records) == [0.0, 1.0, 2.0]
    frozen.append(end(90))
    second.append(end(3))
    frozen.append(end(91))
    assert times(read_segments(Bucket(f"file://{tmp_path}/shared/study"))) == [0.0, 1.0, 2.0, 3.0]
    # It notices at the next renewal, at the latest.
    frozen._lease.renew()
    with pytest.raises(CheckpointError, match=r"another search has begun to work on this study: p"):
        frozen.append(end(92))


def test_a_frozen_driver_begins_no_new_segment(machines: Open, tmp_path: Path) -> None:
    frozen = machines("one")
    for number in range(6):
        frozen.append(end(number))
    freeze(frozen)
    second = machines("two")
    frozen.append(end(90))
    with pytest.raises(CheckpointError, match=r"this one ends$"):
        frozen.append(end(91))
    second.append(end(6))
    found = read_segments(Bucket(f"file://{tmp_path}/shared/study"))
    assert times(found) == [float(number) for number in range(7)]


def test_a_lease_that_cannot_be_read_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, machines: Open
) -> None:
    """As when a machine wakes before its network does: the study is another driver's by then."""
    frozen = machines("one")
    freeze(frozen)
    second = machines("two")

    def away(self: Bucket, name: str, *, at_most: int | None = None) -> bytes:
        raise StorageError(f"{name}: cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "read", away)
        frozen._lease.renew()
    second._lease.renew()
    assert second._lease.taken_by is None
    second.append(end(0))
    # By the clock of the day it was not renewed for long: it looks before it writes.
    frozen._lease._confirmed_at -= 2 * lease.EXPIRY_S
    with pytest.raises(CheckpointError, match="another search has begun to work on this study"):
        frozen.append(end(1))


def test_a_driver_that_cannot_renew_its_lease_pauses(
    monkeypatch: pytest.MonkeyPatch, machines: Open
) -> None:
    journal = machines("one")

    def away(self: Bucket, name: str, *, at_most: int | None = None) -> bytes:
        raise StorageError(f"{name}: cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "read", away)
        journal._lease._confirmed_at -= 2 * lease.EXPIRY_S
        with pytest.raises(StorageError, match=r"lease could not be renewed for 60 s"):
            journal.append(end(0))
    journal.append(end(0))


def test_of_two_that_begin_at_once_none_or_one_stays(
    monkeypatch: pytest.MonkeyPatch, machines: Open, tmp_path: Path
) -> None:
    first = machines("one")
    first.append(end(0))
    freeze(first)
    real = Bucket.write

    def write_with_a_rival(self: Bucket, name: str, content: bytes) -> None:
        real(self, name, content)
        if name.startswith(f"{FOLDER}/00000002"):
            real(self, f"{FOLDER}/00000002.ffffffff.jsonl", content)

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "write", write_with_a_rival)
        with pytest.raises(CheckpointError, match="another search has begun to work"):
            machines("two")
    # It took its own segment away; what the rival left, if it was killed then, is no hindrance.
    third = machines("three")
    third.append(end(1))
    place = Bucket(f"file://{tmp_path}/shared/study")
    names = [name.split("/")[1][:17] for name in place.files(FOLDER)]
    assert [name for name in names if name.startswith("00000002")] == ["00000002.ffffffff"]
    assert times(read_segments(place)) == [0.0, 1.0]


def test_a_segment_without_records_gives_way_to_its_rival(machines: Open, tmp_path: Path) -> None:
    first = machines("one")
    first.append(end(0))
    freeze(first)
    second = machines("two")
    second.append(end(1))
    head = json.dumps({"segment": 1, "after": first.origin, "records": 1}) + "\n"
    place = Bucket(f"file://{tmp_path}/shared/study")
    place.write(f"{FOLDER}/00000002.ffffffff.jsonl", head.encode())
    assert times(read_segments(place)) == [0.0, 1.0]
    freeze(second)
    third = machines("three")
    third.append(end(2))
    assert times(read_segments(place)) == [0.0, 1.0, 2.0]


# --- damage


@pytest.fixture
def three(machines: Open, tmp_path: Path) -> list[Path]:
    """Three segments of seven, seven and two records."""
    journal = machines("one")
    for number in range(16):
        journal.append(end(number))
    return sorted((tmp_path / "shared" / "study" / FOLDER).glob("*.jsonl"))


def test_a_line_torn_at_any_byte_is_dropped(three: list[Path], tmp_path: Path) -> None:
    content = three[-1].read_bytes()
    whole = content.rfind(b"\n", 0, -1) + 1
    for length in range(whole, len(content)):
        three[-1].write_bytes(content[:length])
        found = times(read_segments(Bucket(f"file://{tmp_path}/shared/study")))
        assert found == [float(number) for number in range(15)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_segment_that_is_missing_is_named(three: list[Path], tmp_path: Path, place: int) -> None:
    three[place].unlink()
    with pytest.raises(CheckpointError) as caught:
        read_segments(Bucket(f"file://{tmp_path}/shared/study"))
    assert str(caught.value).startswith(f"{FOLDER}/{three[place].name}: is missing, but a later")


def test_a_segment_that_lost_records_is_named(three: list[Path], tmp_path: Path) -> None:
    content = three[0].read_bytes()
    three[0].write_bytes(content[: content.rfind(b"\n", 0, -1) + 1])
    with pytest.raises(CheckpointError, match=r"has 6 records, but .* follows 7; bring the newer"):
        read_segments(Bucket(f"file://{tmp_path}/shared/study"))


@pytest.mark.parametrize(("line", "said"), [(1, "line 1: damaged"), (3, "line 3: damaged")])
def test_a_damaged_line_is_named(three: list[Path], tmp_path: Path, line: int, said: str) -> None:
    lines = three[1].read_bytes().split(b"\n")
    lines[line - 1] = b"{" + lines[line - 1]
    three[1].write_bytes(b"\n".join(lines))
    with pytest.raises(CheckpointError, match=said):
        read_segments(Bucket(f"file://{tmp_path}/shared/study"))


def test_a_lease_says_who_works(machines: Open, tmp_path: Path) -> None:
    journal = machines("one")
    place = Bucket(f"file://{tmp_path}/shared/study")
    found = segments.holder(place)
    assert found is not None
    assert found.mirror == str(tmp_path / "one")
    assert f"{FOLDER}/{lease.FILE}" in place.files()
    journal.close()
    assert segments.holder(place) is None
