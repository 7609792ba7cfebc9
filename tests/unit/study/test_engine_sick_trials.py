"""A trial that fails or reports no number ends alone."""

import math
from typing import Any

import pytest

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Fault, Record, References
from raycolor.study.rules import replay
from raycolor.study.state import TrialState, fold
from tests.unit.study.fakes import EVERY, OBJECTIVE, Begin, metrics


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
