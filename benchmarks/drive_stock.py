"""One session of stock Ray Tune on replayed curves; `against_stock_tune.py` starts it.

As its documentation has it: AsyncHyperBandScheduler, OptunaSearch, a checkpoint at each report, and
`Tuner.restore` where there is something to restore.
"""

import json
import os
import time
from pathlib import Path

import ray
from ray import tune
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
    """Notes when reports arrive, and how large the driver is then."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "received.jsonl"

    def on_trial_result(self, **_: object) -> None:
        """Note one report."""
        append_line(self._path, time=time.time(), memory=resident_bytes())


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
            search_alg=OptunaSearch(seed=0),
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
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=128 * 2**20,
    )
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
