"""How trials share one machine; processes are stand-ins."""

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from raycolor.cache import VARIABLE
from raycolor.config import TrialConfig
from raycolor.plan import Plan, make_plan
from raycolor.spaces.space import ResourceSettings
from raycolor.study.records import Resources, Session
from raycolor.study.state import StudyState
from raycolor.tuning.pacers import OutOfTime, Pacers
from raycolor.tuning.packing import (
    Packing,
    choose,
    is_worth_it,
    packings,
    sentence,
    settle,
    shape_of,
    speeds_of,
)
from raycolor.tuning.shares import Machine, Shares, share_out
from tests.toy import TinyConfig

ONE, TWO = Packing(trials=1, cpus=2), Packing(trials=2, cpus=1)
ON_A_GPU = packings(
    Machine(name="a", cpus=16, gpus=1.0), Packing(trials=1, cpus=16, gpus=1.0), most=9
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "packing"


@pytest.mark.parametrize(
    ("cpus", "gpus", "most", "expected"),
    [
        (1, 0, 9, [(1, 1, 0)]),
        (2, 0, 9, [(1, 2, 0), (2, 1, 0)]),
        (3, 0, 9, [(1, 3, 0), (2, 1, 0), (3, 1, 0)]),
        (6, 0, 9, [(1, 6, 0), (2, 3, 0), (4, 1, 0)]),
        (16, 0, 9, [(1, 16, 0), (2, 8, 0), (4, 4, 0), (8, 2, 0)]),
        (16, 0, 3, [(1, 16, 0), (2, 8, 0)]),
        (16, 1, 9, [(1, 16, 1), (2, 8, 1 / 2), (3, 5, 1 / 3), (4, 4, 1 / 4), (8, 2, 1 / 8)]),
        (16, 2, 99, [(2, 8, 1), (4, 4, 1 / 2), (6, 2, 1 / 3), (8, 2, 1 / 4), (16, 1, 1 / 8)]),
        (2, 1, 9, [(1, 2, 1), (2, 1, 1 / 2)]),
    ],
)
def test_every_packing_fits(
    cpus: int, gpus: int, most: int, expected: list[tuple[int, int, float]]
) -> None:
    machine = Machine(name="a", cpus=cpus, gpus=float(gpus))
    rule = share_out([machine], ResourceSettings(), concurrent=None)
    by_rule = Packing(trials=rule.concurrent, cpus=rule.cpus, gpus=rule.gpus)
    found = packings(machine, by_rule, most=most)
    assert [(p.trials, p.cpus, p.gpus) for p in found] == expected
    assert all(machine.places(p.cpus, p.gpus) >= p.trials for p in found)


@pytest.mark.parametrize(
    ("one", "two", "rule", "expected"),
    [
        (80.0, 97.0, TWO, TWO),
        (97.0, 95.0, TWO, TWO),
        (104.0, 95.0, TWO, TWO),  # not by a tenth: noise
        (105.0, 95.0, TWO, ONE),
        (80.0, 97.0, ONE, TWO),
        (80.0, 87.0, ONE, ONE),
    ],
)
def test_the_rule_stays_unless_another_is_clearly_faster(
    one: float, two: float, rule: Packing, expected: Packing
) -> None:
    assert choose({ONE: one, TWO: two}, rule) == expected


def test_without_the_rules_own_speed_it_stays() -> None:
    assert choose({ONE: 80.0}, TWO) == TWO
    assert choose({}, TWO) == TWO


def test_what_does_not_fit_ends_the_trying() -> None:
    asked: list[int] = []

    def measure(packing: Packing) -> float | None:
        asked.append(packing.trials)
        return None if packing.trials >= 3 else 10.0 * packing.trials

    found = speeds_of(ON_A_GPU, measure, through=ON_A_GPU[0])
    assert {p.trials: speed for p, speed in found.speeds.items()} == {1: 10, 2: 20}
    assert found.ended == "unfit"
    assert asked == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("through", "expected"), [(0, [1, 2, 3, 1, 2, 3]), (3, [1, 2, 3, 4, 1, 2, 3, 4])]
)
def test_what_is_slower_ends_the_trying_after_the_rule(through: int, expected: list[int]) -> None:
    asked: list[int] = []

    def measure(packing: Packing) -> float:
        asked.append(packing.trials)
        return {1: 100.0, 2: 150.0, 3: 140.0, 4: 130.0}[packing.trials]

    found = speeds_of(ON_A_GPU, measure, through=ON_A_GPU[through])
    assert asked == expected
    assert found.ended == "tried"
    assert [packing.trials for packing in found.speeds] == sorted(set(expected))


