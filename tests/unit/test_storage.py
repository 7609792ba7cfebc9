"""A storage that refuses is waited for, then told in one sentence, and nothing is lost by it."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from raycolor import storage
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.files import replacing, write_text
from raycolor.plan import Plan
from raycolor.storage import WAITS_S, Patience, StorageError, is_of_storage
from raycolor.study.engine import Engine
from raycolor.study.journal import FILE, Journal, read_journal
from raycolor.study.records import Fault, Record, Reported
from raycolor.study.rules import replay
from raycolor.study.state import fold
from raycolor.study.views import Views
from tests.unit.study.fakes import Workers, clock, make, run, sick_curve, story


@dataclass(slots=True, kw_only=True)
class Refusing:
    """A storage that refuses some of its calls."""

    refuses: Callable[[int], bool]
    """By the number of the call, from 1 on."""
    calls: int = 0
    refused: int = 0

    def check(self) -> None:
        self.calls += 1
        if self.refuses(self.calls):
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass(slots=True, kw_only=True)
class Clock:
    """Waits without waiting."""

    waited: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The process's patience, with a clock that costs nothing."""
    timer = Clock()
    monkeypatch.setattr(storage, "PATIENCE", Patience(sleep=timer.sleep))
    return timer


# --- patience


@pytest.mark.parametrize("failures", range(len(WAITS_S) + 1))
def test_a_write_is_tried_until_it_succeeds(failures: int) -> None:
    timer, disk = Clock(), Refusing(refuses=lambda call: call <= failures)
    Patience(sleep=timer.sleep).write(Path("file"), disk.check)
    assert disk.calls == failures + 1
    assert timer.waited == list(WAITS_S[:failures])


def test_a_write_is_given_up_in_one_sentence_after_half_a_minute() -> None:
    timer, disk = Clock(), Refusing(refuses=lambda call: True)
    with pytest.raises(StorageError) as caught:
        Patience(sleep=timer.sleep).write(Path("some/file"), disk.check)
    assert str(caught.value) == (
        "some/file: cannot be written (No space left on device) after 6 tries; make room or mend "
        "the storage, then give the same command again"
    )
    assert (disk.calls, sum(timer.waited)) == (6, 30.0)


def test_a_storage_that_was_given_up_is_not_waited_for_until_it_works_again() -> None:
    timer, disk = Clock(), Refusing(refuses=lambda call: call not in (8, 10))
    patience = Patience(sleep=timer.sleep)
    for _ in range(2):
        with pytest.raises(StorageError):
            patience.write(Path("file"), disk.check)
    assert (disk.calls, sum(timer.waited)) == (7, 30.0)
    patience.write(Path("file"), disk.check)
    patience.write(Path("file"), disk.check)
    assert (disk.calls, sum(timer.waited)) == (10, 31.0)


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST])
def test_what_no_waiting_mends_is_told_at_once(number: int) -> None:
    def attempt() -> None:
        raise OSError(number, os.strerror(number))

    timer = Clock()
    with pytest.raises(StorageError, match=r"file: cannot be written \([^)]+\); make room"):
        Patience(sleep=timer.sleep).write(Path("file"), attempt)
    assert timer.waited == []


def test_other_errors_pass() -> None:
    def attempt() -> None:
        raise KeyError("a fault of raycolor")

    with pytest.raises(KeyError):
        Patience(waits_s=(0.0,)).write(Path("file"), attempt)


def test_faults_of_storages_are_told_from_others() -> None:
    assert is_of_storage(OSError(errno.ENOSPC, "full"))
    assert is_of_storage(OSError(errno.ESTALE, "gone"))
    assert not is_of_storage(FileNotFoundError(errno.ENOENT, "no such file"))
    assert not is_of_storage(OSError("no number"))


# --- a study whose storage fails


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Refusing:
    """Every fsync asks it; they are what makes a journal, and the tests need no real ones."""
    refusing = Refusing(refuses=lambda call: False)
    monkeypatch.setattr(os, "fsync", lambda file: refusing.check())
    return refusing


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path / "plan")


@pytest.mark.parametrize("every", [2, 3, 7])
@pytest.mark.usefixtures("waits")
def test_a_storage_that_fails_now_and_then_costs_nothing(
    tmp_path: Path, plan: Plan, disk: Refusing, every: int
) -> None:
    expected = story(run(plan, Workers(curve=sick_curve)))
    disk.refuses = lambda call: call % every == 0
    other = make(tmp_path / "other")
    records = run(other, Workers(curve=sick_curve))
    assert disk.refused > 5
    assert story(records) == expected
    assert repr(read_journal(other.folder / "journal")) == repr(records)
    assert replay(other, records) == []


def work_through_failures(plan: Plan, workers: Workers, disk: Refusing, every: int) -> int:
    """Work on a study whose storage takes only some writes a session; return the sessions."""
    for session in range(1, 500):
        begun = disk.calls
        disk.refuses = lambda call, begun=begun: call - begun >= every  # type: ignore[misc]
        with suppress(StorageError), Journal(plan.folder / "journal") as journal:
            engine = Engine(plan, journal, clock=clock())
            engine.begin({}, "abc")
            workers.run(engine)
            assert engine.finished
            return session
    pytest.fail("the study does not come to its end")


@pytest.mark.parametrize("every", [3, 4, 9, 20])
@pytest.mark.usefixtures("waits")
def test_a_study_that_paused_at_any_write_goes_on_as_if_it_had_not(
    tmp_path: Path, plan: Plan, disk: Refusing, every: int
) -> None:
    expected = story(run(plan, Workers(curve=sick_curve)))
    other = make(tmp_path / "other")
    assert work_through_failures(other, Workers(curve=sick_curve), disk, every) > 1
    records = read_journal(other.folder / "journal")
    assert story(records) == expected
    assert replay(other, records) == []
    keys = [(r.number, r.images_seen) for r in records if isinstance(r, Reported)]
    assert len(keys) == len(set(keys))


