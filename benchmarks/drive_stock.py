"""One session of stock Ray Tune on replayed curves; `cluster.py` and others start it.

As its documentation has it: AsyncHyperBandScheduler, OptunaSearch, a checkpoint at each report, and
`Tuner.restore` where there is something to restore.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search.optuna import OptunaSearch
from replayed import (
    OBJECTIVE,
    Settings,
    StockReplay,
    append_line,
    read_settings,
    resident_bytes,
)


class Noting(tune.Callback):  # type: ignore[misc]  # ray has no types
    """Notes when reports and faults arrive, and how large the driver is then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_trial_result(self, *, trial: Trial, result: dict[str, Any], **_: object) -> None:
        """Note one report."""
        append_line(
            self._folder / "received.jsonl",
            trial=trial.trial_id,
            images=result["images_seen"],
            time=time.time(),
            memory=resident_bytes(),
        )

    def on_trial_recover(self, **_: object) -> None:
        """Note a fault after which the trial goes on."""
        append_line(self._folder / "faults.jsonl", time=time.time())


def new_tuner(settings: Settings) -> tune.Tuner:
    """Set up a study from nothing."""
    return tune.Tuner(
        tune.with_resources(StockReplay, {"cpu": 1}),
        param_space={"position": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="min",
            num_samples=settings.trials,
            max_concurrent_trials=settings.concurrent,
            reuse_actors=True,
            search_alg=None if settings.searcher == "random" else OptunaSearch(seed=0),
            scheduler=AsyncHyperBandScheduler(
                time_attr="images_seen",
                max_t=settings.budget,
                grace_period=settings.first_rung,
                reduction_factor=settings.reduction,
            ),
        ),
        run_config=tune.RunConfig(
            name="stock",
            storage_path=settings.folder,
            callbacks=[Noting(Path(settings.folder))],
            failure_config=tune.FailureConfig(max_failures=3),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=1, num_to_keep=settings.keep
            ),
            verbose=0,
        ),
    )


def main() -> None:
    """Run or restore the study that the settings name."""
    settings = read_settings()
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    if settings.address is None:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=128 * 2**20,
            num_cpus=settings.workers,
        )
    else:
        ray.init(address=settings.address, log_to_driver=False)
    path = str(Path(settings.folder) / "stock")
    if settings.restore and tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(
            path, trainable=tune.with_resources(StockReplay, {"cpu": 1}), resume_errored=True
        )
    else:
        tuner = new_tuner(settings)
    trials = []
    for result in tuner.fit():
        metrics = result.metrics or {}
        images = metrics.get("images_seen", 0)
        trials.append(
            {
                "trial": metrics.get("trial_id", ""),
                "position": (result.config or {})["position"],
                "images": images,
                "ended": result.error is None and images > 0,
                "best": metrics.get(OBJECTIVE),
            }
        )
    (Path(settings.folder) / "result.json").write_text(json.dumps(trials), encoding="utf-8")
    ray.shutdown()


if __name__ == "__main__":
    main()