@pytest.mark.parametrize(("last", "known"), [(0, []), (2, [1, 2]), (6, [1, 2, 3, 4, 8])])
def test_no_time_left_keeps_what_is_known(last: int, known: list[int]) -> None:
    found: list[float] = []

    def measure(packing: Packing) -> float:
        if len(found) == last:
            raise OutOfTime
        found.append(10.0 * packing.trials)
        return found[-1]

    late = speeds_of(ON_A_GPU, measure, through=ON_A_GPU[0])
    assert [packing.trials for packing in late.speeds] == known
    assert late.ended == "late"


def test_best_of_each_counts() -> None:
    found = iter([50.0, 97.0, 80.0, 60.0])
    measured = speeds_of([TWO, ONE], lambda _: next(found), through=TWO)
    assert measured.speeds == {ONE: 80.0, TWO: 97.0}


def test_choice_is_said_in_a_line() -> None:
    assert sentence({ONE: 80.2, TWO: 96.7}, TWO) == (
        "2 trials at once, 1 core each: 97 images/s in all, against 80 for 1 trial at once, "
        "2 cores (measured)."
    )


def test_the_quickstart_is_too_short_for_it() -> None:
    assert not is_worth_it(plan_of().base, plan_of().largest_cost())
    assert is_worth_it(plan_of(trials=1000).base, plan_of(trials=1000).largest_cost())


def test_shape_is_what_a_step_costs(tiny_config: TinyConfig) -> None:
    shape = shape_of(tiny_config())
    same: dict[str, Any] = {"seed": 5, "losses.l1_lambda": 3.0, "evaluation.images": 5}
    assert shape_of(tiny_config(same)) == shape
    for other in ({"generator.width": 16}, {"budget.batch_size": 4}, {"determinism": "fast"}):
        assert shape_of(tiny_config(other)) != shape


def plan_of(trials: int | None = None, **overrides: Any) -> Plan:
    return make_plan(
        space="quickstart",
        study=None,
        out="results",
        data="photos",
        trials=trials,
        concurrent=overrides.pop("concurrent", None),
        overrides=overrides.pop("overrides", {}),
        address=None,
        time_budget_s=None,
        seed=0,
    )


class FakePacers(Pacers):
    """Processes whose speed a test knows, by how many train at once."""

    speeds: dict[int, float | None]
    """None: they do not fit; not there: there is no time for it."""
    started: int

    def __init__(self, config: TrialConfig, data: str | None) -> None:
        self.asked: list[float] = []

    def __enter__(self) -> Pacers:
        type(self).started += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def speed(self, trials: int, threads: int, gpus: float = 0.0) -> float | None:
        assert gpus in (0.0, 1 / trials)
        if trials not in self.speeds:
            self.trouble = "it took longer than 120 seconds"
            raise OutOfTime
        if self.speeds[trials] is None:
            self.trouble = "a process that trains it ended: CUDA out of memory"
        return self.speeds[trials]


def pacing(speeds: dict[int, float | None]) -> type[FakePacers]:
    return type("Own", (FakePacers,), {"speeds": speeds, "started": 0})


class Asked:
    """Decides for one machine, and remembers what was told."""

    def __init__(self, start: type[FakePacers], *, cpus: int = 2, gpus: float = 0.0) -> None:
        self.start = start
        self.machine = Machine(name="a", cpus=cpus, gpus=float(gpus))
        self.told: list[str] = []

    def settle(self, plan: Plan, state: StudyState | None = None) -> Shares:
        rule = share_out([self.machine], plan.space.study.resources, concurrent=plan.concurrent)
        return settle(
            plan,
            state or StudyState(),
            self.machine,
            rule,
            tell=self.told.append,
            start=self.start,
        )


def state_of(shares: Shares, *, cores: int) -> StudyState:
    state = StudyState()
    identity: dict[str, Any] = {}
    environment = {"cores": cores}
    state.apply(Session(format=1, time=0.0, identity=identity, plan={}, environment=environment))
    state.apply(
        Resources(
            time=1.0,
            cpus=shares.cpus,
            gpus=shares.gpus,
            concurrent=shares.concurrent,
            machines=1,
            measured=shares.measured,
        )
    )
    return state


LONG = 1000
"""Trials of a study that is worth a measurement."""
MEASURED = Shares(concurrent=1, cpus=2, gpus=0.0, machines=1, measured=True)
UNKNOWN = "whether another number is faster could not be measured"
RULE = Shares(concurrent=2, cpus=1, gpus=0.0, machines=1)


