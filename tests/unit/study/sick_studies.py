"""Studies whose trials are sick, and drivers that are killed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycolor.plan import Plan
from raycolor.study.engine import Engine, needs_test, to_test
from raycolor.study.journal import FILE, Journal
from raycolor.study.records import Record, Reopened, Reported, to_line
from raycolor.study.rules import replay
from raycolor.study.state import StudyState, TrialState, fold
from tests.unit.study.fakes import (
    BUDGET,
    EVERY,
    FD,
    OBJECTIVE,
    SPACE,
    KilledError,
    MachineFaultError,
    MemoryFaultError,
    MortalJournal,
    Workers,
    clock,
    curve,
    make,
    metrics,
)

CONFIRMING = SPACE.replace(
    "  scheduler:",
    "  confirm: {top: 2, seeds: 2}\n  guards: {adversarial_loss_zero: {patience: 1}}\n  scheduler:",
)
RANDOM = CONFIRMING.replace("kind: tpe, startup_trials: 3", "kind: random")
LARGER = 3 * BUDGET
SHORT = 96
# Every trial that is well comes to its end: sicknesses have the time that they need.
WITHOUT_RUNGS = (
    RANDOM.replace("kind: asha, first_rung: 16, reduction: 3", "kind: none")
    .replace("trials: 8", "trials: 6")
    .replace(f"budget.images: {BUDGET}\n", f"budget.images: {SHORT}\n")
)


def grown(folder: Path, text: str = RANDOM) -> Plan:
    """The plan of a study with more budget and two more trials."""
    if text == WITHOUT_RUNGS:
        return make(folder, text.replace(f"images: {SHORT}\n", f"images: {BUDGET}\n"), trials=8)
    return make(folder, text.replace(f"images: {BUDGET}\n", f"images: {LARGER}\n"), trials=10)


# --- sick trials


Sickness = Callable[[TrialState, int, dict[str, float]], dict[str, Any]]


def _worth(value: float | None) -> Sickness:
    def sicken(trial: TrialState, images: int, healthy: dict[str, float]) -> dict[str, Any]:
        return {**healthy, FD: value, OBJECTIVE: value}

    return sicken


def _missing(trial: TrialState, images: int, healthy: dict[str, float]) -> dict[str, Any]:
    return {name: value for name, value in healthy.items() if name != OBJECTIVE}


def _dies(text: str, *, times: int | None) -> Sickness:
    """A worker that dies; as often as given, and the journal remembers how often it has."""

    def sicken(trial: TrialState, images: int, healthy: dict[str, float]) -> dict[str, Any]:
        if times is None or len(trial.faults) < times:
            raise MachineFaultError(text, final=times is None)
        return healthy

    return sicken


def _runs_out(trial: TrialState, images: int, healthy: dict[str, float]) -> dict[str, Any]:
    """A trial that runs out of GPU memory until it is alone, and the first even then."""
    if not trial.alone or trial.number == 1:
        raise MemoryFaultError("ran out of GPU memory")
    return healthy


def _guarded(trial: TrialState, images: int, healthy: dict[str, float]) -> dict[str, Any]:
    return {**healthy, "generator_adversarial_loss": 0.001}


SICKNESSES: dict[str, Sickness] = {
    "nan": _worth(math.nan),
    "infinity": _worth(math.inf),
    "minus_infinity": _worth(-math.inf),
    "none": _worth(None),
    "missing": _missing,
    "exception": _dies("Traceback (most recent call last):\nValueError: a hole", times=None),
    "dies": _dies("the worker died", times=1),
    "dies_thrice": _dies("the worker died", times=3),
    "hangs": _dies("no report for 31 s, more than the 30 s of the guard", times=1),
    "memory": _runs_out,
    "guard": _guarded,
}


@dataclass(slots=True, kw_only=True)
class SickWorkers(Workers):
    """Every third trial is sick, the search's and the confirmation's, sooner or later.

    Attributes:
        kinds: sicknesses that the sick have, in turn.
    """

    kinds: Sequence[str] = ()

    def measure(self, trial: TrialState, images: int) -> dict[str, Any]:
        healthy = metrics(curve(trial.chosen, images), images)
        turn = trial.number // 3
        if trial.number % 3 != 1 or images < (EVERY, 2 * EVERY, 3 * EVERY, 5 * EVERY)[turn % 4]:
            return healthy
        return SICKNESSES[self.kinds[turn % len(self.kinds)]](trial, images, healthy)


def assert_lawful(plan: Plan, records: Sequence[Record]) -> None:
    """Whatever happened to a study holds these."""
    assert replay(plan, list(records)) == []
    seen: set[tuple[int, int]] = set()
    sick: set[int] = set()
    for record in records:
        match record:
            case Reported(number=number):
                assert (number, record.images_seen) not in seen, "reported twice"
                assert number not in sick, "a value that is no number outlived its report"
                seen.add((number, record.images_seen))
                if not math.isfinite(record.metrics.get(OBJECTIVE, math.nan)):
                    assert record.decision.action == "prune"
                    sick.add(number)
            case Reopened(number=number):
                sick.discard(number)
            case _:
                pass
    assert math.isfinite(fold(records).wall_seconds)
    assert fold(records).wall_seconds >= 0


# --- drivers, and what kills them


OpenJournal = Callable[[Path], Journal]


class DoomedJournal(Journal):
    """A journal whose process is killed at a chosen record.

    Before a byte of it is written, in its middle, or when all of it is on the disk and nobody has
    heard of it yet.
    """

    def __init__(
        self, folder: Path, *, doom: Callable[[StudyState, Record], bool], written: float
    ) -> None:
        super().__init__(folder)
        self._doom = doom
        self._written = written
        self._folder = folder
        self._state = fold(self.records)

    def append(self, record: Record) -> None:
        if self._doom(self._state, record):
            line = to_line(record).encode("utf-8") + b"\n"
            with (self._folder / FILE).open("ab") as file:
                file.write(line[: round(len(line) * self._written)])
            raise KilledError
        super().append(record)
        self._state.apply(record)


def drive(
    plan: Plan,
    workers: Workers,
    open_journal: OpenJournal = Journal,
    now: Callable[[], float] | None = None,
) -> bool:
    """Work on a study until it is finished or its driver is killed; return whether it was not."""
    try:
        with open_journal(plan.folder / "journal") as journal:
            engine = Engine(plan, journal, clock=now or clock())
            engine.begin({}, "abc")
            workers.run(engine)
            if needs_test(engine.state, plan):
                tested = to_test(engine.state, plan)
                engine.note_test({str(trial.number): {FD: 60.0} for trial in tested})
            assert engine.finished
            engine.end("finished")
            return True
    except KilledError:
        return False


def drive_until_finished(
    plan: Plan, workers: Workers, rng: np.random.Generator, now: Callable[[], float] | None = None
) -> int:
    """Kill a study after random numbers of bytes until it is finished; return the kills."""
    for kills in range(1000):
        bytes_left = int(rng.integers(1, 12_000))
        if drive(plan, workers, partial(MortalJournal, bytes_left=bytes_left), now):
            return kills
    pytest.fail("the study does not come to its end")
