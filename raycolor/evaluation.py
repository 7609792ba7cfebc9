"""Colour the validation crops and measure the result.

The truth's features, and the scores of the grey pictures themselves, are the same for all trials of
a study: they are computed once and kept in a file that the trials share. Axis letters: b batch,
h height, w width.
"""

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import UInt8
from torch import Tensor

from raycolor import checkpoint, color
from raycolor.config import TrialConfig
from raycolor.crops import fixed_crops
from raycolor.data import PreparedData, SplitName
from raycolor.errors import CheckpointError, DataError
from raycolor.metrics.extractor import FeatureExtractor, build_extractor
from raycolor.metrics.frechet import FeatureStatistics, feature_statistics, frechet_distance
from raycolor.metrics.pixels import colorfulness, psnr

NUM_SHOWN = 8
"""Validation pictures that are shown to people, fixed by index before any training."""

Colorizer = Callable[[Tensor], Tensor]
"""From `l_unit` (b 1 h w) to `ab_unit` (b 2 h w)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of one generator, and its pictures for people."""

    scores: dict[str, float]
    """The Fréchet distance under its name, `psnr` and `colorfulness`."""
    shown: UInt8[Tensor, "b 3 h w"]
    """The pictures for people, coloured: `NUM_SHOWN`, or fewer if there are fewer."""
    seconds: float


def gray(l_unit: Tensor) -> Tensor:
    """The reference that every colorizer must beat: a = b = 0."""
    return torch.zeros_like(l_unit).expand(-1, 2, -1, -1)


class Evaluator:
    """Measures generators on one fixed list of crops.

    Attributes:
        truth: the crops, sRGB.
        references: scores of `gray` and `truth` under the names of a report, and `crops`, over how
            many they are.
    """

    def __init__(
        self,
        config: TrialConfig,
        prepared: PreparedData,
        *,
        split: SplitName = "validation",
        device: torch.device,
        cache: Path | None = None,
    ) -> None:
        """Choose the crops, and compute or read their features.

        Args:
            config: data and evaluation settings; the rest has no influence.
            prepared: the data set.
            split: where the crops come from.
            device: where to compute.
            cache: folder for the truth's features; None keeps nothing.

        Raises:
            DataError: the split gives a single crop.
            WeightsError: the extractor's weights are missing or damaged.
        """
        self._config = config
        self._device = device
        self.truth, self.sources = fixed_crops(
            prepared.pictures(split), config.data, number=config.evaluation.images
        )
        if len(self.truth) < 2:
            raise DataError(
                f"{prepared.path}: {split} gives 1 crop, but a Fréchet distance needs at least 2; "
                "prepare more pictures"
            )
        self._extractor: FeatureExtractor = build_extractor(
            config.evaluation.extractor, size=config.evaluation.extractor_size
        ).to(device)
        self._shown = _spread(self.sources)
        self.references: dict[str, dict[str, float]] = {}
        path = cache / f"reference_{split}_{self._key(prepared)}.safetensors" if cache else None
        features = None
        if path is not None and path.is_file():
            features, self.references = _read_reference(path)
        if features is None:
            features = self._features(self.truth)
            self._statistics = feature_statistics(features)
            self.references = self._reference_scores()
            if path is not None:
                checkpoint.save_tensors(path, {"features": features}, self.references)
        else:
            self._statistics = feature_statistics(features)

    @torch.no_grad()
    def evaluate(self, colorize: Colorizer) -> Evaluation:
        """Colour all crops and score them against the truth of the same crops.

        Pictures are rounded to 8 bits first: what is measured is what a user gets.
        """
        started = perf_counter()
        colored = []
        for batch in self.truth.split(self._config.evaluation.batch_size):
            l_unit, _ = color.rgb_to_unit(batch.to(self._device))
            colored.append(color.unit_to_rgb(l_unit, colorize(l_unit)).cpu())
        rgb_u8 = torch.cat(colored)
        statistics: FeatureStatistics = feature_statistics(self._features(rgb_u8))
        scores = {
            self._config.fid_key: frechet_distance(statistics, self._statistics),
            "psnr": _finite_mean(psnr(rgb_u8, self.truth)),
            "colorfulness": float(colorfulness(rgb_u8).mean()),
        }
        return Evaluation(
            scores=scores, shown=rgb_u8[self._shown], seconds=perf_counter() - started
        )

    def gray_shown(self) -> UInt8[Tensor, "b 3 h w"]:
        """The pictures for people, without their colours."""
        l_unit, _ = color.rgb_to_unit(self.truth_shown())
        return color.unit_to_rgb(l_unit, gray(l_unit))

    def truth_shown(self) -> UInt8[Tensor, "b 3 h w"]:
        """The pictures for people, in their own colours."""
        return self.truth[self._shown]

    def _reference_scores(self) -> dict[str, dict[str, float]]:
        number = {"crops": float(len(self.truth))}
        truth = {
            self._config.fid_key: 0.0,
            "colorfulness": float(colorfulness(self.truth).mean()),
        }
        return {"gray": self.evaluate(gray).scores | number, "truth": truth | number}

    def _features(self, rgb_u8: Tensor) -> Tensor:
        batches = rgb_u8.split(self._config.evaluation.batch_size)
        return torch.cat([self._extractor(batch.to(self._device)).cpu() for batch in batches])

    def _key(self, prepared: PreparedData) -> str:
        """Name all that determines the features."""
        parts = (
            prepared.fingerprint,
            self._config.data.size,
            self._config.data.smallest_crop,
            len(self.truth),
            self._config.evaluation.extractor,
            self._config.evaluation.extractor_size,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _spread(sources: tuple[str, ...]) -> list[int]:
    """Choose the pictures for people: different photographs, evenly spread over the crops.

    Tiles of one photograph are named `photograph#number`.
    """
    first: dict[str, int] = {}
    for index, source in enumerate(sources):
        first.setdefault(source.partition("#")[0], index)
    indices = list(first.values())
    number = min(NUM_SHOWN, len(indices))
    return [indices[round(i * (len(indices) - 1) / max(1, number - 1))] for i in range(number)]


def _read_reference(
    path: Path,
) -> tuple[Tensor | None, dict[str, dict[str, float]]]:
    """Read kept features; a damaged file is set aside, and they are computed again."""
    try:
        tensors, about = checkpoint.load_tensors(path)
    except CheckpointError:
        path.replace(path.with_name(f"{path.name}.damaged-{os.getpid()}"))
        return None, {}
    return tensors["features"], about


def _finite_mean(values: Tensor) -> float:
    """Mean without the infinite values that truly grey pictures give; NaN if none is left."""
    finite = values[values.isfinite()]
    return float(finite.mean()) if len(finite) else math.nan