def test_a_long_study_takes_what_is_fastest_and_measures_once(cache: Path) -> None:
    asked = Asked(pacing({1: 120.0, 2: 97.0}))
    for _ in range(2):
        assert asked.settle(plan_of(LONG)) == MEASURED
    assert asked.start.started == 1
    assert len(asked.told) == 2
    assert "1 trial at once, 2 cores: 120 images/s" in asked.told[0]
    (kept,) = cache.iterdir()
    kept.write_text("{", encoding="utf-8")
    assert asked.settle(plan_of(LONG)) == MEASURED
    assert asked.start.started == 2


def test_trials_share_a_gpu_where_that_is_faster() -> None:
    asked = Asked(pacing({1: 100.0, 2: 150.0, 3: 180.0, 4: None}), cpus=12, gpus=1.0)
    shares = asked.settle(plan_of(LONG))
    assert (shares.concurrent, shares.cpus) == (3, 4)
    assert shares.gpus == pytest.approx(1 / 3)
    two = Asked(asked.start, cpus=12, gpus=2.0)
    assert two.settle(plan_of(LONG)).concurrent == 6
    assert asked.start.started == 2  # another machine


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(),
        plan_of(LONG, concurrent=2),
        plan_of(LONG, overrides={"study.resources.cpus": 1}),
        plan_of(LONG, overrides={"study.resources.gpus": 0.0}),
    ],
    ids=["short", "trials at once", "cores", "gpus"],
)
def test_what_the_user_says_and_what_is_short_is_not_measured(plan: Plan) -> None:
    asked = Asked(pacing({}))
    assert not asked.settle(plan).measured
    assert asked.start.started == 0
    assert not asked.told


def test_a_study_that_is_taken_up_keeps_its_threads() -> None:
    asked = Asked(pacing({}))
    assert asked.settle(plan_of(LONG), state_of(MEASURED, cores=2)) == MEASURED
    # What had none begins with none: its trials would get other threads in the middle.
    assert asked.settle(plan_of(LONG), state_of(RULE, cores=2)) == RULE
    # Another machine.
    assert asked.settle(plan_of(LONG), state_of(MEASURED, cores=8)) == RULE
    assert asked.start.started == 0


@pytest.mark.parametrize(
    ("speeds", "why"),
    [
        ({1: 120.0}, "it took longer than 120 seconds"),
        ({}, "it took longer than 120 seconds"),
        ({1: 120.0, 2: None}, "a process that trains it ended: CUDA out of memory"),
    ],
)
def test_without_a_speed_to_compare_with_the_rule_stays_and_says_why(
    speeds: dict[int, float | None], why: str, cache: Path
) -> None:
    asked = Asked(pacing(speeds))
    assert asked.settle(plan_of(LONG)) == replace(RULE, measured=False)
    assert asked.told == [f"2 trials at once, 1 core each ({UNKNOWN}: {why})."]
    assert not cache.exists()


def test_where_nothing_fits_a_gpu_it_is_told_and_not_kept(cache: Path) -> None:
    asked = Asked(pacing({1: None}), cpus=12, gpus=1.0)
    assert asked.settle(plan_of(LONG)) == Shares(concurrent=1, cpus=12, gpus=1.0, machines=1)
    (line,) = asked.told
    assert line.endswith(f"({UNKNOWN}: a process that trains it ended: CUDA out of memory).")
    assert not cache.exists()


def test_eight_trials_share_a_gpu_where_each_step_pays(cache: Path) -> None:
    asked = Asked(pacing({1: 100.0, 2: 150.0, 3: 180.0, 4: 190.0, 8: 260.0}), cpus=16, gpus=1.0)
    shares = asked.settle(plan_of(LONG))
    assert (shares.concurrent, shares.cpus, shares.gpus) == (8, 2, 1 / 8)
    # Without time for eight the best of the others is taken, and measured again the next time.
    late = Asked(pacing({1: 100.0, 2: 150.0, 3: 180.0, 4: 190.0}), cpus=17, gpus=1.0)
    assert late.settle(plan_of(LONG)).concurrent == 4
    assert len(list(cache.iterdir())) == 1


def test_three_cores_are_measured_too() -> None:
    asked = Asked(pacing({1: 100.0, 2: 90.0, 3: 80.0}), cpus=3)
    assert asked.settle(plan_of(LONG)).concurrent == 1
