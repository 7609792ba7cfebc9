"""Halving decides as Ray's ASHA where every value is a number, and keeps its word where not."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from raycolor.study.halving import Halving
from raycolor.study.records import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class RayTrial:
    """As much of a trial of Ray's as its scheduler looks at."""

    trial_id: str


class RayHalving:
    """Ray's scheduler, driven as its TuneController does, without a cluster."""

    def __init__(self, first_rung: int, reduction: int, end: int) -> None:
        self._scheduler = AsyncHyperBandScheduler(
            time_attr="images_seen",
            metric="value",
            mode="min",
            max_t=end,
            grace_period=first_rung,
            reduction_factor=reduction,
            brackets=1,
        )
        self._trials: dict[int, RayTrial] = {}

    def goes_on(self, number: int, images_seen: int, value: float) -> bool:
        if number not in self._trials:
            self._trials[number] = RayTrial(trial_id=str(number))
            self._scheduler.on_trial_add(None, self._trials[number])
        trial = self._trials[number]
        result = {"images_seen": images_seen, "value": value}
        decision = self._scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.STOP:
            # Where Ray puts a trial that came to its end onto the last rung.
            self._scheduler.on_trial_complete(None, trial, result)
        return bool(decision == TrialScheduler.CONTINUE)


def rungs(first: int, reduction: int, end: int) -> tuple[int, ...]:
    return tuple(
        itertools.takewhile(
            lambda rung: rung <= end, (first * reduction**power for power in itertools.count())
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Trials with their curves, and the order in which their reports arrive."""

    every: int
    first: int
    reduction: int
    end: int
    curves: list[list[float]]
    """For each trial the value at each report."""
    arrivals: list[int]
    """Numbers of trials; one that has ended is passed over."""


NUMBERS = st.one_of(
    st.integers(0, 6).map(float),  # ties
    st.floats(-1e9, 1e9),
    st.floats(-1e200, 1e200),
)


@st.composite
def races(draw: st.DrawFn) -> Race:
    every = draw(st.integers(1, 5))
    reports = draw(st.integers(1, 30))
    trials = draw(st.integers(1, 14))
    numbers = draw(st.sampled_from([NUMBERS, st.integers(0, 3).map(float), st.floats(0, 100)]))
    values = draw(st.lists(numbers, min_size=1, max_size=60))
    shift = draw(st.integers(1, 100))
    first = draw(st.integers(1, min(4, reports)))
    arrivals = draw(st.lists(st.integers(0, trials - 1), max_size=trials * reports))
    return Race(
        every=every,
        first=first * every,
        reduction=draw(st.integers(2, 5)),
        end=reports * every,
        curves=[
            [values[(trial * shift + report) % len(values)] for report in range(reports)]
            for trial in range(trials)
        ],
        # Whatever is left then comes trial by trial.
        arrivals=[*arrivals, *(trial for trial in range(trials) for _ in range(reports))],
    )


@settings(max_examples=300, deadline=None)
@given(race=races())
def test_the_same_decisions_as_ray_report_for_report(race: Race) -> None:
    ray = RayHalving(race.first, race.reduction, race.end)
    halving = Halving(rungs(race.first, race.reduction, race.end), race.reduction, race.end)
    reports = [0] * len(race.curves)
    ended: set[int] = set()
    for number in race.arrivals:
        if number in ended:
            continue
        value = race.curves[number][reports[number]]
        reports[number] += 1
        images = reports[number] * race.every
        decision = halving.decide(number, images, value)
        assert (decision.action == "go_on") == ray.goes_on(number, images, value), decision
        assert (decision.action == "end") == (images == race.end)
        if decision.action != "go_on":
            ended.add(number)
    assert len(ended) == len(race.curves)


def test_the_same_decisions_as_ray_where_ray_loses_its_top_rung() -> None:
    """log(243) / log(3) is a little under 5 in floating point."""
    ray = RayHalving(1, 3, 243)
    halving = Halving((1, 3, 9, 27, 81, 243), 3, 243)
    for number in range(40):
        for rung in (1, 3, 9, 27, 81, 100, 243):
            value = float((number * 17 + rung) % 41)
            decision = halving.decide(number, rung, value)
            assert (decision.action == "go_on") == ray.goes_on(number, rung, value)
            if decision.action != "go_on":
                break


# --- rules by example


def decide_all(halving: Halving, values: Sequence[float], rung: int = 10) -> list[Decision]:
    return [halving.decide(number, rung, value) for number, value in enumerate(values)]


def halves(reduction: int = 2) -> Halving:
    return Halving((10, 20, 40), reduction, 40)


def test_the_first_at_a_rung_goes_on_however_bad() -> None:
    decision = halves().decide(7, 10, 1e12)
    assert decision == Decision(
        action="go_on", reason="first at rung 10", rung=10, value=1e12, cutoff=None, standing=0
    )


def test_a_trial_is_compared_with_those_that_were_there_before() -> None:
    first, equal, worse, better = decide_all(halves(), [5.0, 5.0, 5.5, 4.0])
    assert [d.action for d in (first, equal, worse, better)] == [
        "go_on",
        "go_on",
        "prune",
        "go_on",
    ]
    assert equal.reason == "5 is not above the cutoff 5 of 1 trial at rung 10"
    assert worse.reason == "5.5 is above the cutoff 5 of 2 trials at rung 10"
    assert (worse.value, worse.cutoff, worse.rung, worse.standing) == (5.5, 5.0, 10, 2)
    assert better.reason == "4 is not above the cutoff 5 of 3 trials at rung 10"


def test_the_cutoff_is_a_percentile() -> None:
    halving = halves(reduction=4)
    decide_all(halving, [1.0, 2.0, 3.0, 4.0, 5.0])
    # A quarter of the way from the best to the worst of five.
    assert halving.decide(9, 10, 2.0).cutoff == pytest.approx(2.0)
    assert halving.decide(10, 10, 2.1).action == "prune"


def test_large_numbers_are_written_for_people() -> None:
    halving = Halving((10_000, 1_000_000), 3, 1_000_000)
    assert halving.decide(0, 10_000, 1.0).reason == "first at rung 10,000"
    assert halving.decide(1, 10_000, 123.4567).reason == (
        "123.5 is above the cutoff 1 of 1 trial at rung 10,000"
    )
    assert halving.decide(0, 1_000_000, 1.0).reason == "trained to its end, 1,000,000 images"


def test_between_rungs_a_trial_goes_on() -> None:
    halving = halves()
    halving.decide(0, 10, 1.0)
    halving.decide(1, 10, 1.0)
    decision = halving.decide(1, 15, 1e9)
    assert (decision.action, decision.rung, decision.reason) == ("go_on", None, "between rungs")


def test_a_trial_that_reports_late_is_compared_at_the_highest_rung_it_has_reached() -> None:
    halving, ray = halves(), RayHalving(10, 2, 40)
    for number, images, value in ((0, 10, 1.0), (1, 25, 9.0), (2, 20, 8.0), (1, 30, 7.0)):
        decision = halving.decide(number, images, value)
        assert (decision.action == "go_on") == ray.goes_on(number, images, value)
        assert decision.rung == {(1, 30): 10}.get((number, images), images // 10 * 10)


def test_the_end_is_the_end() -> None:
    halving = halves()
    decide_all(halving, [1.0], rung=40)
    decision = halving.decide(1, 40, 100.0)
    assert (decision.action, decision.reason) == ("end", "trained to its end, 40 images")


def test_without_rungs_every_trial_comes_to_its_end() -> None:
    halving = Halving((), 3, 40)
    for number in range(5):
        assert halving.decide(number, 10, float(number)).action == "go_on"
        assert halving.decide(number, 40, float(number)).action == "end"


@pytest.mark.parametrize("images", [10, 15, 40])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_prunes_even_the_first(images: int, value: float) -> None:
    decision = halves().decide(0, images, value)
    assert decision.action == "prune"
    assert decision.reason == f"the objective is not a finite number at {images} images"
    assert decision.value == math.inf


@pytest.mark.parametrize("reduction", [2, 3, 4])
@given(values=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.nan, math.inf]), max_size=12))
def test_what_is_no_number_counts_as_the_worst(reduction: int, values: list[float]) -> None:
    """As if it were far above all that is a number, wherever one number is compared."""
    sick, huge = halves(reduction), halves(reduction)
    for number, value in enumerate(values):
        if math.isfinite(value):
            assert sick.decide(number, 10, value).action == huge.decide(number, 10, value).action
        else:
            assert sick.decide(number, 10, value).action == "prune"
            huge.decide(number, 10, 1e250)


def test_a_cutoff_of_sick_trials_lets_all_numbers_pass() -> None:
    halving = halves()
    decide_all(halving, [math.nan, math.nan])
    decision = halving.decide(2, 10, 1e100)
    assert decision.action == "go_on"
    assert decision.reason == "1e+100 is not above the cutoff inf of 2 trials at rung 10"


# --- faults


def test_a_fault_counts_as_the_worst_of_the_next_rung() -> None:
    halving = halves()
    halving.note_fault(0, 0)
    decision = halving.decide(1, 10, 5.0)
    assert (decision.standing, decision.cutoff, decision.action) == (1, math.inf, "go_on")


def test_a_fault_between_rungs_counts_at_the_rung_ahead_only() -> None:
    halving = halves()
    halving.decide(0, 10, 1.0)
    halving.note_fault(0, 15)
    assert halving.decide(1, 10, 1.0).standing == 1
    assert halving.decide(1, 20, 1.0).cutoff == math.inf
    assert halving.decide(1, 40, 1.0).standing == 0


def test_a_fault_leaves_the_value_at_a_rung_alone() -> None:
    halving = halves()
    halving.decide(0, 10, 1.0)
    halving.note_fault(0, 10)
    assert halving.decide(1, 10, 2.0).cutoff == 1.0


def test_a_fault_beyond_the_last_rung_has_none_to_count_at() -> None:
    halving = Halving((10,), 2, 40)
    halving.decide(0, 10, 1.0)
    halving.note_fault(0, 30)
    assert halving.decide(1, 10, 2.0).standing == 1


def test_faults_make_it_easier_for_nobody_who_is_worse_than_those_who_run() -> None:
    """A rung of mostly failed trials still prunes: the percentile falls on numbers."""
    halving = halves(reduction=4)
    for number in range(3):
        halving.note_fault(number, 0)
    assert halving.decide(3, 10, 1.0).action == "go_on"
    halving.decide(4, 10, 1.0)
    halving.decide(5, 10, 1.0)
    assert halving.decide(6, 10, 2.0).action == "prune"
