"""A study survives: killed anywhere, with every sickness, it goes on as if never killed."""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycolor.plan import Plan
from raycolor.study.engine import Engine, is_finished, needs_test, to_test
from raycolor.study.journal import FILE, Journal, read_journal
from raycolor.study.records import (
    Ask,
    End,
    Fault,
    FinalScores,
    Record,
    Reopened,
    Reported,
    Session,
    to_line,
)
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
    story,
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

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that forgets when the machine stops; here only processes are killed."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


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


WholeLife = Callable[[str, Sequence[str]], list[str]]


@pytest.fixture(scope="module")
def whole_life(tmp_path_factory: pytest.TempPathFactory) -> WholeLife:
    """Tell what happens in a study that is never killed, finished once, then given more budget."""

    @cache
    def live(text: str, kinds: tuple[str, ...]) -> list[str]:
        folder = tmp_path_factory.mktemp("whole")
        workers = SickWorkers(kinds=kinds)
        assert drive(make(folder, text), workers)
        assert drive(grown(folder, text), workers)
        records = read_journal(grown(folder, text).folder / "journal")
        assert_lawful(grown(folder, text), records)
        assert any(isinstance(record, Reopened) for record in records)
        assert any(isinstance(record, Ask) and record.phase == "confirm" for record in records)
        return story(records)

    return live


MARKS = {
    "nan": "_best': nan",
    "infinity": "_best': inf",
    "minus_infinity": "_best': -inf",
    "none": "not a finite number",
    "missing": "not a finite number",
    "exception": "a hole",
    "dies": "final=False",
    "dies_thrice": "final=False",
    "hangs": "no report for 31 s",
    "memory": "final=True, cause='memory'",
    "guard": "guard='adversarial_loss_zero'",
}
"""What the journal of a study with each sickness says somewhere."""


@pytest.mark.parametrize("kind", SICKNESSES)
def test_a_sick_study_killed_anywhere_equals_the_uninterrupted_one(
    tmp_path: Path, whole_life: WholeLife, kind: str
) -> None:
    text = WITHOUT_RUNGS if kind == "guard" else RANDOM
    expected = whole_life(text, (kind,))
    assert any(MARKS[kind] in line for line in expected)
    rng = np.random.default_rng(len(kind))
    kills = 0
    while kills < 20:
        folder = tmp_path / str(kills)
        workers = SickWorkers(kinds=[kind], rng=rng)
        kills += 1 + drive_until_finished(make(folder, text), workers, rng)
        kills += drive_until_finished(grown(folder, text), workers, rng)
        records = read_journal(grown(folder, text).folder / "journal")
        assert story(records) == expected
        assert_lawful(grown(folder, text), records)


def test_a_study_with_all_sicknesses_and_tpe_killed_anywhere(
    tmp_path: Path, whole_life: WholeLife
) -> None:
    kinds = ("nan", "dies", "exception", "guard")
    expected = whole_life(CONFIRMING, kinds)
    rng = np.random.default_rng(3)
    workers = SickWorkers(kinds=kinds, rng=rng)
    folder = tmp_path / "killed"
    kills = drive_until_finished(make(folder, CONFIRMING), workers, rng)
    kills += drive_until_finished(grown(folder, CONFIRMING), workers, rng)
    assert kills > 5
    records = read_journal(grown(folder, CONFIRMING).folder / "journal")
    assert story(records) == expected


# --- chosen moments


def _is_confirming(state: StudyState, record: Record) -> bool:
    return isinstance(record, Reported) and state.trials[record.number].phase == "confirm"


MOMENTS: dict[str, Callable[[StudyState, Record], bool]] = {
    "session": lambda _, record: isinstance(record, Session),
    "ask": lambda state, record: isinstance(record, Ask) and record.number == 4,
    "fault": lambda _, record: isinstance(record, Fault),
    "last report of a trial": lambda _, record: (
        isinstance(record, Reported) and record.decision.action != "go_on"
    ),
    "first reopened": lambda state, record: isinstance(record, Reopened),
    "second reopened": lambda state, record: (
        isinstance(record, Reopened) and any(trial.status == "open" for trial in state.trials)
    ),
    "first confirming": lambda _, record: isinstance(record, Ask) and record.phase == "confirm",
    "confirming report": _is_confirming,
    "final scores": lambda _, record: isinstance(record, FinalScores),
    "end": lambda _, record: isinstance(record, End),
}


class Dooms:
    """Kills four drivers: at the first or the second record of a moment that they meet."""

    def __init__(self, moment: Callable[[StudyState, Record], bool], written: float) -> None:
        self._moment = moment
        self._written = written
        self._opened = itertools.count()
        self.kills = 0

    def open(self, folder: Path) -> Journal:
        met, place = itertools.count(), next(self._opened)

        def doom(state: StudyState, record: Record) -> bool:
            hit = place < 4 and self._moment(state, record) and next(met) == place % 2
            self.kills += hit
            return hit

        return DoomedJournal(folder, doom=doom, written=self._written)