@pytest.mark.usefixtures("waits")
def test_a_line_that_cannot_be_taken_back_is_dropped_when_it_can(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage writes half a line, and then refuses to shorten the file too."""
    folder = plan.folder / "journal"
    records = run(plan, Workers(), most_reports=5)
    before = (folder / FILE).read_bytes()
    record = Fault(time=1.0, number=0, images_seen=0, text="died", final=False)
    with Journal(folder) as journal:
        real = journal._file

        class Half:
            """The file, while the storage refuses."""

            def write(self, content: bytes) -> int:
                real.write(content[: len(content) // 2])
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            def truncate(self, size: int) -> int:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            def fileno(self) -> int:
                return real.fileno()

        monkeypatch.setattr(journal, "_file", Half())
        with pytest.raises(StorageError, match="Input/output error"):
            journal.append(record)
        assert (folder / FILE).read_bytes() != before
        monkeypatch.setattr(journal, "_file", real)
        journal.append(record)
        assert (folder / FILE).read_bytes().startswith(before)
    assert repr(read_journal(folder)) == repr([*records, record])


# --- views


def contents(folder: Path) -> dict[str, str]:
    names = ("leaderboard.csv", "plan.yaml", "environment.json")
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def session(plan: Plan, *, mend_after: int | None, monkeypatch: pytest.MonkeyPatch) -> Views:
    """Work on a study whose views fail until some reports have come, or for ever."""
    reports = 0

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def heard(event: object) -> None:
        nonlocal reports
        reports += 1
        if reports == mend_after:
            patched.undo()

    patched = pytest.MonkeyPatch()
    try:
        patched.setattr("raycolor.study.views.replacing", refuse)
        patched.setattr("raycolor.study.views.write_csv", refuse)
        patched.setattr("raycolor.study.event_file.EventFile.write", refuse)
        with Journal(plan.folder / "journal") as journal:
            engine = Engine(plan, journal, clock=clock())
            views = Views(plan)
            engine.observers += [views.take, heard]
            engine.begin({"python": "3"}, "abc")
            views.rebuild(engine.state)
            Workers(curve=sick_curve).run(engine)
            engine.end("finished")
            views.close(engine.state)
    finally:
        patched.undo()
    return views


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
@pytest.mark.usefixtures("waits")
def test_views_that_failed_for_a_while_are_complete_in_the_end(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr("raycolor.study.views.SECONDS_BEHIND", seconds)
    assert session(plan, mend_after=1, monkeypatch=monkeypatch).problem is None
    other = make(tmp_path / "other")
    assert session(other, mend_after=12, monkeypatch=monkeypatch).problem is None
    assert contents(other.folder) == contents(plan.folder)
    for each in (plan, other):
        runs = sorted(path.name for path in (each.folder / "tensorboard").glob("*/"))
        assert len(runs) == len(fold(read_journal(each.folder / "journal")).trials)


def test_views_that_cannot_be_written_end_no_study(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, waits: Clock
) -> None:
    views = session(plan, mend_after=None, monkeypatch=monkeypatch)
    assert views.problem is not None
    assert views.problem.startswith(
        f"{plan.folder}: cannot be written (No space left on device) after 6 tries; make room"
    )
    assert sum(waits.waited) == 30.0  # at the end, and nowhere before
    records = read_journal(plan.folder / "journal")
    assert records[-1].record == "end"
    assert replay(plan, records) == []


# --- a disk that is really full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return path


@pytest.mark.usefixtures("waits")
def test_a_journal_on_a_full_disk_pauses_and_goes_on(small_disk: Path, plan: Plan) -> None:
    expected = story(run(plan, Workers()))
    full = make(small_disk)
    workers = Workers()
    run(full, workers, most_reports=4)
    with Journal(full.folder / "journal") as journal:
        engine = Engine(full, journal, clock=clock())
        filler = fill(small_disk)

        def go_on() -> None:
            engine.begin({}, "abc")
            workers.run(engine)

        with pytest.raises(StorageError, match=r"journal\.jsonl: cannot be written \(No space"):
            go_on()
        on_disk: list[Record] = read_journal(full.folder / "journal")
        assert repr(on_disk) == repr(journal.records)
    filler.unlink()
    run(full, workers)
    records = read_journal(full.folder / "journal")
    assert story(records) == expected
    assert replay(full, records) == []


def test_a_checkpoint_is_written_once_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_disk / "some.safetensors"
    save_tensors(path, {"x": torch.zeros(10)}, {"number": 1})
    filler = fill(small_disk)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert load_tensors(path)[1] == {"number": 1}
        if len(waited) == 3:
            filler.unlink()

    monkeypatch.setattr(storage, "PATIENCE", Patience(sleep=sleep))
    save_tensors(path, {"x": torch.zeros(5000)}, {"number": 2})
    assert waited == [1.0, 2.0, 4.0]
    assert load_tensors(path)[1] == {"number": 2}
    assert sorted(each.name for each in small_disk.iterdir()) == [path.name]


def test_a_full_disk_leaves_the_older_file_and_nothing_beside_it(small_disk: Path) -> None:
    path = small_disk / "table.csv"
    write_text(path, "old")
    fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new" * 1000)
    with pytest.raises(OSError, match="No space left"), replacing(path) as beside:
        beside.write_bytes(b"new" * 10_000)
    assert path.read_text(encoding="utf-8") == "old"
    assert {each.name for each in small_disk.iterdir()} == {"table.csv", "filler"}
