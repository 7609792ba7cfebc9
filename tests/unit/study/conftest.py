"""What tests of studies share."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.remote import bucket as bucket_module
from raycolor.spaces.space import Space
from raycolor.storage import Patience
from raycolor.study import segments
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from tests.unit.study.fakes import SPACE, Begin, clock, make
from tests.unit.study.suggestions import space


@pytest.fixture
def tpe(tmp_path: Path) -> Space:
    """The small study's space, whose searcher is a model."""
    return space(tmp_path)


@pytest.fixture
def random(tmp_path: Path) -> Space:
    """The same space, searched at random."""
    return space(tmp_path, SPACE.replace("{kind: tpe, startup_trials: 3}", "{kind: random}"))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The small study."""
    return make(tmp_path)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Open a study's journal and begin."""
    with ExitStack() as stack:

        def begin(plan: Plan) -> Engine:
            journal = stack.enter_context(Journal(plan.folder / "journal"))
            engine = Engine(plan, journal, clock=clock())
            engine.begin({}, "abc")
            return engine

        yield begin


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that forgets when the machine stops; here only processes are killed."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def quick_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No waiting between tries, small segments, and a cache of the test's own."""
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(segments, "MOST_RECORDS", 7)

    def patience() -> Patience:
        return Patience((0.0,) * 5, sleep=lambda seconds: None)

    monkeypatch.setattr(bucket_module, "Patience", patience)
    monkeypatch.setattr(segments, "LEASE_WAITS_S", (0.0, 0.0, 0.0))
