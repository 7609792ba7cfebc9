"""One driver at a time, also where the storage knows no locks, and the others hear who it is."""

import json
import os
import platform
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raycolor.errors import CheckpointError
from raycolor.study import lease as lease_module
from raycolor.study.journal import FILE, Journal, read_journal
from raycolor.study.lease import EXPIRY_S, POLL_S, FileSlot, Lease, read_holder
from raycolor.study.records import End

END = End(time=1.0, reason="finished")


@pytest.fixture
def leases() -> Iterator[Callable[..., Lease]]:
    """Take leases that are given back after the test."""
    taken: list[Lease] = []

    def take(folder: Path, **settings: Any) -> Lease:
        taken.append(Lease(FileSlot(folder / lease_module.FILE), **settings))
        return taken[-1]

    yield take
    for lease in taken:
        lease.release()


class Watch:
    """Counts the seconds that are slept, and lets something happen after each."""

    def __init__(self, then: Callable[[float], None] = lambda seconds: None) -> None:
        self.seconds = 0.0
        self._then = then

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._then(self.seconds)


def test_a_journal_says_who_writes_it_while_it_does(tmp_path: Path) -> None:
    with Journal(tmp_path):
        holder = read_holder(FileSlot(tmp_path / lease_module.FILE))
        assert holder is not None
        assert (holder.host, holder.pid) == (platform.node(), os.getpid())
        assert str(holder) == f"process {os.getpid()} on {platform.node()}, since {holder.since}"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_driver_that_was_killed_on_this_machine_is_not_waited_for(
    tmp_path: Path, leases: Callable[..., Lease]
) -> None:
    """The lock, which died with it, has told."""
    Lease(FileSlot(tmp_path / lease_module.FILE))._released.set()
    watch = Watch()
    leases(tmp_path, sleep=watch.sleep)
    assert watch.seconds == 0


def test_a_lease_of_another_machine_is_taken_over_after_a_minute_without_a_change(
    tmp_path: Path, leases: Callable[..., Lease]
) -> None:
    leases(tmp_path, host="gone")
    watch, said = Watch(), list[str]()
    lease = leases(tmp_path, host="new", sleep=watch.sleep, tell=said.append)
    assert EXPIRY_S <= watch.seconds <= EXPIRY_S + 2 * POLL_S
    assert len(said) == 1
    assert said[0].startswith(f"process {os.getpid()} on gone, since ")
    assert "watching for 60 s" in said[0]
    holder = read_holder(FileSlot(tmp_path / lease_module.FILE))
    assert holder is not None
    assert holder.host == "new"
    assert lease.taken_by is None


def test_a_lease_that_is_renewed_is_respected_whatever_the_clocks_say(
    tmp_path: Path, leases: Callable[..., Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = leases(tmp_path, host="living")
    # The other machine's clock is years behind.
    path = tmp_path / lease_module.FILE
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({**tree, "since": "1999-01-01 00:00:00 UTC"}))

    def renew_late(seconds: float) -> None:
        if seconds == EXPIRY_S - 1:
            first.renew()

    watch = Watch(renew_late)
    with pytest.raises(CheckpointError) as caught:
        leases(tmp_path, host="new", sleep=watch.sleep)
    assert str(caught.value).startswith(
        f"{path}: another search works on this study: process {os.getpid()} on living, since "
    )
    assert str(caught.value).endswith("; wait for it, or choose another --study")
    assert watch.seconds == EXPIRY_S - 1
    assert first.taken_by is None


def test_a_lease_that_is_given_back_meanwhile_is_taken_at_once(
    tmp_path: Path, leases: Callable[..., Lease]
) -> None:
    first = leases(tmp_path, host="ending")

    def end(seconds: float) -> None:
        if seconds == 5:
            first.release()

    watch = Watch(end)
    leases(tmp_path, host="new", sleep=watch.sleep)
    assert watch.seconds == 5 + POLL_S


def test_of_two_that_take_over_at_once_one_stays(
    tmp_path: Path, leases: Callable[..., Lease]
) -> None:
    leases(tmp_path, host="gone")
    second: list[Lease] = []

    def take_too(seconds: float) -> None:
        # Between the first one's write and its second look.
        if seconds > EXPIRY_S and not second:
            second.append(leases(tmp_path, host="newer", sleep=lambda seconds: None))

    with pytest.raises(CheckpointError, match=r"works on this study: .* on newer"):
        leases(tmp_path, host="new", sleep=Watch(take_too).sleep)
    second[0].renew()
    assert second[0].taken_by is None


def test_a_driver_that_lost_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    """As after a minute without its storage, when another one has taken over."""
    with Journal(tmp_path) as journal:
        journal.append(END)
        other = Lease(FileSlot(tmp_path / lease_module.FILE), sleep=lambda seconds: None)
        journal._lease.renew()
        with pytest.raises(CheckpointError, match="another search has taken over this study: proc"):
            journal.append(END)
        other.renew()
        assert other.taken_by is None
    # Closing it takes nothing from the other one.
    assert read_holder(FileSlot(tmp_path / lease_module.FILE)) is not None
    assert read_journal(tmp_path) == [END]
    other.release()
    assert read_holder(FileSlot(tmp_path / lease_module.FILE)) is None


def test_a_lease_is_renewed_while_its_driver_lives(
    tmp_path: Path, leases: Callable[..., Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_S", 0.005)
    lease = leases(tmp_path)
    seen = set()
    for _ in range(400):
        holder = read_holder(FileSlot(tmp_path / lease_module.FILE))
        assert holder is not None  # renewed by renaming: never absent, never half
        seen.add(holder.beat)
        threading.Event().wait(0.005)
        if len(seen) > 3:
            break
    assert len(seen) > 3
    lease.release()
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_is_away_for_a_moment_ends_no_lease(
    tmp_path: Path, leases: Callable[..., Lease]
) -> None:
    away = tmp_path / "away"
    folder = tmp_path / "journal"
    folder.mkdir()
    lease = leases(folder)
    folder.rename(away)
    lease.renew()
    away.rename(folder)
    lease.renew()
    assert lease.taken_by is None
    holder = read_holder(FileSlot(folder / lease_module.FILE))
    assert holder is not None
    assert holder.beat == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"host": "a"}', "\udcff"])
def test_a_damaged_lease_stands_in_nobodys_way(
    tmp_path: Path, content: str, leases: Callable[..., Lease]
) -> None:
    (tmp_path / lease_module.FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_holder(FileSlot(tmp_path / lease_module.FILE)) is None
    watch = Watch()
    leases(tmp_path, sleep=watch.sleep)
    assert watch.seconds == 0
    assert read_holder(FileSlot(tmp_path / lease_module.FILE)) is not None
