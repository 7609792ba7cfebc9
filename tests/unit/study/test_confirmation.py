"""The best configurations again with other seeds, and who wins then."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar
from raycolor.study.configs import config_of
from raycolor.study.confirmation import confirmed, verdict, winner
from raycolor.study.engine import Engine, is_finished, needs_test, to_test
from raycolor.study.journal import Journal, read_journal
from raycolor.study.leaderboard import rows
from raycolor.study.rules import Nothing, replay
from raycolor.study.state import StudyState, TrialState, fold
from tests.unit.study.fakes import BUDGET, OBJECTIVE, SPACE, Workers, clock, curve, make, run

CONFIRMING = SPACE.replace("  scheduler:", "  confirm: {top: 2, seeds: 3}\n  scheduler:")
WITHOUT_RUNGS = CONFIRMING.replace("kind: asha, first_rung: 16, reduction: 3", "kind: none")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    # Two trials at the end are few under halving; without it all are.
    return make(tmp_path, WITHOUT_RUNGS)


def confirming(state: StudyState) -> list[TrialState]:
    return [trial for trial in state.trials if trial.phase == "confirm"]


def test_the_best_train_again_with_seeds_that_nothing_was_chosen_by(plan: Plan) -> None:
    state = fold(run(plan))
    best = sorted(state.searched, key=lambda trial: trial.best(OBJECTIVE))[:2]
    again = confirming(state)
    # One seed of each first.
    assert [trial.confirms for trial in again] == [trial.number for trial in best] * 3
    for trial in again:
        assert trial.confirms is not None
        assert trial.chosen == state.trials[trial.confirms].chosen
        assert trial.status == "completed"
        assert trial.images_seen == BUDGET
    seeds = [trial.seed for trial in state.trials]
    assert len(set(seeds)) == len(seeds)
    own = [config_of(trial, plan).pretraining.seed for trial in again]
    assert len(set(own)) == len(own)
    assert plan.seed not in own
    assert {config_of(trial, plan).pretraining.seed for trial in state.searched} == {plan.seed}


def test_a_confirmation_is_lawful_whatever_runs_at_once(plan: Plan) -> None:
    records = run(plan, Workers(in_flight=4))
    assert replay(plan, records) == []
    assert len(confirming(fold(records))) == 6


def test_confirmation_waits_until_the_search_has_ended(plan: Plan) -> None:
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        for _ in range(plan.trials):
            assert isinstance(engine.ask(), TrialState)
        assert engine.ask() is Nothing.LATER
        for trial in list(engine.state.trials):
            engine.fault(trial.number, "died", final=True)
        # Nobody has trained to the end: there is nothing to confirm.
        assert engine.ask() is Nothing.LEFT
        assert engine.finished


def test_a_confirming_trial_is_never_pruned_for_being_worse(tmp_path: Path) -> None:
    plan = make(tmp_path, CONFIRMING)
    seen: dict[int, int] = {}

    def worse_again(chosen: Mapping[str, Scalar], images: int) -> float:
        key = hash(tuple(sorted((k, str(v)) for k, v in chosen.items())))
        seen[key] = seen.get(key, 0) + 1
        return curve(chosen, images) + 50 * (seen[key] > BUDGET // 16)

    state = fold(run(plan, Workers(curve=worse_again)))
    again = confirming(state)
    assert again
    assert {trial.status for trial in again} == {"completed"}
    assert all("never pruned" in report.decision.reason for report in again[0].reports[:-1])


def test_a_sick_confirming_trial_ends_and_makes_its_mean_infinite(plan: Plan) -> None:
    calls = 0

    def sick_once(chosen: Mapping[str, Scalar], images: int) -> float:
        nonlocal calls
        calls += images == BUDGET
        sick = images == BUDGET and calls == plan.trials + 1
        return math.nan if sick else curve(chosen, images)

    records = run(plan, Workers(curve=sick_once))
    state = fold(records)
    assert sorted({trial.status for trial in confirming(state)}) == ["completed", "pruned"]
    found = confirmed(state, plan)
    assert [math.isfinite(item.mean) for item in found] == [True, False]
    assert "The winner is clear: a seed of the next did not train to its end." in verdict(found)
    assert replay(plan, records) == []


def test_the_winner_is_the_configuration_with_the_best_mean(plan: Plan) -> None:
    lucky: dict[str, float] = {}

    def luck(chosen: Mapping[str, Scalar], images: int) -> float:
        # The first run of the best configuration is 30 better than it deserves.
        key = str(chosen)
        first = key not in lucky or lucky[key] >= images / BUDGET
        lucky[key] = max(lucky.get(key, 0.0), images / BUDGET)
        return curve(chosen, images) - (30.0 if first and images < BUDGET else 0.0)

    state = fold(run(plan, Workers(curve=luck)))
    found = confirmed(state, plan)
    assert [item.mean for item in found] == sorted(item.mean for item in found)
    best = winner(state, plan)
    assert best is not None
    assert best.phase == "confirm"
    assert best.confirms == found[0].number


def noisy(spread: float, gap: float) -> "Workers":
    """Workers whose confirming scores differ by a spread, and whose best two differ by a gap."""
    order: dict[str, int] = {}
    runs: dict[str, int] = {}

    def scores(chosen: Mapping[str, Scalar], images: int) -> float:
        key = str(chosen)
        order.setdefault(key, len(order))
        if images == 16:
            runs[key] = runs.get(key, 0) + 1
        return 50 + gap * order[key] + spread * (runs[key] % 3 - 1)

    return Workers(curve=scores)


@pytest.mark.parametrize(
    ("spread", "gap", "expected"), [(1.0, 20.0, "The winner is clear"), (5.0, 1.0, "tied")]
)
def test_the_spread_says_whether_the_winner_is_clear(
    plan: Plan, spread: float, gap: float, expected: str
) -> None:
    found = confirmed(fold(run(plan, noisy(spread, gap))), plan)
    assert expected in verdict(found)
    assert found[0].spread == pytest.approx(spread, rel=0.01)


def test_the_board_has_mean_and_spread(plan: Plan) -> None:
    state = fold(run(plan, noisy(1.0, 20.0)))
    table = rows(state, plan)
    found = confirmed(state, plan)
    ranked = [row for row in table if row.rank is not None]
    assert [row.number for row in ranked[:2]] == [item.number for item in found]
    assert ranked[0].confirmed_mean == found[0].mean
    assert ranked[0].confirmed_seeds == 3
    assert ranked[2].confirmed_mean is None
    assert [row.rank for row in ranked] == list(range(1, plan.trials + 1))
    last = table[-6:]
    assert [row.rank for row in last] == [None] * 6
    assert all("confirms trial" in row.reason for row in last)


def test_the_test_split_is_looked_at_once_and_last(plan: Plan) -> None:
    records = run(plan)
    state = fold(records)
    assert needs_test(state, plan)
    assert not is_finished(state, plan)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        scores = {str(trial.number): {"fd": 60.0} for trial in to_test(engine.state, plan)}
        assert len(scores) == 3
        engine.note_test(scores)
        engine.note_test({"0": {"fd": 1.0}})
        assert engine.state.tested == scores
        assert engine.finished
    again = fold(read_journal(plan.folder / "journal"))
    assert again.tested == scores
    assert is_finished(again, plan)


def test_a_search_without_completed_trials_confirms_nothing(plan: Plan) -> None:
    records = run(plan, Workers(curve=lambda chosen, images: math.nan))
    state = fold(records)
    assert confirming(state) == []
    assert is_finished(state, plan)
    assert verdict(confirmed(state, plan)) == "Nothing has been confirmed yet."


def test_more_trials_after_a_confirmation_are_searched_and_confirmed(
    tmp_path: Path, plan: Plan
) -> None:
    run(plan)
    larger = make(tmp_path, WITHOUT_RUNGS, trials=plan.trials + 6)
    records = run(larger, Workers(in_flight=2))
    state = fold(records)
    assert len(state.searched) == plan.trials + 6
    assert replay(larger, records) == []
    best = sorted(state.searched, key=lambda trial: trial.best(OBJECTIVE))[:2]
    for trial in best:
        assert sum(other.confirms == trial.number for other in state.trials) == 3
