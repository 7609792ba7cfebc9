"""The searcher, scheduler and callback that let Ray Tune run a study.

All three share one `Dispatcher`. Ray pickles them when it begins, for a restore that raycolor never
uses; what they hold cannot travel and does not.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, assert_never

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raycolor.errors import CheckpointError
from raycolor.storage import StorageError
from raycolor.study.engine import Engine
from raycolor.study.rules import Nothing
from raycolor.study.spending import Limit, limit_reached
from raycolor.study.state import TrialState
from raycolor.tuning.host_memory import lack_of_memory
from raycolor.tuning.trainable import Assignment, Outcome
from raycolor.tuning.waiting import StallWatch
from raycolor.tuning.watch import LOOK_S, SilenceWatch

MOST_LOSSES = 10
"""Losses of its machine that do not count as a trial's own faults."""
LOST = "because its node has died"
"""What Ray says of a worker whose machine is gone, once it knows that."""
CUT_OFF = "is unavailable: The actor is temporarily unavailable"
"""What it says before, and of a machine that is cut off: no worker's process ended, but its
connection did."""


class Dispatcher:
    """Which of Ray's trials is which of the study's, and how long this session may work.

    Attributes:
        engine: of the study.
        watch: over silent workers.
        stopped_by: what ended the session's work early, if anything did.
        storage_error: what the storage refused, or that another driver has the study now; it ends
            the session too. The engine may have judged a report that is not in the journal then: it
            is asked nothing more.
    """

    def __init__(
        self,
        engine: Engine,
        assign: Callable[[TrialState], Assignment],
        *,
        deadline: float | None,
        gpus: float,
    ) -> None:
        """Set up an empty table.

        Args:
            engine: of the study.
            assign: from a trial to what a worker needs.
            deadline: on the monotonic clock; None for no limit.
            gpus: of one trial.
        """
        self.engine = engine
        self.stopped_by: Limit | Literal["time_budget"] | None = None
        self.storage_error: CheckpointError | None = None
        self._assign = assign
        self._deadline = deadline
        self._gpus = gpus
        self._numbers: dict[str, int] = {}
        self._going: set[str] = set()
        self._heard: dict[str, float] = {}
        self.watch = SilenceWatch(engine.plan.space.study.guards.silence_seconds)

    def next(self, trial_id: str) -> Assignment | Nothing:
        """Hand out the next trial under Ray's name for it, or say why there is none."""
        if self._is_over():
            return Nothing.LEFT
        with self._storage():
            # A shared GPU is whole again when all that share it have ended and nothing new begins
            # there. Trials that need that come last, so that no share waits for them meanwhile.
            trial = self.engine.ask(alone_last=0 < self._gpus < 1)
        if isinstance(trial, Nothing):
            # Ray never asks again once it is told that nothing is left, and one that runs may run
            # out of memory and come back.
            return Nothing.LATER if self._going else trial
        self._numbers[trial_id] = trial.number
        self._going.add(trial_id)
        self._hear(trial_id)
        return self._assign(trial)

    def receive(self, trial_id: str, outcome: Outcome) -> bool:
        """Take in a worker's outcome; return whether the trial goes on."""
        goes_on = self._take(trial_id, outcome)
        if not goes_on:
            self._going.discard(trial_id)
        return goes_on

    def _take(self, trial_id: str, outcome: Outcome) -> bool:
        number = self._numbers[trial_id]
        self._hear(trial_id)
        with self._storage():
            if outcome.storage is not None:
                raise StorageError(outcome.storage)
            if outcome.fault is not None:
                self.engine.fault(number, outcome.fault, final=True)
                return False
            if outcome.shortage is not None:
                self.engine.out_of_memory(number, outcome.shortage)
                return False
            if outcome.references:
                self.engine.note_references(outcome.references)
            decision = self.engine.report(
                number, outcome.images_seen, outcome.stage, outcome.metrics
            )
        # A trial that ends with the time stays open: another session takes it up.
        return decision.action == "go_on" and not self._is_over()

    def fault(self, trial_id: str, text: str, *, final: bool) -> None:
        """Note that a worker or its machine failed."""
        silent = time.monotonic() - self._heard[trial_id]
        limit = self.engine.plan.space.study.guards.silence_seconds
        if limit is not None and silent >= limit:
            text = (
                f"no report for {silent:.0f} s, more than the {limit:g} s of "
                f"study.guards.silence_seconds: its process hung and was ended ({text})"
            )
        self._hear(trial_id)
        if final:
            self._going.discard(trial_id)
        with self._storage():
            self.engine.fault(self._numbers[trial_id], text, final=final)

    def _hear(self, trial_id: str) -> None:
        self._heard[trial_id] = time.monotonic()
        self.watch.hear(trial_id)

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """Remember what the storage refused: Ray turns it into an error of its own."""
        if self.storage_error is not None:
            raise self.storage_error
        try:
            yield
        except CheckpointError as error:
            self.storage_error = error
            raise

    def _is_over(self) -> bool:
        """Tell whether the session has to stop: its time is over, or the study's money."""
        if self.stopped_by is None:
            if self._deadline is not None and time.monotonic() > self._deadline:
                self.stopped_by = "time_budget"
            else:
                engine = self.engine
                self.stopped_by = limit_reached(engine.state, engine.plan, gpus=self._gpus)
        return self.stopped_by is not None


