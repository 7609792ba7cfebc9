"""Start Ray or connect to it, run a study on it, leave it."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict

import numpy as np

from raycolor.metrics.weights import extractor_content
from raycolor.plan import BUILT_IN, Plan
from raycolor.remote.address import below
from raycolor.remote.bucket import Bucket
from raycolor.remote.stage_files import FOLDER, StageFiles
from raycolor.storage import Patience, StorageError
from raycolor.study.configs import config_of
from raycolor.study.engine import Engine, needs_test
from raycolor.study.naming import trial_name
from raycolor.study.records import Ending
from raycolor.study.sharing import can_be_met
from raycolor.study.spending import gpus_alone
from raycolor.study.state import TrialState
from raycolor.tuning.connection import connected
from raycolor.tuning.packing import settle
from raycolor.tuning.probe import check_machines, folder_address, marked
from raycolor.tuning.shares import Shares, check_gpu_hours, share_out
from raycolor.tuning.waiting import StallWatch, machines_now, wait_for_shares

MAX_RETRIES = 3
"""Times that a trial whose worker died is taken up again."""

# Before ray is imported, which reads some of them then.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def run_study(
    plan: Plan,
    engine: Engine,
    weights: Mapping[str, bytes] | None = None,
    *,
    fingerprint: str = "",
    tell: Callable[[str], None] = print,
) -> Ending:
    """Run a study's open and missing trials until they end, or the time or the money does.

    Args:
        plan: of the study.
        engine: of the study, after `begin`.
        weights: files that encoders start with, which go to the workers through Ray.
        fingerprint: of the data set, which the machines of a cluster have to see too.
        tell: hears why nothing runs, as long as nothing does.

    Returns:
        What ended it: `finished`, or the limit that was reached.

    Raises:
        ConfigError: the machines are too small for one trial, the cluster is not reached, none of
            its machines comes in time, or some lack the study's folder or its data; or no trial
            has a GPU whose hours could be counted.
        StorageError: the journal, or what a trial keeps, cannot be written; nothing has failed.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    os.environ.update(_QUIET)
    deadline = None
    if plan.time_budget_s is not None:
        deadline = time.monotonic() + plan.time_budget_s
    weights = dict(weights or {})
    if plan.address is not None:
        weights |= extractor_content(plan.base.evaluation)
    with (
        connected(plan.address, store_bytes=sum(map(len, weights.values()))),
        tempfile.TemporaryDirectory(prefix="raycolor-") as scratch,
        _mark(plan) as mark,
    ):
        from ray import tune

        from raycolor.tuning.adapters import (
            Dispatcher,
            FaultCallback,
            StudyScheduler,
            StudySearcher,
        )
        from raycolor.tuning.host_memory import deaths_for_memory
        from raycolor.tuning.testing import score_test
        from raycolor.tuning.trainable import Assignment, StudyTrainable, needs

        shares, shared = _shares(plan, engine, tell), plan.address_of_study
        if plan.address is not None:
            check_machines(plan, mark, fingerprint)
        engine.note_resources(**asdict(shares))

        def assign(trial: TrialState) -> Assignment:
            name = trial_name(trial.number, trial.chosen)
            return Assignment(
                number=trial.number,
                name=name,
                config=config_of(trial, plan).model_dump(mode="json"),
                data=None if plan.data == BUILT_IN else plan.data,
                folder=str((plan.folder / "checkpoints" / name).resolve()),
                address=None if shared is None else below(shared, f"checkpoints/{name}"),
                study=None if plan.address is None else folder_address(plan),
                mark=mark,
                rungs=plan.rungs,
                threads=shares.cpus,
                gpus=gpus_alone(shares.gpus) if trial.alone else shares.gpus,
                alone=trial.alone,
                share_pretraining=plan.space.study.resources.share_pretraining,
                publish_pretraining=can_be_met(trial, plan),
                silence_seconds=plan.space.study.guards.silence_seconds,
            )

        # Each machine gets one copy, which all of its workers read.
        trainable = (
            tune.with_parameters(StudyTrainable, weights=_shared(weights))
            if weights
            else StudyTrainable
        )
        dispatcher = Dispatcher(engine, assign, deadline=deadline, gpus=shares.gpus)
        tuner = tune.Tuner(
            tune.with_resources(trainable, needs),
            tune_config=tune.TuneConfig(
                search_alg=StudySearcher(dispatcher),
                scheduler=StudyScheduler(dispatcher),
                num_samples=-1,
                max_concurrent_trials=shares.concurrent,
                reuse_actors=True,
                trial_name_creator=_name_of,
                trial_dirname_creator=_name_of,
            ),
            run_config=tune.RunConfig(
                name=plan.study,
                # Ray's own bookkeeping, which nobody reads.
                storage_path=scratch,
                callbacks=[FaultCallback(dispatcher, StallWatch(tell))],
                failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            with deaths_for_memory():
                tuner.fit()
        except Exception:
            # Ray wraps what its adapters raise, and some of it twice.
            if dispatcher.storage_error is not None:
                raise dispatcher.storage_error from None
            raise
        if dispatcher.stopped_by is None and needs_test(engine.state, plan):
            scores = score_test(
                plan,
                engine.state,
                cpus=shares.cpus,
                gpus=shares.gpus,
                weights=_shared(weights) if weights else None,
            )
            engine.note_test(scores)
        if not engine.finished:
            return dispatcher.stopped_by or "interrupted"
        if plan.address is not None:
            # Nobody needs it there any more; what cannot be removed harms nobody.
            with suppress(StorageError):
                place = Bucket(below(folder_address(plan), FOLDER), patience=Patience(()))
                StageFiles(place, most_bytes=0).clear()
        return "finished"


def _name_of(trial: object) -> str:
    return str(trial.config["name"])  # type: ignore[attr-defined]  # ray has no types


def _shared(weights: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Give files as arrays, which Ray's workers read in place; bytes would be copied for each."""
    return {name: np.frombuffer(content, np.uint8) for name, content in weights.items()}


def _shares(plan: Plan, engine: Engine, tell: Callable[[str], None]) -> Shares:
    """Divide the machines among trials; on a cluster, wait until there is one.

    Raises:
        ConfigError: no machine holds one trial, or a limit of GPU hours could never be reached.
    """
    settings = plan.space.study.resources
    if plan.address is None:
        (machine,) = machines_now()
        rule = share_out([machine], settings, concurrent=plan.concurrent)
        # Whether there are GPUs is Ray's to say; measuring what fits would come after that.
        check_gpu_hours(plan.gpu_hours, rule, cluster=False)
        return settle(plan, engine.state, machine, rule, tell=tell)
    shares = wait_for_shares(settings, concurrent=plan.concurrent, trials=plan.trials, tell=tell)
    check_gpu_hours(plan.gpu_hours, shares, cluster=True)
    return shares


@contextmanager
def _mark(plan: Plan) -> Iterator[str]:
    """Leave a mark in the study's folder, where other machines work on it too."""
    if plan.address is None:
        yield ""
        return
    with marked(plan) as mark:
        yield mark
