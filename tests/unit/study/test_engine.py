"""The laws of a study: what its journal says is what happened, whenever its driver dies."""

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycolor.errors import CheckpointError, ConfigError
from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Ask, Fault, Record, References, Reported, Session
from raycolor.study.rules import Nothing, replay
from raycolor.study.state import TrialState, fold
from tests.unit.study.fakes import (
    BUDGET,
    EVERY,
    OBJECTIVE,
    RECORDED_SPACE,
    SPACE,
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


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


Begin = Callable[[Plan], Engine]


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


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that forgets when the machine stops; here only processes are killed."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


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


# --- the plan changes


def test_more_trials_extend_a_study(tmp_path: Path, plan: Plan) -> None:
    short = run(make(tmp_path, trials=4), Workers(curve=sick_curve))
    extended = run(plan, Workers(curve=sick_curve))
    assert story(extended)[: len(story(short))] == story(short)
    whole = run(make(tmp_path / "whole"), Workers(curve=sick_curve))
    assert story(extended) == story(whole)
    assert replay(plan, extended) == []


def test_a_finished_study_has_nothing_to_hand_out(begin: Begin, plan: Plan) -> None:
    run(plan)
    engine = begin(plan)
    assert engine.finished
    assert engine.ask() is Nothing.LEFT


def test_a_study_is_finished_when_every_trial_of_the_plan_has_ended(
    begin: Begin, tmp_path: Path
) -> None:
    engine = begin(make(tmp_path, trials=2))
    assert not engine.finished
    first, second = engine.ask(), engine.ask()
    assert isinstance(first, TrialState)
    assert isinstance(second, TrialState)
    assert engine.ask() is Nothing.LEFT
    engine.report(first.number, EVERY, "", metrics(50.0, EVERY))
    assert engine.report(second.number, EVERY, "", metrics(60.0, EVERY)).action == "prune"
    assert not engine.finished
    engine.fault(first.number, "died", final=False)
    assert not engine.finished
    engine.report(first.number, BUDGET, "", metrics(50.0, BUDGET))
    assert engine.finished


def test_what_may_change_at_a_resume(tmp_path: Path, plan: Plan) -> None:
    run(plan, most_reports=3)
    changed = make(
        tmp_path,
        SPACE.replace("trials: 8", "trials: 5\n  resources: {cpus: 3}"),
        trials=6,
        concurrent=2,
        address="ray://10.0.0.1:10001",
        time_budget_s=60.0,
    )
    assert fold(run(changed)).trials[-1].number == 5


@pytest.mark.parametrize(
    ("text", "flags", "difference"),
    [
        (SPACE, {"seed": 4}, "seed: was 0, is now 4"),
        (
            SPACE,
            {"overrides": {"losses.l1_lambda": 100}},
            "fixed.losses.l1_lambda: was None, is now 100.0",
        ),
        (
            SPACE.replace("high: 1000", "high: 2000"),
            {},
            "search.losses.l1_lambda.high: was 1000.0, is now 2000.0",
        ),
        (
            SPACE.replace("reduction: 3", "reduction: 2"),
            {},
            "study.scheduler.reduction: was 3, is now 2",
        ),
        (
            SPACE.replace("budget.images: 144", "budget.images: 96"),
            {},
            "fixed.budget.images: was 144, is now 96; it can only grow",
        ),
        (
            SPACE,
            {"overrides": {"generator.width": 32}},
            "fixed.generator.width: was 64, is now 32",
        ),
    ],
)
def test_another_plan_in_the_same_folder_is_refused(
    tmp_path: Path, plan: Plan, text: str, flags: dict[str, Any], difference: str
) -> None:
    before = run(plan, most_reports=2)
    changed = make(tmp_path, text, **flags)
    with Journal(changed.folder / "journal") as journal, pytest.raises(ConfigError) as caught:
        Engine(changed, journal)
    head, *lines = str(caught.value).splitlines()
    assert head == (
        f"{plan.folder}: holds a study with another plan; give the old values, choose another "
        "--study, or move the old one aside with --fresh:"
    )
    assert f"  {difference}" in lines
    assert read_journal(plan.folder / "journal") == before


def test_the_same_data_may_lie_elsewhere(tmp_path: Path, plan: Plan) -> None:
    run(plan, most_reports=2)
    moved = make(tmp_path, data="mine")
    with Journal(moved.folder / "journal") as journal:
        Engine(moved, journal).begin({}, "abc")


def test_other_data_under_the_same_name_is_refused(plan: Plan) -> None:
    before = run(plan, most_reports=2)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        with pytest.raises(ConfigError, match=r"\n  data: photos holds other pictures now"):
            engine.begin({}, "abd")
    assert read_journal(plan.folder / "journal") == before


def test_other_weights_under_the_same_name_are_refused(plan: Plan) -> None:
    old, new = ({"weights": {"mine.pth": digit * 64}} for digit in "ab")
    with Journal(plan.folder / "journal") as journal:
        Engine(plan, journal).begin(old, "abc")
    before = read_journal(plan.folder / "journal")
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        said = (
            r"other weights; .*\n  mine\.pth: holds other weights now \(SHA-256 b{12}, was a{12}\)"
        )
        with pytest.raises(ConfigError, match=said):
            engine.begin(new, "abc")
        assert read_journal(plan.folder / "journal") == before
        # A file that only one session used is no difference.
        engine.begin({"weights": {"other.pth": "c" * 64, **old["weights"]}}, "abc")


# --- sick trials


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_is_no_number_ends_that_trial_only(
    begin: Begin, plan: Plan, value: float | None
) -> None:
    engine = begin(plan)
    sick, well = engine.ask(), engine.ask()
    assert isinstance(sick, TrialState)
    assert isinstance(well, TrialState)
    decision = engine.report(sick.number, EVERY, "adversarial", metrics(value, EVERY))
    assert (decision.action, decision.rung) == ("prune", EVERY)
    assert decision.reason == "the objective is not a finite number at 16 images"
    assert engine.report(well.number, EVERY, "", metrics(1e6, EVERY)).action == "go_on"
    assert [trial.status for trial in engine.state.trials] == ["pruned", "open"]
    assert replay(plan, read_journal(plan.folder / "journal")) == []


def test_a_missing_value_may_be_none(begin: Begin, plan: Plan) -> None:
    engine = begin(plan)
    trial = engine.ask()
    assert isinstance(trial, TrialState)
    lacking: dict[str, Any] = {**metrics(None, EVERY), OBJECTIVE: None}
    assert engine.report(trial.number, EVERY, "", lacking).action == "prune"
    assert OBJECTIVE not in engine.state.trials[0].last_metrics


def test_a_final_fault_ends_that_trial_only_and_counts_as_the_worst(
    begin: Begin, plan: Plan
) -> None:
    engine = begin(plan)
    broken, well, worse = engine.ask(), engine.ask(), engine.ask()
    assert isinstance(broken, TrialState)
    assert isinstance(well, TrialState)
    assert isinstance(worse, TrialState)
    engine.fault(broken.number, "first", final=False)
    engine.fault(broken.number, "Traceback:\nthe worker died", final=True)
    engine.fault(broken.number, "heard twice", final=True)
    state = engine.state.trials[broken.number]
    assert (state.status, state.reason) == ("failed", "Traceback:\nthe worker died")
    faults = [r for r in read_journal(plan.folder / "journal") if isinstance(r, Fault)]
    assert [fault.final for fault in faults] == [False, True]
    # The trial that failed stands on the first rung, so the next one there is not the first.
    decision = engine.report(well.number, EVERY, "", metrics(50.0, EVERY))
    assert (decision.action, decision.standing, decision.cutoff) == ("go_on", 1, math.inf)
    assert isinstance(engine.ask(), TrialState)
    assert replay(plan, read_journal(plan.folder / "journal")) == []


def test_a_final_fault_counts_in_the_next_session_too(begin: Begin, plan: Plan) -> None:
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        engine.ask()
        engine.fault(0, "died", final=True)
    engine = begin(plan)
    trial = engine.ask()
    assert isinstance(trial, TrialState)
    assert engine.report(trial.number, EVERY, "", metrics(50.0, EVERY)).standing == 1
    assert replay(plan, read_journal(plan.folder / "journal")) == []


def test_what_the_storage_refused_has_not_happened(
    begin: Begin, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = begin(plan)
    engine.ask()
    heard: list[Event] = []
    engine.observers.append(heard.append)
    before = repr(engine.state)

    def refuse(journal: Journal, record: Record) -> None:
        raise CheckpointError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", refuse)
        for happen in (
            engine.ask,
            lambda: engine.report(0, EVERY, "", metrics(50.0, EVERY)),
            lambda: engine.fault(0, "died", final=False),
        ):
            with pytest.raises(CheckpointError, match="no room"):
                happen()
    assert repr(engine.state) == before
    assert heard == []


def test_a_fault_whose_text_no_file_can_hold(begin: Begin, plan: Plan) -> None:
    engine = begin(plan)
    trial = engine.ask()
    assert isinstance(trial, TrialState)
    engine.fault(trial.number, "no such file: '\udcff.png'", final=True)
    (fault,) = fold(read_journal(plan.folder / "journal")).trials[0].faults
    assert fault.text == r"no such file: '\udcff.png'"


def test_references_are_noted_once(begin: Begin, plan: Plan) -> None:
    engine = begin(plan)
    engine.note_references({"gray": {"fd": 80.0}})
    engine.note_references({"gray": {"fd": 81.0}})
    records = read_journal(plan.folder / "journal")
    assert [r.scores for r in records if isinstance(r, References)] == [{"gray": {"fd": 80.0}}]


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
