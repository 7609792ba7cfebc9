"""The journal keeps what it was told, through kills, full disks and odd text."""

import itertools
import json
import math
import multiprocessing
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raycolor.errors import CheckpointError
from raycolor.storage import Patience
from raycolor.study import lease
from raycolor.study.journal import FILE, Journal, read_journal
from raycolor.study.lease import FileSlot, read_holder
from raycolor.study.records import (
    FORMAT,
    Ask,
    Decision,
    End,
    Fault,
    Record,
    References,
    Reported,
    Session,
    from_line,
    to_line,
)
from raycolor.study.state import fold

TIME = 1_000_000_000.25
RECORDS: list[Record] = [
    Session(
        format=FORMAT,
        time=TIME,
        identity={"fixed": {"data.size": 64, "generator.ema_decay": None}, "seed": 0},
        plan={"rungs": [512, 1536], "time_budget_s": None},
        environment={"python": "3.11", "packages": {"ray": "2"}},
    ),
    References(time=TIME, scores={"gray": {"fd": 81.5, "psnr": math.inf}, "truth": {"fd": 0.0}}),
    Ask(
        time=TIME,
        number=0,
        phase="search",
        seed=2**32 - 1,
        chosen={"a": 1e-5, "b": 3, "c": True, "d": None, "e": "scratch", "f": 0.1 + 0.2},
    ),
    Reported(
        time=TIME,
        number=0,
        images_seen=512,
        stage="pretraining",
        metrics={"fd": 81.123456789012345, "loss": math.nan, "up": math.inf, "down": -math.inf},
        decision=Decision(
            action="go_on",
            reason="first at rung 512",
            rung=512,
            value=1 / 3,
            cutoff=math.inf,
            standing=0,
        ),
    ),
    Reported(
        time=TIME,
        number=0,
        images_seen=1024,
        stage="adversarial",
        metrics={},
        decision=Decision(action="prune", reason="no number", value=math.nan),
    ),
    Fault(time=TIME, number=0, images_seen=512, text="Traceback:\n  died\r\n", final=False),
    End(time=TIME, reason="interrupted"),
]


def write(folder: Path, records: list[Record]) -> Path:
    with Journal(folder) as journal:
        for record in records:
            journal.append(record)
    return folder / FILE


def spelled(records: list[Record]) -> list[str]:
    """Records as text, in which NaN equals itself."""
    return [repr(record) for record in records]


# --- round trips


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.record)
def test_a_record_survives_its_line(record: Record) -> None:
    line = to_line(record)
    assert "\n" not in line
    assert repr(from_line(line)) == repr(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.record)
def test_a_line_is_json_for_everybody(record: Record) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    tree = json.loads(to_line(record), parse_constant=refuse)
    assert tree["record"] == record.record


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, RECORDS)
    assert spelled(read_journal(tmp_path)) == spelled(RECORDS)


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    for record in RECORDS:
        write(tmp_path, [record])
    with Journal(tmp_path) as journal:
        assert spelled(journal.records) == spelled(RECORDS)
    assert spelled(read_journal(tmp_path)) == spelled(RECORDS)


