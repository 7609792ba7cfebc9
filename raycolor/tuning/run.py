"""Start Ray, run a study on it, stop Ray."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np

from raycolor.errors import ConfigError
from raycolor.plan import BUILT_IN, Plan
from raycolor.remote.address import below
from raycolor.study.configs import config_of
from raycolor.study.engine import Engine, needs_test
from raycolor.study.naming import trial_name
from raycolor.study.records import Ending
from raycolor.study.state import TrialState

MAX_RETRIES = 3
"""Times that a trial whose worker died is taken up again."""
MOST_ON_CPU = 4
"""Trials at once on a machine without GPUs, unless the plan says otherwise: more would share the
cores, and halving would have nobody left to compare."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each trial gets, and on how many machines."""

    concurrent: int
    cpus: int
    gpus: float
    machines: int


def run_study(plan: Plan, engine: Engine, weights: Mapping[str, bytes] | None = None) -> Ending:
    """Run a study's open and missing trials until they end, or the time or the money does.

    Args:
        plan: of the study.
        engine: of the study, after `begin`.
        weights: files that encoders start with, which go to the workers through Ray.

    Returns:
        What ended it: `finished`, or the limit that was reached.

    Raises:
        ConfigError: the machines are too small for one trial, or the cluster is not reached.
        StorageError: the journal, or what a trial keeps, cannot be written; nothing has failed.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    os.environ.update(_QUIET)
    deadline = None
    if plan.time_budget_s is not None:
        deadline = time.monotonic() + plan.time_budget_s
    with _ray(plan, weights or {}), tempfile.TemporaryDirectory(prefix="raycolor-") as scratch:
        from ray import tune

        from raycolor.tuning.adapters import (
            Dispatcher,
            FaultCallback,
            StudyScheduler,
            StudySearcher,
        )
        from raycolor.tuning.testing import score_test
        from raycolor.tuning.trainable import Assignment, StudyTrainable

        shares, shared = _shares(plan), plan.address_of_study
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
                rungs=plan.rungs,
                threads=shares.cpus,
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
            tune.with_resources(trainable, {"cpu": shares.cpus, "gpu": shares.gpus}),
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
                callbacks=[FaultCallback(dispatcher)],
                failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except Exception:
            # Ray wraps what its adapters raise, and some of it twice.
            if dispatcher.storage_error is not None:
                raise dispatcher.storage_error from None
            raise
        if dispatcher.stopped_by is None and needs_test(engine.state, plan):
            engine.note_test(score_test(plan, engine.state, cpus=shares.cpus, gpus=shares.gpus))
        return "finished" if engine.finished else dispatcher.stopped_by or "interrupted"


def _name_of(trial: object) -> str:
    return str(trial.config["name"])  # type: ignore[attr-defined]  # ray has no types


def _shared(weights: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Give files as arrays, which Ray's workers read in place; bytes would be copied for each."""
    return {name: np.frombuffer(content, np.uint8) for name, content in weights.items()}


@contextmanager
def _ray(plan: Plan, weights: Mapping[str, bytes]) -> Iterator[None]:
    """Connect to the cluster, or start Ray on this machine; leave it in the end."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    common = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if plan.address is None:
            ray.init(
                address="local",
                include_dashboard=False,
                # Little goes through it but weights.
                object_store_memory=128 * 2**20 + 2 * sum(map(len, weights.values())),
                **common,
            )
        else:
            ray.init(address=plan.address, **common)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if plan.address is None:
            raise
        raise ConfigError(
            f"--address {plan.address}: Ray is not reached there ({error}); start a cluster, or "
            "leave --address out to use this machine"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _shares(plan: Plan) -> Shares:
    """Divide the machines among trials.

    Raises:
        ConfigError: no machine holds one trial.
    """
    import ray

    total = ray.cluster_resources()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    largest_cpus = max(int(node["Resources"].get("CPU", 0)) for node in nodes)
    largest_gpus = max(node["Resources"].get("GPU", 0) for node in nodes)
    resources = plan.space.study.resources
    gpus = resources.gpus
    if gpus == "auto":
        gpus = 1.0 if largest_gpus else 0.0
    if gpus > largest_gpus:
        raise ConfigError(
            f"study.resources.gpus: a trial asks for {gpus:g} GPUs, the largest machine has "
            f"{largest_gpus:g}; ask for fewer, or add GPUs"
        )
    cores = int(total.get("CPU", 1))
    if gpus:
        most = int(total["GPU"] / gpus + 1e-6)
    elif resources.cpus == "auto":
        most = min(cores, MOST_ON_CPU)
    else:
        most = max(1, cores // resources.cpus)
    concurrent = plan.concurrent or most
    auto_cpus = max(1, min(cores // concurrent, largest_cpus))
    cpus = auto_cpus if resources.cpus == "auto" else resources.cpus
    if cpus > largest_cpus:
        raise ConfigError(
            f"study.resources.cpus: a trial asks for {cpus} cores, the largest machine has "
            f"{largest_cpus}; ask for fewer"
        )
    return Shares(concurrent=concurrent, cpus=cpus, gpus=gpus, machines=len(nodes))
