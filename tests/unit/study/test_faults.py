"""A study survives: killed anywhere, with every sickness, it goes on as if never killed."""

import itertools
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from raycolor.study.engine import is_finished
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Ask, End, Fault, FinalScores, Record, Reopened, Reported, Session
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import BUDGET, MortalJournal, make, story
from tests.unit.study.sick_studies import (
    CONFIRMING,
    LARGER,
    RANDOM,
    SICKNESSES,
    WITHOUT_RUNGS,
    DoomedJournal,
    SickWorkers,
    assert_lawful,
    drive,
    drive_until_finished,
    grown,
)

pytestmark = pytest.mark.usefixtures("quick_disk")


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
