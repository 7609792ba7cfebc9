"""Trials that replay learning curves, for raycolor's driver and for stock Ray Tune.

Nothing is trained: what is measured is what a driver makes of the same reports. Workers import this
module, so it must not be a script.
"""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from raycolor.tuning.trainable import Outcome

SETTINGS = "REPLAYED_SETTINGS"
"""Environment variable with the path of the settings, which Ray's workers inherit."""
FD = "fd_efficientnet_lite0"
OBJECTIVE = f"{FD}_best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One study of replayed curves."""

    folder: str
    """Where it and its logs lie."""
    curves: list[list[float]]
    """Values of the objective at each report; a trial's `position` in [0, 1] says which it has."""
    every: int
    """Images between reports."""
    first_rung: int
    reduction: int
    searcher: str = "tpe"
    """`tpe`, or `random`, which stock Tune draws by itself."""
    trials: int
    concurrent: int
    seconds: float
    """That a worker waits before each report, in place of training."""
    sick: str | None
    """What about a quarter of the trials report for a value: `nan`, `none`, `missing`."""
    keep: int | None
    """Checkpoints of a trial that stock Tune keeps; None for all, its default."""
    restore: bool
    """Whether to go on with what is there."""
    workers: int | None = None
    """Cores that Ray is told of; None for those of the machine."""
    address: str | None = None
    """Of a cluster that runs already, all of whose machines see `folder`."""

    @property
    def budget(self) -> int:
        """Images of a whole trial."""
        return self.every * len(self.curves[0])

    def write(self, path: Path) -> None:
        """Write for `read_settings`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_settings() -> Settings:
    """Read the settings that the environment names."""
    return Settings(**json.loads(Path(os.environ[SETTINGS]).read_text(encoding="utf-8")))


def analytic_curves(number: int, reports: int, seed: int) -> list[list[float]]:
    """Make curves like those of colorizers: an exponential fall with noise, lowest so far."""
    rng = np.random.default_rng(seed)
    curves = []
    for place in np.linspace(0, 1, number):
        end = 62 + 60 * (place - 0.35) ** 2 + rng.uniform(0, 3)
        fall = (rng.uniform(90, 105) - end) * np.exp(-np.arange(1, reports + 1) / (0.25 * reports))
        curves.append(np.minimum.accumulate(end + fall + rng.normal(0, 0.8, reports)).tolist())
    return curves


def append_line(path: Path, **values: Any) -> None:
    """Append one line of JSON, so that it survives a kill of this process."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read what `append_line` wrote; a torn last line is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def resident_bytes() -> int:
    """Memory of this process, without what is swapped out."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Replay:
    """One trial: its curve, and how far it is."""

    def __init__(self, key: str, position: float, images: int) -> None:
        self._settings = read_settings()
        self._key = key
        self._position = position
        self.images = images
        curves = self._settings.curves
        self._curve: Sequence[float] = curves[min(int(position * len(curves)), len(curves) - 1)]

    def train(self) -> dict[str, Any]:
        """Go on to the next report."""
        began = time.time()
        time.sleep(self._settings.seconds)
        self.images += self._settings.every
        metrics = self.metrics()
        value = metrics.get(OBJECTIVE)
        append_line(
            Path(self._settings.folder) / "trained.jsonl",
            trial=self._key,
            images=self.images,
            began=began,
            ended=time.time(),
            sick=value is None or not math.isfinite(value),
        )
        return metrics

    def metrics(self) -> dict[str, Any]:
        """Metrics of the last report."""
        place = self.images // self._settings.every - 1
        value: float | None = self._curve[place]
        metrics: dict[str, Any] = {
            "generator_loss": 100 / (1 + place),
            "generator_l1_loss": 0.1,
            "discriminator_loss": 0.6,
            "discriminator_accuracy": 0.75,
            "psnr": 22.5,
            "colorfulness": 30.0,
            "images_per_second": 80.0,
            "train_seconds": self.images / 80,
            "evaluate_seconds": 1.0 * place,
        }
        sick = int(self._position * 1000) % 4 == 0
        if sick and self._settings.sick == "missing":
            return metrics
        if sick and self._settings.sick is not None:
            value = {"nan": math.nan, "none": None}[self._settings.sick]
        return {**metrics, FD: value, OBJECTIVE: value}


class RaycolorReplay(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """In place of `StudyTrainable`: takes its assignments and gives its outcomes."""

    def setup(self, config: dict[str, Any], weights: object = None) -> None:
        """Begin a trial, or take it up at its own checkpoint; weights are of no use here."""
        self._checkpoint = Path(config["folder"]) / "images.txt"
        self._again = self._checkpoint.exists()
        images = int(self._checkpoint.read_text(encoding="ascii")) if self._again else 0
        position = config["config"]["losses"]["l1_lambda"]
        self._replay = Replay(f"{config['number']}", position, images)

    def step(self) -> dict[str, Any]:
        """Go on to the next report, write a checkpoint, and report."""
        # As a real trial, which first repeats the report of its checkpoint.
        metrics = self._replay.metrics() if self._again else self._replay.train()
        self._again = False
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        beside = self._checkpoint.with_suffix(".part")
        beside.write_text(str(self._replay.images), encoding="ascii")
        beside.replace(self._checkpoint)
        outcome = Outcome(images_seen=self._replay.images, stage="adversarial", metrics=metrics)
        return {"outcome": outcome}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process."""
        self.setup(new_config)
        return True


class StockReplay(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """The same with Tune's own checkpoints and flat results."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a trial."""
        self._replay = Replay(self.trial_id, config["position"], 0)

    def step(self) -> dict[str, Any]:
        """Go on to the next report; Tune writes a checkpoint after it."""
        metrics = self._replay.train()
        return {"images_seen": self._replay.images, **metrics}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep how far the trial is."""
        path = Path(checkpoint_dir) / "images.txt"
        path.write_text(str(self._replay.images), encoding="ascii")

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on from a checkpoint."""
        path = Path(checkpoint) / "images.txt"
        self._replay.images = int(path.read_text(encoding="ascii"))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process."""
        self.setup(new_config)
        return True
