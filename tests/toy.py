"""The smallest data set and the smallest trial, both done in a fraction of a second."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from raycolor.config import TrialConfig, nested
from raycolor.data import SplitName

SPLIT_COUNTS: dict[SplitName, int] = {"train": 20, "validation": 6, "test": 5}

TINY: dict[str, Any] = {
    "data.size": 32,
    "generator.backbone": "scratch",
    "generator.width": 4,
    "discriminator.width": 4,
    "discriminator.downs": 1,
    "evaluation.images": 4,
    "evaluation.extractor_size": 32,
    "budget.images": 64,
    "budget.report_every": 32,
    "budget.batch_size": 8,
    "precision": "float32",
}


class TinyConfig(Protocol):
    """Builds the smallest trial; takes other values by their dotted paths."""

    def __call__(self, overrides: Mapping[str, Any] | None = None, /) -> TrialConfig: ...


def tiny_config(overrides: Mapping[str, Any] | None = None, /) -> TrialConfig:
    return TrialConfig.model_validate(nested(TINY | dict(overrides or {})))


def smooth_picture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A colour gradient with a wave in it, uint8, (size, size, 3)."""
    y, x = np.mgrid[0:size, 0:size] / size
    channels = []
    for _ in range(3):
        slope_y, slope_x, phase = rng.uniform(-1, 1, 3)
        wave = np.sin(2 * np.pi * (slope_y * y + slope_x * x + phase))
        channels.append(rng.uniform(60, 190) + rng.uniform(20, 60) * wave)
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def toy_splits(
    size: int, *, seed: int = 0, counts: Mapping[SplitName, int] = SPLIT_COUNTS
) -> dict[SplitName, list[tuple[str, np.ndarray]]]:
    rng = np.random.default_rng(seed)
    return {
        split: [(f"{split}{i}.png", smooth_picture(rng, size)) for i in range(count)]
        for split, count in counts.items()
    }
