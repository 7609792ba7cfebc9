"""Halving by numbers that were worked out on paper, and what a change of the metric changes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raycolor.study.halving import Halving
from tests.unit.study.fakes import make

RUNGS = (100, 300, 900)


def race(values: Sequence[float], reduction: int = 3, rungs: Sequence[int] = RUNGS) -> list[int]:
    """Let trials with constant values run one after another; return how many stand on each rung."""
    halving = Halving(rungs, reduction, rungs[-1])
    counts = dict.fromkeys(rungs, 0)
    for number, value in enumerate(values):
        for rung in rungs:
            counts[rung] += 1
            if halving.decide(number, rung, value).action != "go_on":
                break
    return list(counts.values())


# Ten trials, reduction 3, first rung 100, budget 900. A newcomer goes on if it is no worse than the
# value a third of the way from the best to the worst of the n there before: place (n - 1) / 3.
#
# Worst first, 10, 9, ..., 1: the first goes on; each other is better than all before it, and so
# under any value between them. All ten stand on each rung: the worst order for halving.
#
# Best first, 1, 2, ..., 10: the first goes on; each other is worse than all before it. One remains.
#
# Mixed, 5 3 8 1 9 2 7 4 10 6, at rung 100:
#     5   nobody there                         goes on
#     3   5                    cutoff 5        goes on
#     8   3 5                  3 + 2/3 = 3.67  is pruned
#     1   3 5 8                3 + 4/3 = 4.33  goes on
#     9   1 3 5 8              3               is pruned
#     2   1 3 5 8 9            3 + 2/3 = 3.67  goes on
#     7   1 2 3 5 8 9          2 + 2/3 = 2.67  is pruned
#     4   1 2 3 5 7 8 9        3               is pruned
#    10   1 2 3 4 5 7 8 9      3 + 1/3 = 3.33  is pruned
#     6   1 2 3 4 5 7 8 9 10   3 + 2/3 = 3.67  is pruned
# At rung 300 arrive 5, 3, 1 and 2: the first; under 5; under 3 + 2/3; 2 under 1 + 4/3 = 2.33.
@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (range(10, 0, -1), [10, 10, 10]),
        (range(1, 11), [10, 1, 1]),
        ((5, 3, 8, 1, 9, 2, 7, 4, 10, 6), [10, 4, 4]),
    ],
)
def test_counts_at_each_rung(values: Sequence[int], counts: list[int]) -> None:
    assert race([float(value) for value in values]) == counts


def test_a_budget_of_243_with_reduction_3_has_all_its_rungs(tmp_path: Path) -> None:
    """log(243) / log(3) is a little under 5 in floating point, which costs Ray the top rung."""
    text = """
study: {scheduler: {kind: asha, first_rung: 1, reduction: 3}}
fixed: {budget.images: 243, budget.report_every: 1, budget.batch_size: 1}
search:
  losses.l1_lambda: {kind: uniform, low: 1, high: 100}
"""
    rungs = make(tmp_path, text).rungs
    assert rungs == (1, 3, 9, 27, 81, 243)
    assert race([3.0, 2.0, 1.0, 4.0], rungs=rungs) == [4, 3, 3, 3, 3, 3]


@given(
    values=st.lists(st.floats(-1e200, 1e200), max_size=40),
    reduction=st.integers(2, 5),
    trials=st.integers(1, 5),
)
def test_no_trial_is_pruned_before_the_first_rung(
    values: list[float], reduction: int, trials: int
) -> None:
    halving = Halving(RUNGS, reduction, 900)
    for place, value in enumerate(values):
        decision = halving.decide(place % trials, 1 + place, value)
        assert (decision.action, decision.rung) == ("go_on", None)


@given(data=st.data(), reduction=st.integers(2, 5))
def test_a_value_that_is_no_number_never_outlives_its_report(
    data: st.DataObject, reduction: int
) -> None:
    values = st.one_of(st.integers(0, 9).map(float), st.sampled_from([math.nan, math.inf]))
    halving = Halving(RUNGS, reduction, 900)
    for number in range(data.draw(st.integers(1, 6))):
        for images in range(50, 950, 50):
            value = data.draw(values)
            decision = halving.decide(number, images, value)
            assert (decision.action == "prune") or math.isfinite(value)
            if decision.action != "go_on":
                break


def test_a_value_that_is_no_number_between_rungs_counts_at_the_next() -> None:
    halving = Halving(RUNGS, 3, 900)
    halving.decide(0, 100, 5.0)
    decision = halving.decide(0, 200, math.nan)
    assert (decision.action, decision.rung) == ("prune", None)
    halving.decide(1, 100, 4.0)
    arrived = halving.decide(1, 300, 4.0)
    assert (arrived.standing, arrived.cutoff, arrived.action) == (1, math.inf, "go_on")
    assert halving.decide(2, 900, 4.0).standing == 0


# --- what a change of the metric changes


def decisions(values: Sequence[float], reduction: int) -> list[str]:
    halving = Halving((10,), reduction, 20)
    return [halving.decide(number, 10, value).action for number, value in enumerate(values)]


@settings(max_examples=200)
@given(
    values=st.lists(st.integers(-50, 50), min_size=1, max_size=30),
    reduction=st.sampled_from([2, 4]),
    stretch=st.integers(1, 1000),
    shift=st.integers(-1000, 1000),
)
def test_a_shift_and_a_stretch_change_no_decision(
    values: list[int], reduction: int, stretch: int, shift: int
) -> None:
    """Whole numbers and quarters, so that nothing is rounded."""
    before = decisions([float(value) for value in values], reduction)
    after = decisions([float(stretch * value + shift) for value in values], reduction)
    assert after == before


MONOTONE: list[Callable[[float], float]] = [
    lambda value: value**3,
    lambda value: math.exp(value / 10),
    lambda value: math.log(value + 51),
    math.atan,
]


@settings(max_examples=200)
@given(
    values=st.lists(st.integers(-50, 50), min_size=1, max_size=30),
    reduction=st.integers(2, 5),
    change=st.sampled_from(MONOTONE),
)
def test_a_monotone_change_counts_only_between_two_neighbours(
    values: list[int], reduction: int, change: Callable[[float], float]
) -> None:
    before = decisions([float(value) for value in values], reduction)
    after = decisions([change(float(value)) for value in values], reduction)
    for place, value in enumerate(values):
        there = sorted(values[:place])
        if not there:
            assert before[place] == after[place] == "go_on"
            continue
        position = (len(there) - 1) / reduction
        low = there[max(0, math.floor(position - 1e-9))]
        high = there[min(len(there) - 1, math.ceil(position + 1e-9))]
        if value < low:
            assert before[place] == after[place] == "go_on"
        if value > high:
            assert before[place] == after[place] == "prune"


def test_a_monotone_change_may_count_between_two_neighbours() -> None:
    """Half-way from 1 to 100 is 50.5, but half-way from their logarithms is that of 10."""
    values = [100.0, 1.0, 40.0]
    assert decisions(values, 2)[-1] == "go_on"
    assert decisions([math.log(value) for value in values], 2)[-1] == "prune"