@pytest.mark.parametrize("written", [0.0, 0.5, 1.0], ids=["before", "within", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_study_killed_at_a_chosen_moment_equals_the_uninterrupted_one(
    tmp_path: Path, whole_life: WholeLife, moment: str, written: float
) -> None:
    kinds = ("dies", "nan")
    expected = whole_life(WITHOUT_RUNGS, kinds)
    workers = SickWorkers(kinds=kinds)
    kills = 0
    for plan in (make(tmp_path, WITHOUT_RUNGS), grown(tmp_path, WITHOUT_RUNGS)):
        dooms = Dooms(MOMENTS[moment], written)
        while not drive(plan, workers, dooms.open):
            pass
        kills += dooms.kills
    records = read_journal(plan.folder / "journal")
    assert kills > 0
    assert story(records) == expected
    assert is_finished(fold(records), plan)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_study_killed_while_it_reopens_is_not_finished(tmp_path: Path, kept: int) -> None:
    """Else the same command would tell the old result, and the larger budget were forgotten."""
    workers = SickWorkers(kinds=["dies"])
    assert drive(make(tmp_path, WITHOUT_RUNGS), workers)
    plan = grown(tmp_path, WITHOUT_RUNGS)
    met = itertools.count()

    def doom(state: StudyState, record: Record) -> bool:
        return isinstance(record, Reopened) and next(met) == kept

    assert not drive(plan, workers, partial(DoomedJournal, doom=doom, written=0.0))
    state = fold(read_journal(plan.folder / "journal"))
    assert len(state.reopening) == 6 - kept
    assert not is_finished(state, plan)
    assert drive(plan, workers)
    state = fold(read_journal(plan.folder / "journal"))
    assert state.reopening == []
    assert {trial.images_seen for trial in state.trials if trial.status != "pruned"} == {BUDGET}


# --- growth, clocks, several trials at once


@pytest.mark.parametrize("seed", range(3))
def test_a_study_that_grows_between_kills_stays_lawful(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    workers = SickWorkers(kinds=list(SICKNESSES), in_flight=1 + seed, rng=rng)
    budgets = [BUDGET, LARGER, 3 * LARGER]
    for budget in budgets:
        text = RANDOM.replace(f"budget.images: {BUDGET}", f"budget.images: {budget}")
        plan = make(tmp_path, text, trials=8 + int(rng.integers(3)) + budgets.index(budget) * 3)
        for _ in range(int(rng.integers(3, 12))):
            bytes_left = int(rng.integers(1, 12_000))
            drive(plan, workers, partial(MortalJournal, bytes_left=bytes_left))
            assert_lawful(plan, read_journal(plan.folder / "journal"))
    drive_until_finished(plan, workers, rng)
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    state = fold(records)
    ends = {trial.images_seen for trial in state.trials if trial.status == "completed"}
    assert ends <= {budgets[-1]}
    assert all(trial.status != "open" for trial in state.trials)


@pytest.mark.parametrize("in_flight", [2, 5])
def test_a_study_of_several_trials_at_once_killed_anywhere_is_lawful(
    tmp_path: Path, in_flight: int
) -> None:
    rng = np.random.default_rng(in_flight)
    workers = SickWorkers(kinds=list(SICKNESSES), in_flight=in_flight, rng=rng)
    plan = make(tmp_path, CONFIRMING, trials=20)
    kills = drive_until_finished(plan, workers, rng)
    assert kills > 3
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    assert len(fold(records).searched) == 20


def wild_clock(rng: np.random.Generator) -> Callable[[], float]:
    """A clock that goes back and forth by seconds and by years, and sometimes stands still."""
    now = 1_000_000_000.0

    def look() -> float:
        nonlocal now
        now += float(rng.choice([0.0, 1.0, 3600.0, -3600.0, -7e8, 7e8]))
        return now

    return look


def test_nothing_depends_on_the_clock(tmp_path: Path, whole_life: WholeLife) -> None:
    rng = np.random.default_rng(9)
    kinds = ("dies", "nan", "hangs")
    expected = whole_life(RANDOM, kinds)
    workers = SickWorkers(kinds=kinds, rng=rng)
    folder = tmp_path / "killed"
    drive_until_finished(make(folder, RANDOM), workers, rng, wild_clock(rng))
    drive_until_finished(grown(folder), workers, rng, wild_clock(rng))
    records = read_journal(grown(folder).folder / "journal")
    times = [record.time for record in records]
    assert times != sorted(times)
    assert story(records) == expected
    assert_lawful(grown(folder), records)


# --- what a sick trial costs, and taking one up again


def numbered(records: Sequence[Record], number: int) -> Iterator[Record]:
    """Records of one trial."""
    return (record for record in records if getattr(record, "number", None) == number)


def test_a_trial_that_diverges_again_after_its_revival_ends_for_good(tmp_path: Path) -> None:
    plan = make(tmp_path)
    workers = SickWorkers(kinds=["nan"])
    drive(plan, workers)
    assert fold(read_journal(plan.folder / "journal")).trials[1].status == "pruned"
    # Training again is exact: it comes to the same end, at the same report.
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc", revived=[1])
        workers.run(engine)
        assert engine.finished
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    last = list(numbered(records, 1))[-1]
    assert isinstance(last, Fault)
    assert (last.final, last.text) == (
        True,
        "the objective is again not a finite number at 16 images",
    )


def test_a_trial_that_is_well_after_its_revival_goes_on(tmp_path: Path) -> None:
    plan = make(tmp_path, SPACE.replace("kind: asha, first_rung: 16, reduction: 3", "kind: none"))
    drive(plan, SickWorkers(kinds=["nan"]))
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc", revived=[1])
        SickWorkers(kinds=["guard", "dies"], checkpoints={1: EVERY}).run(engine)
    records = read_journal(plan.folder / "journal")
    assert_lawful(plan, records)
    assert fold(records).trials[1].images_seen > EVERY


def test_a_trial_that_diverged_has_cost_what_it_cost(tmp_path: Path) -> None:
    """Its last report holds nothing but losses."""
    plan = make(tmp_path)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        engine.ask()
        engine.report(0, EVERY, "adversarial", metrics(50.0, EVERY))
        engine.report(0, 2 * EVERY, "diverged", {"generator_loss": math.nan})
        assert engine.state.trials[0].status == "pruned"
        assert engine.state.trials[0].seconds == EVERY / 20