class _Adapter:
    """Leaves the dispatcher behind when Ray pickles the adapter."""

    dispatcher: Dispatcher

    def __getstate__(self) -> dict[str, Any]:
        left = ("dispatcher", "_stalls")
        return {key: value for key, value in self.__dict__.items() if key not in left}


class StudySearcher(_Adapter, Searcher):  # type: ignore[misc]  # ray has no types
    """Hands out unfinished trials, then new ones."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        # No metric and no mode: Ray would end the study at the first report without them.
        super().__init__()
        self.dispatcher = dispatcher

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's assignment, or that there is none, or none yet."""
        assignment = self.dispatcher.next(trial_id)
        match assignment:
            case Nothing.LEFT:
                return str(Searcher.FINISHED)
            case Nothing.LATER:
                # Ray asks again while other trials run.
                return None
            case Assignment():
                return asdict(assignment)
            case _:
                assert_never(assignment)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to do: the scheduler has heard it."""

    def save(self, checkpoint_path: str) -> None:
        """Refuse: the journal is what is kept."""
        raise NotImplementedError

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: the journal is what is read."""
        raise NotImplementedError


class StudyScheduler(_Adapter, FIFOScheduler):  # type: ignore[misc]  # ray has no types
    """Asks the engine about every report."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__()
        self.dispatcher = dispatcher

    def on_trial_result(
        self, tune_controller: object, trial: Trial, result: Mapping[str, Any]
    ) -> str:
        """Give the report to the study and carry out its decision."""
        goes_on = self.dispatcher.receive(trial.trial_id, result["outcome"])
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class FaultCallback(_Adapter, Callback):  # type: ignore[misc]  # ray has no types
    """Tells the study of workers that died, and ends those that are frozen."""

    def __init__(self, dispatcher: Dispatcher, stalls: StallWatch) -> None:
        """Set up.

        Args:
            dispatcher: of the session.
            stalls: hears how many trials run and how many wait for a machine.
        """
        self.dispatcher = dispatcher
        self._stalls = stalls
        self._looked = -math.inf
        self._losses: Counter[str] = Counter()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note that its worker is there."""
        self.dispatcher.watch.hear(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """End workers that have been silent for too long; looks about once a second."""
        watch, now = self.dispatcher.watch, time.monotonic()
        if now - self._looked < LOOK_S:
            # Ray calls this at every event, and `trials` holds all that there ever were.
            return
        self._looked = now
        states = Counter(trial.status for trial in trials)
        self._stalls.look(now, running=states[Trial.RUNNING], pending=states[Trial.PENDING])
        if not watch.is_due(now):
            return
        running = {trial.trial_id: trial for trial in trials if trial.status == Trial.RUNNING}
        for trial_id in watch.overdue(now, running):
            if (actor := running[trial_id].temporary_state.ray_actor) is not None:
                # Ray tells of its death as of any other: the trial is taken up again.
                ray.kill(actor)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note a fault after which the trial is taken up again."""
        lost = _lost_machine(trial)
        if lost and self._losses[trial.trial_id] < MOST_LOSSES:
            # A machine that goes says nothing about the trial: it has as many tries as before. Tune
            # counts so itself where a cloud gave notice of it.
            self._losses[trial.trial_id] += 1
            trial.run_metadata.num_failures -= 1
        self.dispatcher.fault(trial.trial_id, lost or _cause(trial), final=False)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Note a fault that ends the trial."""
        self.dispatcher.fault(trial.trial_id, _cause(trial), final=True)

    def get_state(self) -> None:
        """Keep nothing."""
        return

    def set_state(self, state: object) -> None:
        """Read nothing."""


def _cause(trial: Trial) -> str:
    """Say why a trial failed: what it means, or the first line of what Ray says."""
    said = _told(trial)
    if (meant := lack_of_memory(said)) is not None:
        return meant
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[0].strip() if lines else "its worker died"


def _lost_machine(trial: Trial) -> str | None:
    """Say that the trial's machine is gone or cut off, if that is what ended its worker."""
    said = _told(trial)
    if LOST in said:
        where = re.search(r"^\tip: (\S+)", said, flags=re.MULTILINE)
        return f"its machine{f' {where[1]}' if where else ''} was lost"
    return "its machine was not reached" if CUT_OFF in said else None


def _told(trial: Trial) -> str:
    """Return what Ray says about a failed trial, or about its last failure."""
    if trial.error_file is None:
        return ""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # Each failure is added to the file, below a line that numbers it.
    return text.rpartition("Failure # ")[2].partition("\n")[2]
