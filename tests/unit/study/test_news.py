"""A reader of a journal that grows hears each record once, and of all that happens to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience, StorageError
from raycolor.study import segments
from raycolor.study.aside import move_aside
from raycolor.study.journal import FILE, Journal
from raycolor.study.news import JournalReader, News, Reader, SegmentReader
from raycolor.study.opening import read_records
from raycolor.study.records import End, Record, to_line
from raycolor.study.segments import FOLDER, SegmentJournal
from tests.unit.remote.storages import disk
from tests.unit.study.fakes import Workers, make, run

PATIENT = Patience((0.0,) * 3, sleep=lambda seconds: None)


def end(number: int) -> End:
    return End(time=float(number), reason="finished")


def times(records: list[Record]) -> list[float]:
    return [record.time for record in records]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(segments, "MOST_RECORDS", 7)


@pytest.fixture(params=["folder", "address"])
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """A study in a folder of this machine, or on shared storage."""
    out = tmp_path / "shared"
    return make(tmp_path / "plan", out=out if request.param == "folder" else out.as_uri())


def reader_of(plan: Plan) -> Reader:
    if plan.address_of_study is not None:
        return SegmentReader(plan.address_of_study, patience=PATIENT)
    return JournalReader(plan.folder)


def all_of(plan: Plan) -> list[Record]:
    return read_records(plan.folder, plan.address_of_study)


def test_every_record_is_heard_once_and_in_order(plan: Plan) -> None:
    reader, heard = reader_of(plan), list[Record]()
    assert reader.read() == News(kind="gone")

    def listen(event: object) -> None:
        news = reader.read()
        assert news.kind == ("more" if heard else "anew")
        heard.extend(news.records)

    workers = Workers()
    run(plan, workers, observers=[listen], most_reports=11)
    run(plan, workers, observers=[listen])
    heard.extend(reader.read().records)
    assert repr(heard) == repr(all_of(plan))
    assert len(heard) > 30
    assert reader.read() == News(kind="more", origin=reader.read().origin)


def test_a_study_that_is_moved_aside_is_gone_and_found_and_another_one_is_told(plan: Plan) -> None:
    run(plan, most_reports=20)
    reader = reader_of(plan)
    first = reader.read()
    assert first.origin is not None
    where = move_aside(plan)
    assert reader.read().kind == "gone"
    assert reader.aside(first.origin) == where
    run(replace(plan, seed=1), most_reports=3)
    second = reader.read()
    assert second.kind == "anew"
    assert second.origin != first.origin
    assert repr(second.records) == repr(all_of(plan))
    assert reader.aside(first.origin) == where
    # Deleted, not moved.
    assert reader.aside("journal/00000001.ffffffff.jsonl") is None


def test_a_study_that_is_being_taken_away_is_gone_at_every_step(tmp_path: Path) -> None:
    """As `--fresh` does on shared storage: the newest segment first."""
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    run(plan, most_reports=20)
    reader = reader_of(plan)
    assert len(reader.read().records) > 14
    files = sorted((tmp_path / "shared" / "toy" / FOLDER).glob("0*.jsonl"), reverse=True)
    assert len(files) > 3
    for path in files:
        path.unlink()
        assert reader.read().kind == "gone"


def test_a_driver_that_began_and_withdrew_does_not_hide_the_study(tmp_path: Path) -> None:
    """Its segment, which has no record, was listed in the moment before it took it away."""
    plan = make(tmp_path / "plan", out=(tmp_path / "shared").as_uri())
    run(plan, most_reports=3)
    assert plan.address_of_study is not None
    bucket = Bucket(plan.address_of_study)
    reader, before = reader_of(plan), all_of(plan)
    last = max(name for name in bucket.files(FOLDER) if segments.is_segment(name))
    number, lines = int(last.split("/")[1].split(".")[0]), bucket.read(last).count(b"\n") - 1
    head = {"segment": 1, "after": last, "records": lines}
    withdrawn = f"{FOLDER}/{number + 1:08d}.00000000.jsonl"
    bucket.write(withdrawn, json.dumps(head).encode() + b"\n")
    assert repr(reader.read().records) == repr(before)
    bucket.delete(withdrawn)
    news = reader.read()
    assert (news.kind, news.records) == ("more", [])
    run(plan)
    news = reader.read()
    assert news.kind == "more"
    assert repr([*before, *news.records]) == repr(all_of(plan))


def test_of_shared_storage_only_what_is_new_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = (tmp_path / "shared").as_uri()
    with SegmentJournal(Bucket(address), tmp_path / "driver") as journal:
        for number in range(40):
            journal.append(end(number))
        with disk(monkeypatch, lambda number, name: False) as handler:
            reader = SegmentReader(address, patience=PATIENT)
            assert times(reader.read().records) == [float(number) for number in range(40)]
            assert handler.calls.count("open_input_stream") == 6
            handler.calls.clear()
            assert reader.read().records == []
            assert handler.calls == ["get_file_info"]
            for number in range(40, 44):
                journal.append(end(number))
            handler.calls.clear()
            assert times(reader.read().records) == [40.0, 41.0, 42.0, 43.0]
            # The segment that grew, and the one after it.
            assert handler.calls.count("open_input_stream") == 2


def test_what_a_driver_that_took_over_refuses_does_not_count(tmp_path: Path) -> None:
    address, frozen = (tmp_path / "shared").as_uri(), tmp_path / "one"
    reader = SegmentReader(address, patience=PATIENT)

    def machine(folder: Path) -> SegmentJournal:
        return SegmentJournal(Bucket(address), folder, sleep=lambda seconds: None)

    first = machine(frozen)
    first._lease._released.set()
    first._lease._thread.join()
    for number in range(3):
        first.append(end(number))
    origin = reader.read().origin
    second = machine(tmp_path / "two")
    assert reader.read() == News(kind="more", origin=origin)
    first.append(end(90))
    assert reader.read() == News(kind="more", origin=origin)
    second.append(end(3))
    assert times(reader.read().records) == [3.0]
    first.close()
    second.close()

    # The other way round: it is read before anybody knows that it does not count.
    segment = (tmp_path / "shared" / FOLDER).glob("00000002.*")
    (late,) = [path.name for path in segment]
    hidden = tmp_path / late
    (tmp_path / "shared" / FOLDER / late).rename(hidden)
    reader = SegmentReader(address, patience=PATIENT)
    assert times(reader.read().records) == [0.0, 1.0, 2.0, 90.0]
    hidden.rename(tmp_path / "shared" / FOLDER / late)
    news = reader.read()
    assert (news.kind, times(news.records)) == ("anew", [0.0, 1.0, 2.0, 3.0])


def test_a_storage_that_fails_once_costs_nothing_and_one_that_is_away_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address, away = (tmp_path / "shared").as_uri(), [False]
    with SegmentJournal(Bucket(address), tmp_path / "driver") as journal:
        heard: list[float] = []
        with disk(monkeypatch, lambda number, name: away[0] or number % 5 == 0):
            reader = SegmentReader(address, patience=PATIENT)
            for number in range(30):
                journal.append(end(number))
                away[0] = number % 3 == 1
                if away[0]:
                    with pytest.raises(StorageError, match=r"cannot be read \(.*\) after 4 tries;"):
                        reader.read()
                else:
                    heard += times(reader.read().records)
            assert heard == [float(number) for number in range(30)]


# --- in a folder


Write = Callable[[bytes], None]


@pytest.fixture
def grow(tmp_path: Path) -> Write:
    path = tmp_path / "study" / FOLDER / FILE
    path.parent.mkdir(parents=True)

    def write(content: bytes) -> None:
        with path.open("ab") as file:
            file.write(content)

    return write


def test_lines_that_grow_byte_by_byte_are_heard_when_they_are_whole(
    tmp_path: Path, grow: Write
) -> None:
    reader = JournalReader(tmp_path / "study")
    lines = [to_line(end(number)).encode() + b"\n" for number in range(3)]
    heard: list[float] = []
    for count, byte in enumerate(b"".join(lines), start=1):
        grow(bytes([byte]))
        heard += times(reader.read().records)
        assert len(heard) == sum(count >= len(b"".join(lines[: number + 1])) for number in range(3))
    assert heard == [0.0, 1.0, 2.0]


def test_a_line_that_a_driver_dropped_again_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with Journal(folder / FOLDER) as journal:
        for number in range(3):
            journal.append(end(number))
        reader = JournalReader(folder)
        assert times(reader.read().records) == [0.0, 1.0, 2.0]
        path = folder / FOLDER / FILE
        content = path.read_bytes()
        # Its disk was full after the line, and before it was synced.
        path.write_bytes(b"".join(content.splitlines(keepends=True)[:2]))
        news = reader.read()
        assert (news.kind, times(news.records)) == ("anew", [0.0, 1.0])


def test_a_damaged_line_is_named_with_its_number(tmp_path: Path, grow: Write) -> None:
    reader = JournalReader(tmp_path / "study")
    grow(to_line(end(0)).encode() + b"\n" + to_line(end(1)).encode() + b"\n")
    reader.read()
    grow(to_line(end(2)).encode() + b"\n{\n")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"journal\.jsonl, line 4: damaged"):
            reader.read()


def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot be read \(Not a directory\)"):
        JournalReader(tmp_path / "study").read()
