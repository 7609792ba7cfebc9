"""Searches that draw from recorded curves: what each would have run, and for how much longer.

An arm says what to try next and which trials go on. Random search and the rule of one rung are
written down here; stock Tune's searcher and scheduler, and raycolor's engine, are the real ones.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import optuna
from curves import OBJECTIVE, Curve, Grid, Point
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from raycolor.plan import Plan
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from raycolor.study.records import Record
from raycolor.study.state import TrialState


@dataclass(slots=True, kw_only=True)
class Run:
    """A trial of an arm, on its way."""

    number: int
    curve: Curve
    place: int = 0
    """Reports that it has made."""


class Arm(ABC):
    """One way to search."""

    @abstractmethod
    def ask(self) -> Run | None:
        """Return a trial to run, from its place on; None if there is none, or none yet."""

    @abstractmethod
    def report(self, run: Run, point: Point) -> bool:
        """Take in a report; return whether the trial goes on."""


class Random(Arm):
    """Random configurations, all to their end."""

    def __init__(self, grid: Grid, trials: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._drawn = [grid.curves[i] for i in rng.integers(len(grid.curves), size=trials)]
        self._next = 0

    def ask(self) -> Run | None:
        """Draw the next one."""
        if self._next == len(self._drawn):
            return None
        self._next += 1
        return Run(number=self._next - 1, curve=self._drawn[self._next - 1])

    def report(self, run: Run, point: Point) -> bool:
        """Go on in any case."""
        return True


class OneRung(Random):
    """Random configurations to the smallest rung, the best of them to their end."""

    def __init__(self, grid: Grid, trials: int, seed: int, *, rung: int, kept: int) -> None:
        super().__init__(grid, trials, seed)
        self._rung, self._kept = rung, kept
        self._paused: list[tuple[float, Run]] = []
        self._promoted = 0

    def ask(self) -> Run | None:
        """Draw the next one, or take up the next best once all stand on the rung."""
        if (run := super().ask()) is not None:
            return run
        if len(self._paused) < len(self._drawn) or self._promoted == self._kept:
            return None
        ranked = sorted(self._paused, key=lambda item: (item[0], item[1].number))
        self._promoted += 1
        return ranked[self._promoted - 1][1]

    def report(self, run: Run, point: Point) -> bool:
        """Pause at the rung."""
        if point.images != self._rung:
            return True
        self._paused.append((_value(point), run))
        return False


class StockTune(Arm):
    """Ray Tune's own ASHA and Optuna, driven as its controller drives them."""

    def __init__(self, grid: Grid, trials: int, seed: int, *, rung: int, reduction: int) -> None:
        self._grid, self._left = grid, trials
        space = {path: tune.choice(values) for path, values in grid.searched.items()}
        self._searcher = OptunaSearch(
            space=OptunaSearch.convert_search_space(space),
            metric=OBJECTIVE,
            mode="min",
            seed=seed,
        )
        self._scheduler = AsyncHyperBandScheduler(
            time_attr="images_seen",
            metric=OBJECTIVE,
            mode="min",
            max_t=grid.budget,
            grace_period=rung,
            reduction_factor=reduction,
        )
        self._names: dict[int, SimpleNamespace] = {}

    def ask(self) -> Run | None:
        """Ask Optuna."""
        if not self._left:
            return None
        self._left -= 1
        number = len(self._names)
        trial = self._names[number] = SimpleNamespace(trial_id=f"{number:08d}")
        chosen = self._searcher.suggest(trial.trial_id)
        self._scheduler.on_trial_add(None, trial)
        return Run(number=number, curve=self._grid.curves[self._grid.index(chosen or {})])

    def report(self, run: Run, point: Point) -> bool:
        """Ask the scheduler, and tell the searcher, in the controller's order."""
        trial = self._names[run.number]
        result = {
            "images_seen": point.images,
            "training_iteration": run.place,
            **point.metrics,
        }
        decision = self._scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.STOP:
            self._scheduler.on_trial_complete(None, trial, result)
            self._searcher.on_trial_complete(trial.trial_id, result)
            return False
        self._searcher.on_trial_result(trial.trial_id, result)
        return True


class Unwritten(Journal):
    """A journal that keeps its records in memory: nothing is to survive a simulation."""

    def __init__(self) -> None:
        self.records = []

    def append(self, record: Record) -> None:
        """Keep a record."""
        self.records.append(record)


class Raycolor(Arm):
    """The engine of a study, as the driver asks it."""

    def __init__(self, grid: Grid, plan: Plan, clock: Callable[[], float]) -> None:
        self._grid = grid
        self._engine = Engine(plan, Unwritten(), clock=clock)
        self._engine.begin({}, "recorded")
        self._engine.note_references({"gray": {plan.base.fid_key: grid.gray}})

    def ask(self) -> Run | None:
        """Ask the engine."""
        trial = self._engine.ask()
        if not isinstance(trial, TrialState):
            return None
        curve = self._grid.curves[self._grid.index(trial.chosen)]
        return Run(number=trial.number, curve=curve)

    def report(self, run: Run, point: Point) -> bool:
        """Report to the engine."""
        decision = self._engine.report(run.number, point.images, point.stage, point.metrics)
        return decision.action == "go_on"


def _changed(plan: Plan, part: str, **settings: object) -> Plan:
    """Replace settings of the searcher or the scheduler."""
    study = plan.space.study
    study = study.model_copy(update={part: getattr(study, part).model_copy(update=settings)})
    return replace(plan, space=replace(plan.space, study=study))


def _value(point: Point) -> float:
    value = point.metrics.get(OBJECTIVE, math.nan)
    return value if math.isfinite(value) else math.inf


def new_arm(name: str, grid: Grid, plan: Plan, *, trials: int, seed: int) -> Arm:
    """Make an arm by its name.

    Args:
        name: `random`, `one rung, best K`, `stock`, `raycolor`, or `raycolor, ` and one of
            `compared in pretraining`, `with repeats`, `random suggestions`.
        grid: the curves.
        plan: of the study; its trials and seed are replaced.
        trials: most configurations that the arm tries.
        seed: of the arm's draws.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rung, reduction = plan.rungs[0], plan.space.study.scheduler.reduction
    kind, _, kept = name.partition(", best ")
    match kind:
        case "random":
            return Random(grid, trials, seed)
        case "one rung":
            return OneRung(grid, trials, seed, rung=rung, kept=int(kept))
        case "stock":
            return StockTune(grid, trials, seed, rung=rung, reduction=reduction)
        case "raycolor":
            pass
        case "raycolor, compared in pretraining":
            plan = _changed(plan, "scheduler", compare_in_pretraining=True)
        case "raycolor, with repeats":
            plan = _changed(plan, "searcher", repeats=True)
        case "raycolor, random suggestions":
            plan = _changed(plan, "searcher", kind="random")
        case _:
            raise AssertionError(name)
    return Raycolor(grid, replace(plan, trials=trials, seed=seed), lambda: 0.0)
