"""The laws of a study: what its journal says is what happened, whenever its driver dies."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import read_journal
from raycolor.study.records import Ask, Record, Reported, Session
from raycolor.study.rules import replay
from raycolor.study.state import TrialState, fold
from tests.unit.study.fakes import (
    BUDGET,
    EVERY,
    OBJECTIVE,
    RECORDED_SPACE,
    SPACE,
    Begin,
    Curve,
    KilledError,
    MortalJournal,
    RecordedWorkers,
    Workers,
    clock,
    curve,
    make,
    metrics,
    run,
    sick_curve,
    story,
)

# --- suggestions and decisions follow from the journal


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("trial_curve", [curve, sick_curve])
def test_replaying_a_journal_gives_every_suggestion_and_decision(
    plan: Plan, in_flight: int, trial_curve: Curve
) -> None:
    workers = Workers(curve=trial_curve, in_flight=in_flight, rng=np.random.default_rng(in_flight))
    records = run(plan, workers)
    assert fold(records).trials[-1].number == plan.trials - 1
    assert replay(plan, records) == []
    assert replay(plan, read_journal(plan.folder / "journal")) == []


@pytest.mark.usefixtures("quick_disk")
def test_replaying_a_journal_of_many_sessions(plan: Plan) -> None:
    workers = Workers(curve=sick_curve, in_flight=3)
    for _ in range(60):
        records = run(plan, workers, most_reports=5)
        if records[-1].record == "end" and fold(records).ending is not None:
            workers.rng = np.random.default_rng(len(records))
    assert fold(records).ending is not None
    assert sum(isinstance(record, Session) for record in records) == 60
    assert all(trial.status != "open" for trial in fold(records).trials)
    assert replay(plan, records) == []


@pytest.mark.parametrize("kind", ["ask", "report"])
def test_replay_names_what_does_not_follow(plan: Plan, kind: str) -> None:
    records = run(plan, Workers(in_flight=3))
    line = [n for n, record in enumerate(records, start=1) if record.record == kind][5]
    record = records[line - 1]
    altered: Record
    if isinstance(record, Ask):
        altered = replace(record, chosen={**record.chosen, "losses.l1_lambda": 11.0})
    else:
        assert isinstance(record, Reported)
        altered = replace(record, decision=replace(record.decision, cutoff=1.25))
    broken = replay(plan, [*records[: line - 1], altered, *records[line:]])
    assert broken
    assert broken[0].startswith(f"line {line}: expected {record}, found {altered}")


def test_a_record_is_durable_before_anybody_hears_of_it(plan: Plan) -> None:
    heard: list[Record] = []

    def observe(event: Event) -> None:
        on_disk = read_journal(plan.folder / "journal")
        assert repr(on_disk[-1]) == repr(event.record)
        assert repr(fold(on_disk).trials) == repr(event.state.trials)
        heard.append(event.record)

    records = run(plan, Workers(in_flight=2), observers=[observe], most_reports=12)
    assert [repr(record) for record in heard] == [repr(record) for record in records]


# --- kills


def resume_until_finished(plan: Plan, workers: Workers, rng: np.random.Generator) -> int:
    """Kill a study after random numbers of bytes until it is finished; return the kills."""
    for kills in range(1000):
        try:
            with MortalJournal(
                plan.folder / "journal", bytes_left=int(rng.integers(1, 12_000))
            ) as journal:
                engine = Engine(plan, journal, clock=clock())
                engine.begin({}, "abc")
                workers.run(engine)
                assert engine.finished
                return kills
        except KilledError:
            continue
    pytest.fail("the study does not come to its end")


@pytest.mark.parametrize(
    ("text", "workers"),
    [(RECORDED_SPACE, RecordedWorkers), (SPACE, partial(Workers, curve=sick_curve))],
    ids=["recorded", "sick"],
)
@pytest.mark.usefixtures("quick_disk")
def test_a_study_killed_anywhere_equals_the_uninterrupted_one(
    tmp_path: Path, text: str, workers: Callable[..., Workers]
) -> None:
    """The curves of real runs, and some that fall ill."""
    plan = make(tmp_path, text, trials=8)
    expected = story(run(plan, workers()))
    rng = np.random.default_rng(1)
    kills = 0
    while kills < 110:
        shutil.rmtree(plan.folder)
        kills += resume_until_finished(plan, workers(rng=rng), rng)
        records = read_journal(plan.folder / "journal")
        assert story(records) == expected
        assert replay(plan, records) == []


@pytest.mark.usefixtures("quick_disk")
def test_a_study_killed_at_any_record_equals_the_uninterrupted_one(plan: Plan) -> None:
    """A kill between two records: the journal is whole, the workers know more or less than it."""
    records = run(plan, Workers(curve=sick_curve))
    expected = story(records)
    journal = plan.folder / "journal" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines), 3):
        journal.write_bytes(b"".join(lines[:kept]))
        state = fold(read_journal(plan.folder / "journal"))
        ahead = {trial.number: trial.images_seen + EVERY for trial in state.trials}
        workers = Workers(curve=sick_curve, checkpoints=ahead, rng=np.random.default_rng(kept))
        assert story(run(plan, workers)) == expected


def test_open_trials_are_taken_up_before_new_ones_begin(begin: Begin, plan: Plan) -> None:
    run(plan, Workers(in_flight=3), most_reports=4)
    state = fold(read_journal(plan.folder / "journal"))
    opened = [trial.number for trial in state.trials if trial.status == "open"]
    assert len(opened) > 1
    engine = begin(plan)
    handed_out = [engine.ask() for _ in opened]
    assert [t.number for t in handed_out if isinstance(t, TrialState)] == opened
    new = engine.ask()
    assert isinstance(new, TrialState)
    assert new.number == len(state.trials)


# --- reports that come again


def test_a_repeated_report_has_its_old_decision_and_is_not_written_twice(
    begin: Begin, plan: Plan
) -> None:
    engine = begin(plan)
    first, second = engine.ask(), engine.ask()
    assert isinstance(first, TrialState)
    assert isinstance(second, TrialState)
    engine.report(first.number, EVERY, "adversarial", metrics(50.0, EVERY))
    decision = engine.report(second.number, EVERY, "adversarial", metrics(60.0, EVERY))
    assert decision.action == "prune"
    before = read_journal(plan.folder / "journal")
    # Another value, as after training again without exact determinism.
    again = engine.report(second.number, EVERY, "adversarial", metrics(10.0, EVERY))
    assert again is decision
    assert engine.report(first.number, EVERY, "", {}).action == "go_on"
    assert read_journal(plan.folder / "journal") == before


def test_a_repeated_report_leaves_the_rungs_alone(begin: Begin, plan: Plan) -> None:
    def decisions(*, repeat: bool) -> list[str]:
        shutil.rmtree(plan.folder, ignore_errors=True)
        engine = begin(plan)
        result = []
        for value in (50.0, 70.0, 55.0, 40.0, 45.0):
            trial = engine.ask()
            assert isinstance(trial, TrialState)
            for _ in range(3 if repeat else 1):
                decision = engine.report(trial.number, EVERY, "", metrics(value, EVERY))
            result.append(repr(decision))
        return result

    assert decisions(repeat=True) == decisions(repeat=False)


# --- what halving is for


def test_the_best_trial_goes_to_its_end(plan: Plan) -> None:
    """Curves that never cross: the best configuration is at or under each cutoff."""
    state = fold(run(plan, Workers(in_flight=4)))
    best = min(state.trials, key=lambda trial: curve(trial.chosen, BUDGET))
    assert best.status == "completed"
    assert state.best_trial(OBJECTIVE) is best
    assert any(trial.status == "pruned" for trial in state.trials)


def test_a_grid_ends_with_its_combinations(tmp_path: Path) -> None:
    text = """
study: {trials: 100, searcher: {kind: grid}}
fixed: {budget.images: 16, budget.report_every: 16, budget.batch_size: 16}
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  pretraining.images: {kind: choice, values: [0, 16]}
"""
    plan = make(tmp_path, text)
    assert plan.trials == 4

    def flat(chosen: object, images: int) -> float:
        return 50.0

    records = run(plan, Workers(curve=flat))
    seen: list[dict[str, Scalar]] = [r.chosen for r in records if isinstance(r, Ask)]
    assert len(seen) == 4
    assert all(seen.count(chosen) == 1 for chosen in seen)
    assert replay(plan, records) == []
