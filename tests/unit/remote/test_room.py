"""Copies of data sets on one machine: bounded, and never taken from a program that uses them."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from raycolor.cache import VARIABLE
from raycolor.data import PreparedData, verify, write_prepared
from raycolor.errors import DataError
from raycolor.remote import room
from raycolor.remote.data_sets import SPLIT_FILES, check_here, local_copy, upload
from raycolor.remote.room import LIMIT, part_of
from tests.toy import toy_splits

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_used", {})
    yield tmp_path / "cache"
    forget()


def forget() -> None:
    """Do what the end of this process does to its locks."""
    for lock in room._used.values():
        os.close(lock)
    room._used.clear()


class There:
    """Data sets of one size on shared storage."""

    def __init__(self, folder: Path, count: int) -> None:
        self.addresses: list[str] = []
        self.data: list[PreparedData] = []
        for number in range(count):
            made = folder / f"made{number}"
            made.mkdir()
            splits = toy_splits(32)
            splits["test"] = [(f"{number}_{name}", pixels) for name, pixels in splits["test"]]
            self.data.append(write_prepared(made, splits, name="toy", source="drawn"))
            self.addresses.append(f"file://{folder}/there{number}")
            upload(made, self.addresses[-1])
        self.size = sum((made / name).stat().st_size for name in SPLIT_FILES)

    def copies(self, cache: Path) -> list[int]:
        """Numbers of those that are complete on this machine."""
        names = {path.name for path in (cache / "data").iterdir()}
        return [place for place, data in enumerate(self.data) if data.fingerprint in names]

    def age(self, cache: Path, *numbers: int) -> None:
        """Let copies be used last in this order, long ago."""
        for moment, number in enumerate(numbers):
            os.utime(cache / "data" / self.data[number].fingerprint, (moment, moment))


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path, 4)


def hold(address: str, told: Connection) -> None:
    """Be a program that uses a data set."""
    local_copy(address)
    told.send("uses it")
    told.recv()


@pytest.fixture
def user() -> Iterator[Callable[[str], Any]]:
    started = []

    def start(address: str) -> Any:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=hold, args=(address, theirs))
        process.start()
        started.append(process)
        assert ours.recv() == "uses it"
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def allow(monkeypatch: pytest.MonkeyPatch, num_bytes: float) -> None:
    monkeypatch.setenv(LIMIT, f"{num_bytes / 1e9:.12f}")


def test_the_least_recently_used_gives_way(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, 3.5 * there.size)
    for address in there.addresses[:3]:
        local_copy(address)
    forget()
    there.age(cache, 1, 2, 0)
    verify(local_copy(there.addresses[3]))
    assert there.copies(cache) == [0, 2, 3]
    # To use one is what counts, and that needs no copying.
    forget()
    there.age(cache, 2, 3, 0)
    local_copy(there.addresses[2])
    forget()
    local_copy(there.addresses[1])
    assert there.copies(cache) == [0, 1, 2]
    assert not [path for path in (cache / "data").iterdir() if path.suffix in (".removed", ".part")]
    assert not (cache / "data" / there.data[1].fingerprint / room.BYTES).exists()


def test_what_a_program_uses_stays(
    there: There,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: Callable[[str], Any],
) -> None:
    process = user(there.addresses[0])
    local_copy(there.addresses[1])
    forget()
    there.age(cache, 0, 1)
    allow(monkeypatch, 2.5 * there.size)
    local_copy(there.addresses[2])
    assert there.copies(cache) == [0, 2]
    # This process uses the other one.
    with pytest.raises(DataError, match=r"and running programs use 0 of copies .* wait for them"):
        local_copy(there.addresses[3])
    assert there.copies(cache) == [0, 2]
    # Its lock goes with it, however it ends.
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    local_copy(there.addresses[3])
    assert there.copies(cache) == [2, 3]


def test_nothing_is_removed_in_vain(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch, user: Callable[[str], Any]
) -> None:
    local_copy(there.addresses[0])
    forget()
    user(there.addresses[1])
    there.age(cache, 0, 1)
    allow(monkeypatch, 1.5 * there.size)
    with pytest.raises(DataError, match="running programs use"):
        local_copy(there.addresses[2])
    assert there.copies(cache) == [0, 1]


def test_a_data_set_above_the_limit_is_one_sentence(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_copy(there.addresses[0])
    forget()
    allow(monkeypatch, 0.5 * there.size)
    said = r"^file://.*there1: takes 0 MB, and copies of data sets may take 0 on this machine; give"
    for call in (local_copy, lambda address: check_here(address, there.data[1].fingerprint)):
        with pytest.raises(DataError, match=said) as caught:
            call(there.addresses[1])
        assert "\n" not in str(caught.value)
    assert there.copies(cache) == [0]
    # What is there is used all the same.
    verify(local_copy(there.addresses[0]))


def test_the_disk_counts_too(there: There, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local_copy(there.addresses[0])
    local_copy(there.addresses[1])
    forget()
    there.age(cache, 0, 1)
    usage = shutil.disk_usage(cache)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=there.size // 2))
    local_copy(there.addresses[2])
    assert there.copies(cache) == [1, 2]


@pytest.mark.parametrize(("free", "kept"), [(1.3, [0, 1]), (1.05, [1])])
def test_without_a_limit_a_tenth_of_the_disk_stays_free(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch, free: float, kept: list[int]
) -> None:
    local_copy(there.addresses[0])
    forget()
    usage = shutil.disk_usage(cache)._replace(free=int(free * there.size))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    local_copy(there.addresses[1])
    assert there.copies(cache) == kept


@pytest.mark.parametrize("text", ["much", "0", "-3", "nan", "inf"])
def test_a_limit_that_is_none_is_one_sentence(
    there: There, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(LIMIT, text)
    with pytest.raises(DataError, match=rf"^environment variable {LIMIT}: '{text}' is no number"):
        local_copy(there.addresses[0])


def test_what_killed_processes_left_is_room(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a copy, and half of a removal."""
    folder = cache / "data"
    part = part_of(folder / there.data[0].fingerprint)
    part.mkdir(parents=True)
    (part / "train.arrow").write_bytes(b"x" * 100)
    # It promised to become as large as the others.
    (part / room.BYTES).write_text(str(there.size))
    removed = folder / f".{there.data[1].fingerprint}.removed"
    removed.mkdir()
    (removed / "train.arrow").write_bytes(b"x")
    allow(monkeypatch, 1.5 * there.size)
    local_copy(there.addresses[2])
    assert there.copies(cache) == [2]
    assert not part.exists()
    assert not removed.exists()


def test_two_that_copy_at_once_do_not_count_on_the_same_room(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, 1.5 * there.size)
    first = cache / "data" / there.data[0].fingerprint
    room.use(first)
    part_of(first).mkdir()
    room.make_room(there.addresses[0], first, there.size)
    # Not a byte of it is here yet.
    with pytest.raises(DataError, match="running programs use"):
        local_copy(there.addresses[1])


def test_a_cache_that_was_deleted_under_a_program_is_locked_anew(
    there: There, cache: Path, monkeypatch: pytest.MonkeyPatch, user: Callable[[str], Any]
) -> None:
    local_copy(there.addresses[0])
    shutil.rmtree(cache)
    local_copy(there.addresses[0])
    there.age(cache, 0)
    allow(monkeypatch, 1.5 * there.size)
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=try_to_copy, args=(there.addresses[1], theirs))
    process.start()
    assert "running programs use" in ours.recv()
    process.join()
    assert there.copies(cache) == [0]


def try_to_copy(address: str, told: Connection) -> None:
    try:
        local_copy(address)
    except DataError as error:
        told.send(str(error))
    else:
        told.send("copied")
