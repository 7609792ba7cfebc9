"""A small study whose trials are functions: learning curves that are known beforehand.

No network is trained and no Ray is started: a trial's reports are a pure function of its chosen
settings and of the images seen, which is all that the engine can tell of a trial.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from raycolor.plan import Plan, make_plan
from raycolor.spaces.domains import Scalar
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import FILE, Journal
from raycolor.study.opening import open_journal
from raycolor.study.records import End, Record, Session, to_line
from raycolor.study.state import TrialState

FD = "fd_efficientnet_lite0"
OBJECTIVE = f"{FD}_best"
GRAY = 80.0
EVERY = 16
BUDGET = 144
RUNGS = (16, 48, 144)

SPACE = f"""
study:
  trials: 8
  searcher: {{kind: tpe, startup_trials: 3}}
  scheduler: {{kind: asha, first_rung: {EVERY}, reduction: 3, compare_in_pretraining: true}}
fixed:
  budget.images: {BUDGET}
  budget.report_every: {EVERY}
  budget.batch_size: {EVERY}
search:
  losses.l1_lambda: {{kind: loguniform, low: 10, high: 1000}}
  optimizers.discriminator.learning_rate: {{kind: loguniform, low: 1e-5, high: 1e-3}}
  generator.backbone: {{kind: choice, values: [scratch, efficientnet_lite0]}}
  pretraining.images: {{kind: choice, values: [0, 48, 96]}}
  pretraining.learning_rate:
    {{kind: loguniform, low: 1e-4, high: 1e-2, when: {{pretraining.images: [48, 96]}}}}
"""


def make(folder: Path, text: str = SPACE, **flags: Any) -> Plan:
    """Make the plan of a small study under `folder`; flags are those of `make_plan`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    defaults: dict[str, Any] = {
        "study": None,
        "out": folder / "results",
        "data": "photos",
        "trials": None,
        "concurrent": None,
        "overrides": {},
        "address": None,
        "time_budget_s": None,
        "seed": 0,
    }
    return make_plan(space=str(path), **(defaults | flags))


# --- trials


def surface(chosen: Mapping[str, Scalar]) -> float:
    """Final score of a configuration, about 45 to 110: smooth, best in the middle of each range."""
    weight = math.log10(_number(chosen["losses.l1_lambda"])) - 2
    rate = math.log10(_number(chosen["optimizers.discriminator.learning_rate"])) + 4
    score = 50 + 10 * weight**2 + 8 * rate**2
    if chosen["generator.backbone"] == "scratch":
        score += 20
    if chosen["pretraining.images"]:
        score -= 5 - 4 * (math.log10(_number(chosen["pretraining.learning_rate"])) + 3) ** 2
    return score


def curve(chosen: Mapping[str, Scalar], images: int) -> float:
    """Score of a configuration after some images."""
    return surface(chosen) + 60 * math.exp(-images / 50)


def _number(value: Scalar) -> float:
    assert isinstance(value, int | float)
    return float(value)


Curve = Callable[[Mapping[str, Scalar], int], float | None]


def sick_curve(chosen: Mapping[str, Scalar], images: int) -> float | None:
    """As `curve`, but some configurations diverge, lose their metric or crash on the way."""
    rate = _number(chosen["optimizers.discriminator.learning_rate"])
    if rate > 5e-4 and images >= 32:
        return math.nan
    if rate > 2e-4 and images >= 48:
        return None
    if _number(chosen["losses.l1_lambda"]) > 400 and images >= 32:
        raise MachineFaultError("the worker died")
    return curve(chosen, images)


class MachineFaultError(Exception):
    """A worker that a fake trial lets die; for good, or to be taken up again by another."""

    def __init__(self, text: str, *, final: bool = True) -> None:
        super().__init__(text)
        self.final = final


class MemoryFaultError(Exception):
    """A fake trial runs out of GPU memory."""


def metrics(value: float | None, images: int) -> dict[str, float]:
    """What a trial reports beside its objective; None for a report without one."""
    others = {
        "generator_loss": 100 / (1 + images),
        "discriminator_accuracy": 0.75,
        "psnr": 22.5,
        "colorfulness": 30.0,
        "images_per_second": 20.0,
        "train_seconds": images / 20,
    }
    return others if value is None else {**others, FD: value, OBJECTIVE: value}


def stage(chosen: Mapping[str, Scalar], images: int) -> str:
    """Stage of a trial after some images."""
    return "pretraining" if images <= _number(chosen["pretraining.images"]) else "adversarial"


# --- driving an engine


def clock() -> Callable[[], float]:
    """A clock that ticks once a look."""
    ticks = itertools.count(1_000_000_000)
    return lambda: float(next(ticks))


