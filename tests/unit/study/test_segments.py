"""The journal on shared storage keeps what it was told, through failures and kills."""

import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote import bucket as bucket_module
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience, StorageError
from raycolor.study import lease
from raycolor.study.engine import Engine
from raycolor.study.opening import open_journal
from raycolor.study.records import Reported
from raycolor.study.rules import replay
from raycolor.study.segments import read_segments
from tests.unit.remote.storages import FailingDisk, disk
from tests.unit.study.fakes import KilledError, Workers, clock, make, run, sick_curve, story
from tests.unit.study.told import end

pytestmark = pytest.mark.usefixtures("quick_storage")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A study on shared storage."""
    return make(tmp_path / "plan", out=f"file://{tmp_path}/shared")


@pytest.fixture
def expected(tmp_path: Path) -> list[str]:
    """The story of the same study in a folder, which nothing disturbed."""
    return story(run(make(tmp_path / "undisturbed"), Workers(curve=sick_curve)))


def there(plan: Plan) -> Bucket:
    assert plan.address_of_study is not None
    return Bucket(plan.address_of_study)


def assert_sound(plan: Plan, expected: list[str]) -> None:
    records = read_segments(there(plan))
    assert story(records) == expected
    assert replay(plan, records) == []
    keys = [(r.number, r.images_seen) for r in records if isinstance(r, Reported)]
    assert len(keys) == len(set(keys))


def test_a_study_there_is_the_study_here(plan: Plan, expected: list[str]) -> None:
    records = run(plan, Workers(curve=sick_curve))
    assert repr(read_segments(there(plan))) == repr(records)
    assert_sound(plan, expected)
    names = [name for name in there(plan).files() if name.endswith(".jsonl")]
    assert len(names) == -(-len(records) // 7)


@pytest.mark.parametrize("every", [5, 7, 11])
def test_a_storage_that_fails_now_and_then_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, expected: list[str], every: int
) -> None:
    with disk(monkeypatch, lambda number, name: number % every == 0) as handler:
        run(plan, Workers(curve=sick_curve))
    assert len(handler.calls) > 100
    assert_sound(plan, expected)


def test_a_slow_storage_costs_time_alone(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, expected: list[str]
) -> None:
    """Each call takes 25 s, so that the lease runs out between most records."""
    clock_s = time.time()

    def slow(number: int, name: str) -> bool:
        nonlocal clock_s
        clock_s += 25.0
        return False

    def no_second_try(seconds: float) -> None:
        pytest.fail("nothing was refused")

    monkeypatch.setattr(time, "time", lambda: clock_s)
    monkeypatch.setattr(bucket_module, "Patience", lambda: Patience(sleep=no_second_try))
    with disk(monkeypatch, slow) as handler:
        run(plan, Workers(curve=sick_curve))
    assert 25.0 * len(handler.calls) > 100 * lease.EXPIRY_S
    assert_sound(plan, expected)


@pytest.mark.parametrize("takes", [40, 60, 120])
def test_a_study_that_paused_at_any_call_goes_on_as_if_it_had_not(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, expected: list[str], takes: int
) -> None:
    workers, sessions = Workers(curve=sick_curve), 0
    while sessions < 100:
        sessions += 1
        with (
            disk(monkeypatch, lambda number, name: number > takes),
            suppress(StorageError),
            open_journal(plan) as journal,
        ):
            engine = Engine(plan, journal, clock=clock())
            engine.begin({}, "abc")
            workers.run(engine)
            assert engine.finished
            break
    assert 1 < sessions < 100
    assert_sound(plan, expected)


class Mortal:
    """A driver that is killed at a call of its storage: no later call is made either."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.killed = False

    def __call__(self, number: int, name: str) -> bool:
        # Readings of segments are not counted: each session adds one.
        self._left -= name != "open_input_stream"
        if self._left <= 0:
            self.killed = True
            raise KilledError
        return False


@pytest.mark.parametrize("seed", range(8))
def test_kills_at_any_call_leave_the_story_as_it_was(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, expected: list[str], seed: int
) -> None:
    rng, workers, kills = np.random.default_rng(seed), Workers(curve=sick_curve), 0
    while True:
        mortal = Mortal(at=int(rng.integers(1, 40)))
        with disk(monkeypatch, mortal):
            try:
                with open_journal(plan) as journal:
                    engine = Engine(plan, journal, clock=clock())
                    engine.begin({}, "abc")
                    workers.run(engine)
                    finished = engine.finished
            except (KilledError, CheckpointError):
                assert mortal.killed
                kills += 1
                continue
        if finished:
            break
    assert kills > 4
    assert_sound(plan, expected)


def test_calls_are_counted(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    """A record is one write: listing and reading would cost as much again."""
    with disk(monkeypatch, lambda number, name: False) as handler, open_journal(plan) as journal:
        journal.append(end(0))
        before = len(handler.calls)
        journal.append(end(1))
        assert _of(handler, before) == ["create_dir", "open_output_stream", "move"]


def _of(handler: FailingDisk, before: int) -> list[str]:
    return handler.calls[before:]
