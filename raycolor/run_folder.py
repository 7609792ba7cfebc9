"""The folder of one run: its checkpoints, its best generator and its pictures.

checkpoint.safetensors            all state of the run, at its newest report or later
checkpoint_previous.safetensors   the one before, used when the newest is damaged
best_<images>.safetensors         the generator at its lowest distance, with its configuration
best_<images>.png                 grey, predicted, truth of the shown pictures with it
samples_<images>.png              the same at each rung, whatever the distance

What is kept, and what goes:

- While a run goes on: its two newest checkpoints, the two newest best generators with their
  pictures, and all samples.
- A run of a study that was completed, pruned or failed keeps one checkpoint, since a larger budget
  or `--revive` takes it up again; the rest as before. One that a guard stopped while it took
  pretraining over (`raycolor.stages`) may have an older one or none, and begins there again.
- What a write that was killed left half done goes when the run is taken up again.

A checkpoint holds generator, average, discriminator and two moments of each optimiser: 24 bytes for
each weight of the generator (16 without pretraining) and 12 for each of the discriminator; a best
generator has 4 for each weight. In the quickstart that is 82 MB (55) and 13 MB, so a trial takes up
to 192 MB of disk while it runs and 110 MB when it has ended.
"""

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from raycolor import storage
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.config import TrialConfig, default_settings, flattened, has_schedule
from raycolor.errors import CheckpointError
from raycolor.evaluation import Evaluation, Evaluator
from raycolor.files import PART
from raycolor.network_state import restore, tensors_of
from raycolor.pictures import comparison, save_png
from raycolor.steps import Networks

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint_previous.safetensors"


@dataclass(slots=True, kw_only=True)
class Progress:
    """Everything of a run that is not a tensor; a checkpoint holds it as JSON."""

    images_seen: int = 0
    best: float = math.inf
    """Lowest Fréchet distance so far."""
    best_images: int | None = None
    """Image count of the lowest distance."""
    former_best_images: int | None = None
    """The one before: kept until the report that replaces it has been taken note of."""
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    saving_seconds: float = 0.0
    """Of checkpoints, best generators and pictures, up to the newest checkpoint but one."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the losses over the steps since the last report, or since the stage began."""
    steps: int = 0
    images_inherited: int = 0
    """Of `images_seen`, those that another run trained; see `raycolor.stages`."""
    seconds_inherited: float = 0.0
    """What training and evaluating them took that run."""
    pretrained_as: str = ""
    """Name of the pretraining (`raycolor.stages`) of which this is a state to the last bit; empty
    where that is not known. Another machine, or another raycolor, gives another one."""
    reported_images: int = 0
    reported_seconds: float = 0.0
    """`images_seen` and `train_seconds` at the last report."""
    report: dict[str, Any] | None = None
    """The report of exactly this image count; a run that is taken up again repeats it."""

    def means(self, weight: float) -> dict[str, float]:
        """Mean losses a step.

        Args:
            weight: of the loss that the generator learns alone, in what is told of it. Sums are
                without it, so that runs with another one can take them over.
        """
        means = {name: total / self.steps for name, total in self.sums.items()}
        if "content_loss" in means:
            told = means.get("generator_loss", 0.0) + weight * means.pop("content_loss")
            return {
                "generator_loss": told,
                **{n: x for n, x in means.items() if n != "generator_loss"},
            }
        return means


def identity(config: TrialConfig, fingerprint: str) -> str:
    """Describe what a checkpoint belongs to.

    A longer run begins like a shorter one, unless a learning rate's schedule is stretched over it.
    """
    tree = config.model_dump(mode="json")
    del tree["budget"]["checkpoint_seconds"]
    if not has_schedule(config):
        del tree["budget"]["images"]
    return json.dumps({"config": tree, "fingerprint": fingerprint}, sort_keys=True)


def _is_same(written: str, owner: str) -> bool:
    """Tell whether a checkpoint belongs to a run.

    A setting that it does not name had its default: it came with a later raycolor.
    """
    if written == owner:
        return True
    try:
        before, now = json.loads(written), json.loads(owner)
        former, config = flattened(before.pop("config")), flattened(now.pop("config"))
    except (ValueError, KeyError, AttributeError):
        return False
    defaults = default_settings()
    completed = {path: former.get(path, defaults.get(path)) for path in config}
    return before == now and completed == config and former.keys() <= config.keys()


def save(folder: Path, networks: Networks, progress: Progress, owner: str) -> None:
    """Write a checkpoint, and keep the one before.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    started = perf_counter()
    about = {"identity": owner, "progress": dataclasses.asdict(progress)}
    current = folder / CHECKPOINT
    if current.exists():
        storage.PATIENCE.write(current, lambda: _move(current, folder / PREVIOUS))
    save_tensors(current, tensors_of(networks), about)
    progress.saving_seconds += perf_counter() - started


def resume(folder: Path, networks: Networks, owner: str) -> Progress | None:
    """Load the newest good checkpoint into the networks.

    A damaged file is renamed to `*.damaged` and the one before is used. Files that a killed process
    left half written are removed.

    Returns:
        The run's progress, or None if there is no usable checkpoint.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration or data set.
    """
    for path in folder.glob(f".*{PART}"):
        path.unlink(missing_ok=True)
    for path in (folder / CHECKPOINT, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            tensors, about = load_tensors(path)
        except CheckpointError:
            path.replace(path.with_name(f"{path.name}.damaged"))
            continue
        if not _is_same(about["identity"], owner):
            raise CheckpointError(
                f"{path}: belongs to a run with other settings or other data; "
                "name another folder, or move this one away"
            )
        restore(networks, tensors)
        return Progress(**about["progress"])
    return None


def write_best(
    folder: Path,
    config: TrialConfig,
    networks: Networks,
    progress: Progress,
    sheet: np.ndarray,
) -> None:
    """Keep the judged generator and its pictures.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    started = perf_counter()
    name = f"best_{progress.best_images}"
    save_tensors(
        folder / f"{name}.safetensors",
        networks.judged.state_dict(),
        {"images_seen": progress.images_seen, "config": config.model_dump(mode="json")},
    )
    _write_sheet(folder / f"{name}.png", sheet)
    progress.saving_seconds += perf_counter() - started


def write_samples(folder: Path, progress: Progress, sheet: np.ndarray) -> None:
    """Keep the pictures of this image count.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    started = perf_counter()
    _write_sheet(folder / f"samples_{progress.images_seen}.png", sheet)
    progress.saving_seconds += perf_counter() - started


def remove_superseded(folder: Path, progress: Progress) -> None:
    """Remove best generators older than the last two.

    The last but one stays, since a study that was killed may not have heard of the last.
    """
    kept = {progress.best_images, progress.former_best_images}
    for path in folder.glob("best_*.*"):
        match = re.fullmatch(r"best_(\d+)\.(safetensors|png)", path.name)
        if match and int(match[1]) not in kept:
            path.unlink()


def sheet_of(evaluator: Evaluator, evaluation: Evaluation) -> np.ndarray:
    """Lay out grey, predicted and truth of the shown pictures."""
    return comparison(evaluator.gray_shown(), evaluation.shown, evaluator.truth_shown())


def _write_sheet(path: Path, sheet: np.ndarray) -> None:
    storage.PATIENCE.write(path, lambda: save_png(path, sheet))


def _move(path: Path, target: Path) -> None:
    path.replace(target)
