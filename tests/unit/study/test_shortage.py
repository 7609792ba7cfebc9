"""A trial that runs out of GPU memory: once more, alone, and then it has failed."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Ask, Fault, from_line, to_line
from raycolor.study.rules import Nothing, replay
from raycolor.study.spending import limit_reached, spending
from raycolor.study.state import TrialState
from raycolor.study.suggest import suggest
from tests.unit.study.fakes import EVERY, OBJECTIVE, SPACE, clock, make, metrics
from tests.unit.study.told import Told

TEXT = "ran out of GPU memory"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path, trials=3)


@pytest.fixture
def engine(plan: Plan) -> Iterator[Engine]:
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        yield engine


def handed(engine: Engine, *, alone_last: bool = False) -> tuple[int, bool]:
    """Number of the next trial, and whether it runs alone."""
    trial = engine.ask(alone_last=alone_last)
    assert isinstance(trial, TrialState)
    return trial.number, trial.alone


def faults(plan: Plan) -> list[Fault]:
    return [r for r in read_journal(plan.folder / "journal") if isinstance(r, Fault)]


def test_it_runs_once_more_and_then_it_has_failed(engine: Engine, plan: Plan) -> None:
    assert handed(engine) == (0, False)
    engine.report(0, EVERY, "adversarial", metrics(50.0, EVERY))
    engine.out_of_memory(0, TEXT)
    assert engine.state.trials[0].status == "open"
    assert handed(engine) == (0, True)
    assert handed(engine) == (1, False)
    engine.out_of_memory(0, TEXT)
    trial = engine.state.trials[0]
    assert (trial.status, trial.reason, trial.too_large) == ("failed", TEXT, True)
    assert handed(engine) == (2, False)
    engine.out_of_memory(0, "heard twice")
    assert [(f.final, f.cause, f.images_seen) for f in faults(plan)] == [
        (False, "memory", EVERY),
        (True, "memory", EVERY),
    ]
    assert replay(plan, read_journal(plan.folder / "journal")) == []


def test_other_faults_do_not_count(engine: Engine) -> None:
    handed(engine)
    engine.fault(0, "the worker died", final=False)
    assert not engine.state.trials[0].alone
    engine.out_of_memory(0, TEXT)
    engine.fault(0, "the worker died", final=False)
    trial = engine.state.trials[0]
    assert (trial.status, trial.alone, trial.too_large) == ("open", True, False)


def test_where_gpus_are_shared_it_comes_last(engine: Engine) -> None:
    assert handed(engine, alone_last=True) == (0, False)
    engine.out_of_memory(0, TEXT)
    assert handed(engine, alone_last=True) == (1, False)
    assert handed(engine, alone_last=True) == (2, False)
    assert handed(engine, alone_last=True) == (0, True)
    assert engine.ask(alone_last=True) is Nothing.LEFT


def test_confirmation_waits_for_it(tmp_path: Path) -> None:
    plan = make(
        tmp_path, SPACE.replace("study:", "study:\n  confirm: {top: 1, seeds: 1}"), trials=1
    )
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        assert handed(engine, alone_last=True) == (0, False)
        engine.out_of_memory(0, TEXT)
        assert handed(engine, alone_last=True) == (0, True)
        assert engine.ask(alone_last=True) is Nothing.LATER


def test_the_next_session_knows_that_it_is_to_run_alone(plan: Plan) -> None:
    for alone in (False, True):
        with Journal(plan.folder / "journal") as journal:
            engine = Engine(plan, journal, clock=clock())
            engine.begin({}, "abc")
            assert handed(engine) == (0, alone)
            engine.out_of_memory(0, TEXT)
    assert [fault.final for fault in faults(plan)] == [False, True]


@pytest.mark.parametrize("wrong", [0, 1])
def test_replay_names_a_wrong_end(plan: Plan, wrong: int) -> None:
    told = Told().session(plan)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        handed(engine)
        engine.out_of_memory(0, TEXT)
        engine.out_of_memory(0, TEXT)
        told.records = list(journal.records)
    places = [i for i, record in enumerate(told.records) if isinstance(record, Fault)]
    assert replay(plan, told.records) == []
    fault = told.records[places[wrong]]
    assert isinstance(fault, Fault)
    told.records[places[wrong]] = replace(fault, final=not fault.final)
    (line, *_) = replay(plan, told.records)
    assert line.startswith(f"line {places[wrong] + 1}: expected Fault(")


def test_journals_from_before_are_read(plan: Plan) -> None:
    old = Fault(time=1.0, number=0, images_seen=16, text="died", final=True)
    tree = json.loads(to_line(old))
    del tree["cause"]
    assert from_line(json.dumps(tree)) == old
    new = replace(old, cause="memory")
    assert from_line(to_line(new)) == new


def test_the_like_of_it_is_not_suggested_again(plan: Plan) -> None:
    """As of one that diverged, and not as of one whose machine failed."""
    told = Told()
    for _ in range(4):
        told.report(told.ask(), 16, 70.0, "prune")
    number = told.ask(losses__l1_lambda=84.0)

    def next_one(trials: list[TrialState]) -> object:
        return suggest(plan.space, trials, objective=OBJECTIVE, number=5, seed=1)

    failed = next_one(told.fault(number).state.trials)
    told.records.pop()
    short = next_one(told.fault(number, cause="memory").state.trials)
    told.records.pop()
    diverged = next_one(told.report(number, 16, math.nan, "prune").state.trials)
    assert short == diverged != failed


@pytest.mark.parametrize(
    ("gpus", "hours"), [(0.5, 0.5 + 1.0 * 2), (1.0, 3.0), (2.0, 6.0), (0.0, 0.0)]
)
def test_a_whole_gpu_costs_a_whole_one(tmp_path: Path, gpus: float, hours: float) -> None:
    text = SPACE.replace("study:", "study:\n  resources: {price_per_hour: 4}")
    plan = make(tmp_path, text, gpu_hours=hours - 0.01 if hours else None, max_cost=10.0**6)
    told = Told()
    number = told.ask()
    told.report(number, 16, 70.0, more={"train_seconds": 3600.0})
    told.fault(number, final=False, cause="memory", images=16)
    told.report(number, 32, 60.0, more={"train_seconds": 3 * 3600.0})
    spent = spending(told.state, plan, gpus=gpus)
    assert (spent.trial_hours, spent.gpu_hours) == (3.0, hours)
    assert spent.cost == 4 * (hours or 3.0)
    assert limit_reached(told.state, plan, gpus=gpus) == ("gpu_hours" if hours else None)


def test_asks_stand_in_the_journal_once(engine: Engine, plan: Plan) -> None:
    handed(engine)
    engine.out_of_memory(0, TEXT)
    handed(engine)
    records = read_journal(plan.folder / "journal")
    assert [r.number for r in records if isinstance(r, Ask)] == [0]