@dataclass(slots=True, kw_only=True)
class Workers:
    """Runs the trials that an engine hands out, in one process and in any order.

    Attributes:
        checkpoints: images at which each trial wrote its last checkpoint; it survives a kill.
    """

    curve: Curve = curve
    in_flight: int = 1
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    checkpoints: dict[int, int] = field(default_factory=dict)

    def run(self, engine: Engine, *, most_reports: int | None = None) -> None:
        """Work until the study is finished, or for some reports."""
        running: dict[int, Iterator[int]] = {}
        for _ in itertools.count() if most_reports is None else range(most_reports):
            while len(running) < self.in_flight and isinstance(trial := engine.ask(), TrialState):
                running[trial.number] = self._points(trial, engine.plan)
            if not running:
                return
            number = int(self.rng.choice(sorted(running)))
            trial = engine.state.trials[number]
            try:
                goes_on = self._step(engine, trial, next(running[number]))
            except MachineFaultError as error:
                engine.fault(number, str(error), final=error.final)
                goes_on = not error.final
                running[number] = self._points(trial, engine.plan)
            except MemoryFaultError as error:
                engine.out_of_memory(number, str(error))
                goes_on = False
            if not goes_on:
                del running[number]

    def _points(self, trial: TrialState, plan: Plan) -> Iterator[int]:
        """Image counts of a trial's reports, from a checkpoint on, which it repeats."""
        last, places = self.checkpoints.get(trial.number, 0), self.places(plan)
        if last > places[0] and self.rng.random() < 0.3:
            # The newest checkpoint is damaged.
            last = places[places.index(last) - 1]
        return (place for place in places if place >= last)

    def places(self, plan: Plan) -> Sequence[int]:
        """Image counts at which every trial reports."""
        return range(EVERY, plan.base.budget.images + 1, EVERY)

    def _step(self, engine: Engine, trial: TrialState, images: int) -> bool:
        """Report once; return whether the trial goes on."""
        measured = self.measure(trial, images)
        self.checkpoints[trial.number] = images
        engine.note_references({"gray": {FD: GRAY}})
        decision = engine.report(trial.number, images, stage(trial.chosen, images), measured)
        return decision.action == "go_on"

    def measure(self, trial: TrialState, images: int) -> dict[str, Any]:
        """Return what a trial reports; a test may have its own.

        Raises:
            MachineFaultError: its worker dies.
        """
        return metrics(self.curve(trial.chosen, images), images)


ROOT = Path(__file__).parents[3]
RECORDED_SPACE = (
    (ROOT / "benchmarks" / "recorded_grid.yaml")
    .read_text(encoding="utf-8")
    .replace("trials: 40\n", "trials: 40\n  searcher: {kind: tpe, startup_trials: 3}\n")
)
"""The space whose configurations were all trained once; few trials are drawn blindly."""


@cache
def recorded_runs() -> tuple[list[dict[str, Any]], ...]:
    """The reports of these runs; a row has its configuration, images, stage and metrics."""
    runs: dict[int, list[dict[str, Any]]] = {}
    for row in pq.read_table(ROOT / "results" / "curves" / "curves.parquet").to_pylist():
        runs.setdefault(row["configuration"], []).append(row)
    return tuple(runs.values())


def recorded_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a report that was recorded."""
    names = (FD, OBJECTIVE, "generator_adversarial_loss", "discriminator_accuracy", "psnr")
    return {name: row[name] for name in names if row[name] is not None}


@dataclass(slots=True, kw_only=True)
class RecordedWorkers(Workers):
    """Workers that report what real runs did, in the space in which they were trained."""

    def places(self, plan: Plan) -> Sequence[int]:
        return [row["images_seen"] for row in recorded_runs()[0]]

    def measure(self, trial: TrialState, images: int) -> dict[str, Any]:
        (run,) = (run for run in recorded_runs() if trial.chosen.items() <= run[0].items())
        return recorded_metrics(next(row for row in run if row["images_seen"] == images))


def run(
    plan: Plan,
    workers: Workers | None = None,
    *,
    observers: Sequence[Callable[[Event], None]] = (),
    most_reports: int | None = None,
) -> list[Record]:
    """Work on a study, and return all that its journal holds then."""
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.observers += observers
        engine.begin({"python": "3"}, "abc")
        (workers or Workers()).run(engine, most_reports=most_reports)
        engine.end("finished" if engine.finished else "interrupted")
        return list(journal.records)


def story(records: Sequence[Record]) -> list[str]:
    """What happened in a study, without the sessions and times in which it did."""
    return [
        repr(replace(record, time=0.0))
        for record in records
        if not isinstance(record, Session | End)
    ]


class KilledError(BaseException):
    """The driver was killed; nothing of it may catch this."""


class MortalJournal(Journal):
    """A journal whose process is killed after writing some bytes, in the middle of a line too."""

    def __init__(self, folder: Path, *, bytes_left: int) -> None:
        super().__init__(folder)
        self._mortal_path = folder / FILE
        self._bytes_left = bytes_left

    def append(self, record: Record) -> None:
        line = to_line(record).encode("utf-8") + b"\n"
        if len(line) >= self._bytes_left:
            with self._mortal_path.open("ab") as file:
                file.write(line[: self._bytes_left])
            raise KilledError
        self._bytes_left -= len(line)
        super().append(record)


Begin = Callable[[Plan], Engine]
"""Opens the journal of a study and begins."""
