"""What a worker runs: one trial after another in the same process.

torch is imported in `setup`, on the worker, so that the driver never pays for it.
"""

import faulthandler
import platform
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ray import tune

from raycolor.errors import Diverged
from raycolor.metrics.weights import take_extractor
from raycolor.remote.address import below, mirror_of
from raycolor.remote.bucket import Bucket
from raycolor.remote.stage_files import FOLDER, StageFiles
from raycolor.remote.trial_files import TrialFiles
from raycolor.storage import Patience, StorageError, is_of_storage, refusal
from raycolor.tuning.memory import is_out_of_memory, keep_to_share, release, shortage
from raycolor.tuning.probe import look

if TYPE_CHECKING:
    from raycolor.crops import Residents
    from raycolor.evaluation import Evaluators
    from raycolor.stages.store import StageStore
    from raycolor.trial import Report


HUNG = "hung.txt"
"""File in a trial's folder with the stacks of a process that hung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One trial, as the driver hands it to a worker; plain values, since Ray pickles it."""

    number: int
    name: str
    config: dict[str, Any]
    """A dumped `TrialConfig`."""
    data: str | None
    """Folder or address of the prepared data set; None for the built-in one."""
    folder: str
    """Where the trial keeps its checkpoints."""
    address: str | None
    """The same on shared storage, where the study lies there; `folder` is of the driver's machine
    then, and a worker takes its own for this address."""
    study: str | None
    """The study's folder as an address, where `mark` has to stand in it; None on one machine."""
    mark: str
    """What the driver left there."""
    rungs: tuple[int, ...]
    threads: int
    """Which are its cores."""
    gpus: float
    """A share of one where it is not whole."""
    alone: bool
    """It ran out of GPU memory before, and has `gpus` for itself in a process of its own."""
    share_pretraining: bool
    """Whether it takes pretraining over from others and publishes its own."""
    publish_pretraining: bool
    """Whether others may come to want it."""
    silence_seconds: float | None
    """Longest time of a step; a process that takes longer hangs and ends itself. None for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a worker sends back; an object, since Ray flattens dictionaries."""

    images_seen: int = 0
    stage: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    references: dict[str, dict[str, float]] = field(default_factory=dict)
    fault: str | None = None
    """A traceback, if the trial failed for a reason of its own; the rest is empty then."""
    shortage: str | None = None
    """How it ran out of GPU memory, in a sentence without a subject; the rest is empty then."""
    storage: str | None = None
    """What the storage refused, in a sentence: no fault of the trial, which stays open."""