def test_a_journal_tells_what_was_appended(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for number, record in enumerate(RECORDS, start=1):
            journal.append(record)
            assert spelled(journal.records) == spelled(RECORDS[:number])
            assert spelled(read_journal(tmp_path)) == spelled(RECORDS[:number])


def test_no_journal_has_no_records(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


FLOATS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(st.characters(codec="utf-8"))


@given(
    metrics=st.dictionaries(TEXTS, FLOATS),
    reason=TEXTS,
    value=st.none() | FLOATS,
    cutoff=st.none() | FLOATS,
)
def test_every_report_survives_its_line(
    metrics: dict[str, float], reason: str, value: float | None, cutoff: float | None
) -> None:
    # A reason is a sentence; `nan` alone is how the number is written.
    decision = Decision(action="go_on", reason=f"{reason}.", value=value, cutoff=cutoff)
    record = Reported(
        time=TIME, number=0, images_seen=1, stage="adversarial", metrics=metrics, decision=decision
    )
    assert repr(from_line(to_line(record))) == repr(record)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_stays_in_its_record(tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / FILE).unlink(missing_ok=True)
    records: list[Record] = [
        RECORDS[2],
        *(Fault(time=TIME, number=0, images_seen=0, text=text, final=False) for text in texts),
    ]
    write(tmp_path, records)
    assert read_journal(tmp_path) == records


@pytest.mark.parametrize("separator", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_looks_like_a_line_end_in_a_text_is_none(tmp_path: Path, separator: str) -> None:
    record = Fault(time=TIME, number=0, images_seen=0, text=f"before{separator}after", final=True)
    write(tmp_path, [*RECORDS, record, *RECORDS[:2]])
    assert spelled(read_journal(tmp_path)) == spelled([*RECORDS, record, *RECORDS[:2]])


# --- torn and damaged files


def test_a_line_torn_at_any_byte_is_dropped(tmp_path: Path) -> None:
    records = RECORDS[2:5]
    whole = write(tmp_path / "whole", records).read_bytes()
    lines = whole.splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, lines)))
    for kept in range(len(whole) + 1):
        (tmp_path / FILE).write_bytes(whole[:kept])
        complete = sum(end <= kept for end in ends)
        assert spelled(read_journal(tmp_path)) == spelled(records[:complete])


