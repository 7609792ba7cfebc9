"""Colour the validation crops and measure the result.

Distances are taken from the truth of the same crops, and from the truth of other pictures: crops of
the training split by the same rule and, where there are as many, in the same number. The truth's
features and the scores of the grey pictures themselves are the same for all trials of a study and
for its other studies: they are computed once on a machine. Axis letters: b batch, h height, w
width, d length of a feature.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from raycolor import color
from raycolor.config import TrialConfig
from raycolor.crops import fixed_crops
from raycolor.data import PreparedData, SplitName
from raycolor.errors import DataError
from raycolor.metrics.extractor import FEATURES, FeatureExtractor, build_extractor
from raycolor.metrics.frechet import FeatureStatistics, feature_statistics, frechet_distance
from raycolor.metrics.pixels import colorfulness, psnr, ssim
from raycolor.metrics.weights import fingerprint
from raycolor.truth import Known, known

SCORING = 3
"""Raised when a score is computed in another way, so that none of the kept ones is used."""
NUM_SHOWN = 8
"""Validation pictures that are shown to people, fixed by index before any training."""

Colorizer = Callable[[Tensor], Tensor]
"""From `l_unit` (b 1 h w) to `ab_unit` (b 2 h w)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of one generator, and its pictures for people."""

    scores: dict[str, float]
    """The Fréchet distances under their names, `psnr`, `ssim`, `colorfulness`; and their numbers of
    pictures: `evaluation_images` are coloured, `disjoint_images` are the truth of others."""
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
            cache: folder for what is known of the truth; None keeps nothing.

        Raises:
            DataError: the split gives a single crop.
            WeightsError: the extractor's weights are missing or damaged.
        """
        self._config = config
        self._device = device
        self._prepared = prepared
        self._cache = cache
        self.truth, self.sources = self._crops(split)
        if len(self.truth) < 2:
            raise DataError(
                f"{prepared.path}: {split} gives 1 crop, but a Fréchet distance needs at least 2; "
                "prepare more pictures"
            )
        self._extractor: FeatureExtractor = build_extractor(config.evaluation).to(device)
        self._weights = fingerprint(config.evaluation)
        self._shown = _spread(self.sources)
        self._statistics = feature_statistics(self._true_features(split, self.truth))
        self._others = self._truth_of_others()
        _, self.references = self._known({"references": split, "scoring": SCORING}, self._scored)

    @torch.no_grad()
    def evaluate(self, colorize: Colorizer) -> Evaluation:
        """Colour all crops and score them against the truth of the same crops.

        Pictures are rounded to 8 bits first: what is measured is what a user gets.
        """
        started = perf_counter()
        # A batch is measured where it was coloured, on a GPU say, and at once: a thousand pictures
        # of 256 pixels together would take gigabytes.
        measured = [
            self._measured(batch, colorize)
            for batch in self.truth.split(self._config.evaluation.batch_size)
        ]
        whole = {name: torch.cat([one[name] for one in measured]).cpu() for name in measured[0]}
        statistics: FeatureStatistics = feature_statistics(whole["features"])
        scores = {
            self._config.fid_key: frechet_distance(statistics, self._statistics),
            **self._disjoint(statistics),
            "psnr": _finite_mean(whole["psnr"]),
            "ssim": float(whole["ssim"].mean()),
            "colorfulness": float(whole["colorfulness"].mean()),
            **self._numbers(),
        }
        return Evaluation(
            scores=scores, shown=whole["colored"][self._shown], seconds=perf_counter() - started
        )

    def _measured(self, truth: UInt8[Tensor, "b 3 h w"], colorize: Colorizer) -> dict[str, Tensor]:
        """Colour a batch of crops; return its pixels, its features and what is said of each."""
        truth = truth.to(self._device)
        l_unit, _ = color.rgb_to_unit(truth)
        rgb_u8 = color.unit_to_rgb(l_unit, colorize(l_unit))
        return {
            "colored": rgb_u8,
            "features": self._extractor(rgb_u8),
            "psnr": psnr(rgb_u8, truth),
            "ssim": ssim(rgb_u8, truth),
            "colorfulness": colorfulness(rgb_u8),
        }

    def gray_shown(self) -> UInt8[Tensor, "b 3 h w"]:
        """The pictures for people, without their colours."""
        l_unit, _ = color.rgb_to_unit(self.truth_shown())
        return color.unit_to_rgb(l_unit, gray(l_unit))

    def truth_shown(self) -> UInt8[Tensor, "b 3 h w"]:
        """The pictures for people, in their own colours."""
        return self.truth[self._shown]

    def _crops(self, split: SplitName) -> tuple[UInt8[Tensor, "b 3 h w"], tuple[str, ...]]:
        return fixed_crops(
            self._prepared.pictures(split),
            self._config.data,
            number=self._config.evaluation.images,
        )

    def _truth_of_others(self) -> FeatureStatistics | None:
        """Prepare the training split's truth; None if it gives a single crop."""
        crops, _ = self._crops("train")
        return None if len(crops) < 2 else feature_statistics(self._true_features("train", crops))

    def _true_features(
        self, split: SplitName, crops: UInt8[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b d"]:
        tensors, _ = self._known({"features": split}, lambda: self._named_features(crops))
        return tensors["features"]

    def _named_features(self, rgb_u8: Tensor) -> Known:
        return {"features": self._features(rgb_u8)}, {}

    def _scored(self) -> Known:
        """Score the references."""
        number = {"crops": float(len(self.truth))}
        truth = {
            self._config.fid_key: 0.0,
            **self._disjoint(self._statistics),
            "ssim": 1.0,
            "colorfulness": float(colorfulness(self.truth).mean()),
            **self._numbers(),
        }
        return {}, {"gray": self.evaluate(gray).scores | number, "truth": truth | number}

    def _disjoint(self, statistics: FeatureStatistics) -> dict[str, float]:
        """Measure the distance from the truth of other pictures, where there are any."""
        if self._others is None:
            return {}
        return {self._config.disjoint_key: frechet_distance(statistics, self._others)}

    def _numbers(self) -> dict[str, float]:
        numbers = {"evaluation_images": float(len(self.truth))}
        if self._others is not None:
            numbers["disjoint_images"] = float(len(self._others.centered))
        return numbers

    def _features(self, rgb_u8: Tensor) -> Tensor:
        batches = rgb_u8.split(self._config.evaluation.batch_size)
        return torch.cat([self._extractor(batch.to(self._device)).cpu() for batch in batches])

    def _known(self, what: Mapping[str, Any], compute: Callable[[], Known]) -> Known:
        """Read what is kept of this data set and this extractor, or compute it."""
        key = {
            **what,
            "data": self._prepared.fingerprint,
            "size": self._config.data.size,
            "smallest_crop": self._config.data.smallest_crop,
            "extractor": self._config.evaluation.extractor,
            "extraction": FEATURES,
            "weights": self._weights,
            "side": self._extractor.size,
            "images": self._config.evaluation.images,
            "batch_size": self._config.evaluation.batch_size,
        }
        return known(self._cache, key, self._device, compute)


class Evaluators:
    """Keeps the last evaluator: the trials of a study differ in nothing that one looks at.

    The next trial of a process so finds the crops, the extractor and the truth's statistics as they
    are; what it measures has the same bits as with an evaluator of its own.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._last: Evaluator | None = None

    def of(
        self,
        config: TrialConfig,
        prepared: PreparedData,
        *,
        device: torch.device,
        cache: Path | None,
    ) -> Evaluator:
        """Return an evaluator on the validation split, the last one where it fits.

        Args:
            config: see `Evaluator`, as for the rest and for what it raises.
            prepared: the data set.
            device: where to compute.
            cache: folder for what is known of the truth.
        """
        key = (
            config.data,
            config.evaluation,
            prepared.path,
            prepared.fingerprint,
            device,
            cache,
            # Both change last bits.
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
        )
        if self._last is None or key != self._key:
            # Never two of them on a GPU.
            self._key = self._last = None
            self._last, self._key = Evaluator(config, prepared, device=device, cache=cache), key
        return self._last


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


def _finite_mean(values: Tensor) -> float:
    """Mean without the infinite values that truly grey pictures give; NaN if none is left."""
    finite = values[values.isfinite()]
    return float(finite.mean()) if len(finite) else math.nan
