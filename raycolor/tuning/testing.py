"""The winner's seeds on the test split, on a worker: the driver may have no GPU and no torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from raycolor.metrics.weights import take_extractor
from raycolor.plan import BUILT_IN, Plan
from raycolor.remote.address import mirror_of
from raycolor.remote.mirror import Mirror
from raycolor.study.engine import to_test
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState


def score_test(
    plan: Plan,
    state: StudyState,
    *,
    cpus: int,
    gpus: float,
    weights: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Score the confirming trials of the winner on the test split.

    Args:
        plan: of the study.
        state: of the study; its winner is confirmed.
        cpus: cores, and threads, of the worker.
        gpus: of the worker.
        weights: files that the driver hands over, the extractor's among them.

    Returns:
        Scores by the trials' numbers, and of `gray` and `truth`.
    """
    import ray

    files = {
        str(trial.number): (
            f"checkpoints/{trial_name(trial.number, trial.chosen)}/"
            f"best_{trial.best_images(plan.objective)}.safetensors"
        )
        for trial in to_test(state, plan)
    }
    folder, address = str(plan.folder.resolve()), plan.address_of_study
    data = None if plan.data == BUILT_IN else plan.data
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus)(_score)
    scores: dict[str, dict[str, float]] = ray.get(
        remote.remote(files, folder, address, data, cpus, weights)
    )
    return scores


def _score(
    files: dict[str, str],
    folder: str,
    address: str | None,
    data: str | None,
    threads: int,
    weights: Mapping[str, np.ndarray] | None,
) -> dict[str, dict[str, float]]:
    import torch

    from raycolor.remote.data_sets import open_data_set
    from raycolor.scoring import score_generators
    from raycolor.truth import truth_folder

    take_extractor(weights)
    torch.set_num_threads(threads)
    prepared = open_data_set(data)
    kept = Mirror(Path(folder) if address is None else mirror_of(address), address)
    return score_generators(
        {name: kept.fetch(path) for name, path in files.items()},
        prepared,
        split="test",
        cache=truth_folder(),
    )