def test_a_torn_line_is_gone_after_the_next_opening(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", RECORDS).read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    for end in range(last + 1, len(whole), 7):
        path = tmp_path / FILE
        path.write_bytes(whole[:end])
        with Journal(tmp_path) as journal:
            assert spelled(journal.records) == spelled(RECORDS[:-1])
            assert path.read_bytes() == whole[:last]
            journal.append(RECORDS[-1])
        assert path.read_bytes() == whole


def test_reading_leaves_a_torn_line_alone(tmp_path: Path) -> None:
    """Another process may be in the middle of writing it."""
    path = write(tmp_path, RECORDS)
    torn = path.read_bytes()[:-5]
    path.write_bytes(torn)
    read_journal(tmp_path)
    assert path.read_bytes() == torn


DAMAGED = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"5",
    b"[]",
    b"{}",
    b'{"record": "dance"}',
    b'{"record": "ask", "number": 0}',
    b'{"record": "end", "time": 1.0, "reason": "finished", "extra": 1}',
    (
        b'{"record": "report", "time": 1.0, "number": 0, "images_seen": 1, "stage": "", '
        b'"metrics": {}, "decision": 5}'
    ),
    (
        b'{"record": "report", "time": 1.0, "number": 0, "images_seen": 1, "stage": "", '
        b'"metrics": [], "decision": {"action": "end", "reason": ""}}'
    ),
    (
        b'{"record": "report", "time": 1.0, "number": 0, "images_seen": 1, "stage": "", '
        b'"metrics": {}, "decision": {"verdict": "end"}}'
    ),
    b'{"record": "references", "time": 1.0, "scores": {"gray": 5}}',
    b'{"record": "references", "time": 1.0, "scores": 5}',
    b'{"record": "ask", "time": 1.0, "number": 0, "phase": "search", "seed": 0, "chosen": 5}',
]


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("line", [1, 4, len(RECORDS)])
def test_a_damaged_line_is_named(tmp_path: Path, damage: bytes, line: int) -> None:
    path = write(tmp_path, RECORDS)
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = damage
    path.write_bytes(b"\n".join(lines))
    damaged = path.read_bytes()
    message = rf"journal\.jsonl, line {line}: damaged \(.+\); mend or remove the line, or move"
    with pytest.raises(CheckpointError, match=message):
        read_journal(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        Journal(tmp_path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("taken_out", "named", "problem"),
    [(3, 3, "trial 0 has not begun"), (8, 8, "trial 2 begins, but the next one is 1")],
)
def test_a_trial_whose_begin_is_missing_is_named(
    tmp_path: Path, taken_out: int, named: int, problem: str
) -> None:
    """As when somebody takes out a line that was damaged."""
    asks = [Ask(time=TIME, number=n, phase="search", seed=0, chosen={}) for n in (1, 2)]
    path = write(tmp_path, [*RECORDS, *asks, RECORDS[-1]])
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[taken_out - 1]
    path.write_bytes(b"".join(lines))
    # The first line that does not fit.
    with pytest.raises(CheckpointError, match=rf"line {named}: damaged \({problem}\)"):
        read_journal(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_byte_is_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    """No damage ends in a traceback; what is still JSON of the right shape cannot be told."""
    (tmp_path / FILE).unlink(missing_ok=True)
    path = write(tmp_path, RECORDS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError):
        fold(read_journal(tmp_path))


@pytest.mark.parametrize("version", [0, 2, None, "1"])
@pytest.mark.parametrize("other_fields", [{}, {"cluster": "a field of that version"}])
def test_another_format_is_refused_as_such(
    tmp_path: Path, version: object, other_fields: dict[str, Any]
) -> None:
    tree = json.loads(to_line(RECORDS[0])) | {"format": version} | other_fields
    path = write(tmp_path, [])
    path.write_text(json.dumps(tree) + "\n", encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        Journal(tmp_path)
    assert str(caught.value) == (
        f"{path}, line 1: the journal has format {version}, this raycolor writes {FORMAT}; use "
        "the raycolor that began the study, or another --study"
    )


# --- one writer, and storage that refuses


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append(RECORDS[0])
        with pytest.raises(CheckpointError) as caught:
            Journal(tmp_path)
        holder = read_holder(FileSlot(tmp_path / lease.FILE))
        assert str(caught.value) == (
            f"{tmp_path / FILE}: another search works on this study: {holder}; wait for it, or "
            "choose another --study"
        )
        journal.append(RECORDS[1])
        assert spelled(read_journal(tmp_path)) == spelled(RECORDS[:2])
    Journal(tmp_path).close()


def _hold(folder: Path, held: Any, release: Any) -> None:
    with Journal(folder):
        held.set()
        release.wait(30)


def test_a_writer_in_another_process_is_respected(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, release))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(CheckpointError, match="another search works on this study"):
            Journal(tmp_path)
        # Killed, it holds no lock any longer.
        other.kill()
        other.join(30)
        Journal(tmp_path).close()
    finally:
        other.kill()
        other.join(30)


def test_a_damaged_journal_is_not_locked_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path, RECORDS)
    content = path.read_bytes()
    path.write_bytes(b"garbage\n" + content)
    with pytest.raises(CheckpointError, match="line 1: damaged"):
        Journal(tmp_path)
    path.write_bytes(content)
    with Journal(tmp_path) as journal:
        assert spelled(journal.records) == spelled(RECORDS)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, no file grows beyond some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_leaves_nothing_of_a_record(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raycolor.storage.PATIENCE", Patience(waits_s=()))
    path = write(tmp_path, RECORDS[:3])
    before = path.read_bytes()
    with Journal(tmp_path) as journal:
        with (
            files_of_at_most(len(before) + room),
            pytest.raises(
                CheckpointError, match=r"journal\.jsonl: cannot be written \(.*make room"
            ),
        ):
            journal.append(RECORDS[3])
        assert spelled(journal.records) == spelled(RECORDS[:3])
        assert path.read_bytes() == before
        # Room was made.
        for record in RECORDS[3:]:
            journal.append(record)
    assert spelled(read_journal(tmp_path)) == spelled(RECORDS)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot be written \(.*choose another --out"):
        Journal(tmp_path / "file" / "journal")
