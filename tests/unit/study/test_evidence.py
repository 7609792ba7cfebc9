"""How sure an answer is."""

import math
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.evidence import arrival_luck, cost, lead, rank_correlations
from tests.unit.study.fakes import BUDGET, EVERY, SPACE, make
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def finished(order: list[float], ends: list[float]) -> Told:
    """A study whose trials had these scores at the first rung and at the end."""
    told = Told()
    for early, late in zip(order, ends, strict=True):
        number = told.ask()
        told.report(number, 16, early, rung=16).report(number, 48, early, rung=48)
        told.report(number, BUDGET, late, "end", rung=BUDGET)
    return told


def zigzag(step: float, *bests: float) -> Told:
    told = Told()
    for best in bests:
        number = told.ask()
        for place, images in enumerate(range(EVERY, BUDGET + 1, EVERY)):
            told.report(number, images, best + step * (place % 2))
    return told


def test_a_lead_below_the_noise_is_a_tie(plan: Plan) -> None:
    found = lead(zigzag(6.0, 60.0, 65.0).state, plan)
    assert found is not None
    assert (found.best, found.second, found.step) == (60.0, 65.0, 6.0)
    assert "take the two as tied" in found.verdict


def test_a_lead_above_the_noise_is_none(plan: Plan) -> None:
    found = lead(zigzag(2.0, 60.0, 65.0).state, plan)
    assert found is not None
    assert "more than one moment's luck" in found.verdict
    assert "another seed" in found.verdict


def test_too_few_reports_do_not_tell_the_noise(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 16, 70.0).report(told.ask(), 16, 80.0)
    found = lead(told.state, plan)
    assert found is not None
    assert found.step is None
    assert "too few reports" in found.verdict


def test_there_is_no_lead_without_a_second(plan: Plan) -> None:
    told = Told()
    assert lead(told.state, plan) is None
    told.report(told.ask(), 16, 70.0).report(told.ask(), 16, math.nan)
    assert lead(told.state, plan) is None


def test_a_rung_that_foretells_the_end(plan: Plan) -> None:
    scores = [70.0, 72.0, 75.0, 80.0, 81.0, 90.0]
    (first, second) = rank_correlations(finished(scores, scores).state, plan)
    assert (first.images, second.images) == (16, 48)
    assert first.num_trials == 6
    assert [first.spearman, first.low, first.high] == pytest.approx([1.0, 1.0, 1.0])


def test_a_rung_that_foretells_nothing(plan: Plan) -> None:
    told = finished(
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [3.0, 6.0, 8.0, 1.0, 2.0, 7.0, 5.0, 4.0]
    )
    first, _ = rank_correlations(told.state, plan)
    assert abs(first.spearman) < 0.2
    assert first.low < 0 < first.high


def test_pruned_trials_are_left_out(plan: Plan) -> None:
    told = finished([70.0, 72.0, 75.0, 80.0, 81.0], [60.0, 62.0, 65.0, 70.0, 71.0])
    told.report(told.ask(), 16, 10.0, "prune", rung=16)
    first, _ = rank_correlations(told.state, plan)
    assert first.num_trials == 5
    assert first.spearman == pytest.approx(1.0)


def test_few_or_equal_trials_say_nothing(plan: Plan) -> None:
    assert rank_correlations(finished([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]).state, plan) == []
    assert rank_correlations(finished([5.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).state, plan) == []


def test_a_study_without_pruning_has_its_report_points(tmp_path: Path) -> None:
    plan = make(tmp_path, SPACE.replace("kind: asha, first_rung: 16, reduction: 3", "kind: none"))
    scores = [70.0, 72.0, 75.0, 80.0, 81.0]
    assert [c.images for c in rank_correlations(finished(scores, scores).state, plan)] == [16, 48]


def test_cost(plan: Plan) -> None:
    told = Told()
    told.session(plan)
    told.report(told.ask(), 16, 70.0, "prune")
    told.report(told.ask(), BUDGET, 60.0, "end")
    told.ask()
    found = cost(told.state, plan)
    assert found.images == 16 + BUDGET
    assert found.share_of_full == pytest.approx((16 + BUDGET) / (2 * BUDGET))
    assert found.train_seconds == pytest.approx((16 + BUDGET) / 20)
    # The clock of the fakes ticks once a record.
    assert found.wall_seconds == len(told.records) - 1


def test_time_between_sessions_is_not_worked(plan: Plan) -> None:
    told = Told()
    told.session(plan)
    told.report(told.ask(), 16, 70.0)
    state = told.state
    before = state.wall_seconds
    session = told.records[0]
    object.__setattr__(session, "time", state.last_time + 3600)
    state.apply(session)
    assert state.wall_seconds == before


def test_nothing_has_been_spent_before_the_first_trial(plan: Plan) -> None:
    found = cost(Told().state, plan)
    assert (found.images, found.share_of_full, found.wall_seconds) == (0, 0.0, 0.0)


def test_trials_that_few_others_pruned_are_counted(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 16, 70.0, rung=16)
    assert arrival_luck(told.state, plan) == ""
    told.report(told.ask(), 16, 90.0, "prune", rung=16, cutoff=70.0, standing=1)
    told.report(told.ask(), 16, 91.0, "prune", rung=16, cutoff=75.0, standing=5)
    assert arrival_luck(told.state, plan).startswith(
        "1 of 2 pruned trials were compared with fewer than 3 others"
    )
    # A trial that diverged was not compared.
    told.report(told.ask(), 16, math.nan, "prune", rung=16)
    assert arrival_luck(told.state, plan).startswith("1 of 2 ")


def test_what_waits_is_not_counted_as_saved(plan: Plan) -> None:
    told = Told()
    told.report(told.ask(), 16, 70.0)
    assert cost(told.state, plan).share_of_full == 1.0