def needs(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return what Ray is to keep for one trial.

    Args:
        config: an `Assignment` as a dictionary.
    """
    # Ray hands a process on to trials with the same needs. With one place both ways to spread mean
    # the same, but are not equal: one that runs alone never gets the process in which it ran out.
    strategy = "STRICT_PACK" if config["alone"] else "PACK"
    return tune.PlacementGroupFactory(
        [{"CPU": config["threads"], "GPU": config["gpus"]}], strategy=strategy
    )


class StudyTrainable(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """Trains one trial at a time and hands out its reports; its process is used again."""

    def setup(
        self, config: dict[str, Any], weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Begin a trial, or take it up at its own checkpoint.

        Args:
            config: an `Assignment` as a dictionary.
            weights: files that encoders start with, and on a cluster the extractor's, as the
                driver found them.
        """
        assignment = self._assignment = Assignment(**config)
        self._silence = assignment.silence_seconds
        self._where = _folder(assignment) / HUNG
        self._reports: Iterator[Report] = _reports(assignment, weights)

    def step(self) -> dict[str, Any]:
        """Train up to the next report.

        Returns:
            An `Outcome` as `outcome`. Never `done`: Ray would not ask the scheduler then.
        """
        try:
            with _alive(self._silence, self._where):
                outcome = self._outcome()
                if outcome.shortage is not None:
                    # Only now, when nothing refers to the error, whose traceback holds tensors.
                    self._let_go(all_of_it=True)
                return {"outcome": outcome}
        except OSError as error:
            return {"outcome": Outcome(storage=_on_this_machine(refusal(self._where, error)))}

    def _outcome(self) -> Outcome:
        try:
            report = next(self._reports)
        except Diverged as error:
            return Outcome(images_seen=error.images_seen, stage="diverged", metrics=error.losses)
        except StorageError as error:
            return Outcome(storage=_on_this_machine(error))
        except Exception as error:
            if isinstance(error, OSError) and is_of_storage(error):
                where = Path(error.filename) if error.filename else self._where.parent
                return Outcome(storage=_on_this_machine(refusal(where, error)))
            if is_out_of_memory(error):
                return Outcome(shortage=self._shortage())
            # Whatever goes wrong in one trial must not end the study.
            return Outcome(fault=traceback.format_exc(limit=-5))
        return Outcome(
            images_seen=report.images_seen,
            stage=report.stage,
            metrics=report.metrics,
            references=report.references,
        )

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process."""
        self._let_go()
        self.setup(new_config)
        return True

    def _let_go(self, *, all_of_it: bool = False) -> None:
        """Free the last trial's memory before the next one needs it.

        Args:
            all_of_it: the pictures too, which the next one would find there.
        """
        self._reports = iter(())
        if all_of_it:
            _residents().forget()
        release()

    def _shortage(self) -> str:
        assignment = self._assignment
        return shortage(
            gpus=assignment.gpus,
            alone=assignment.alone,
            batch_size=assignment.config["budget"]["batch_size"],
            size=assignment.config["data"]["size"],
        )


@cache
def _evaluators() -> "Evaluators":
    """Return what this process keeps from one trial for the next."""
    from raycolor.evaluation import Evaluators

    return Evaluators()


@cache
def _residents() -> "Residents":
    """Return the pictures that this process keeps on its GPU from one trial for the next."""
    from raycolor.crops import Residents

    return Residents()


def _folder(assignment: Assignment) -> Path:
    """Return the trial's folder on this machine."""
    return Path(assignment.folder) if assignment.address is None else mirror_of(assignment.address)


def _on_this_machine(error: StorageError) -> str:
    """Say where it happened: a path alone does not tell on which machine of a cluster."""
    return f"{platform.node()}: {error}"


@contextmanager
def _alive(seconds: float | None, where: Path) -> Iterator[None]:
    """End this process if the block takes too long, and leave behind where it hung.

    A hung kernel or driver call answers to no exception; the process as a whole has to go. Ray
    notices at once, and the trial is taken up again from its checkpoint by another one.
    """
    if seconds is None:
        yield
        return
    where.parent.mkdir(parents=True, exist_ok=True)
    with where.open("w", encoding="utf-8") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    where.unlink(missing_ok=True)


def _reports(
    assignment: Assignment, weights: Mapping[str, np.ndarray] | None
) -> "Iterator[Report]":
    import torch

    from raycolor.config import TrialConfig
    from raycolor.remote.data_sets import open_data_set
    from raycolor.trial import train
    from raycolor.truth import truth_folder

    if assignment.study is not None:
        # This machine may have joined after the others were asked.
        if problem := look(assignment.study, assignment.mark, assignment.study):
            raise StorageError(problem)
        take_extractor(weights)
    torch.set_num_threads(assignment.threads)
    keep_to_share(assignment.gpus)
    folder, files = _folder(assignment), None
    if assignment.address is not None:
        files = TrialFiles(folder, Bucket(assignment.address))
        files.pull()
    # What lies on shared storage is copied once for all trials of this machine.
    prepared = open_data_set(assignment.data)
    yield from train(
        TrialConfig.model_validate(assignment.config),
        prepared,
        folder=folder,
        cache=truth_folder(),
        pictures_at=assignment.rungs,
        saved=None if files is None else files.push,
        weights=weights,
        evaluators=_evaluators(),
        residents=_residents(),
        stages=_stages(assignment.study, publishes=assignment.publish_pretraining)
        if assignment.share_pretraining
        else None,
    )


@cache
def _stages(study: str | None, *, publishes: bool) -> "StageStore":
    """Open the pretraining that others published, once for all trials of this process.

    Args:
        study: the study's folder as an address, where other machines work on it too.
        publishes: whether trials add to it.
    """
    from raycolor.stages.store import StageStore, most_bytes, stages_folder

    most, shared = most_bytes(), None
    if study is not None and most:
        # One machine alone finds in its own folder all that there is.
        bucket = Bucket(below(study, FOLDER), patience=Patience(()))
        shared = StageFiles(bucket, most_bytes=most)
    return StageStore(stages_folder(), most_bytes=most, shared=shared, publishes=publishes)
