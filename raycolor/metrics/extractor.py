"""Networks whose features the Fréchet distance compares.

Axis letters: b batch, h height, w width, d length of a feature.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from torch import Tensor, nn

from raycolor.config import EvaluationConfig
from raycolor.errors import ConfigError, WeightsError
from raycolor.metrics.folding import fold_batch_norms
from raycolor.metrics.inception import SIDE, inception_network, resize_as_tensorflow
from raycolor.metrics.weights import path_of
from raycolor.weights import efficientnet_lite0_state

FEATURES = 1
"""Raised when features get other last bits, so that none of the kept ones is compared with them."""
PIXELS_AT_ONCE = 2 * 224 * 224
"""Pixels that one CPU core looks at together. More fall out of its caches between two layers, and
larger answers come as fresh pages from the system each time: half of the time went there."""

_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, EOFError, TypeError, AttributeError)
"""What torch and timm raise for a file that holds no weights, or those of another network."""


class FeatureExtractor(nn.Module):
    """A frozen classifier without its last layer, with the resizing and scaling it needs."""

    _gain: Tensor
    _shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        size: int,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        """Wrap a network.

        Args:
            network: from pictures to pooled features.
            size: side in pixels to which pictures are resized (bilinear, antialiased).
            mean: what the network expects to be taken from R, G and B in [0, 1].
            std: by what it expects the rest to be divided.
        """
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size
        # From [-1, 1]; nothing to do for a network that takes just that.
        self._centred = all(value == 0.5 for value in (*mean, *std))
        shift = [(0.5 - m) / s for m, s in zip(mean, std, strict=True)]
        self.register_buffer("_gain", _by_channel([0.5 / s for s in std]), persistent=False)
        self.register_buffer("_shift", _by_channel(shift), persistent=False)

    @torch.no_grad()
    def forward(self, rgb_u8: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return the features of pictures, whatever their size."""
        return torch.cat([self._features(some) for some in rgb_u8.split(self._at_once(rgb_u8))])

    def _at_once(self, rgb_u8: Tensor) -> int:
        """Return how many pictures go through the network together."""
        if rgb_u8.device.type != "cpu":
            return len(rgb_u8)
        return max(1, torch.get_num_threads() * PIXELS_AT_ONCE // self.size**2)

    def _features(self, rgb_u8: Tensor) -> Tensor:
        x = self._prepared(rgb_u8)
        features: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return features

    def _prepared(self, rgb_u8: Tensor) -> Tensor:
        """Scale and resize pictures as the network takes them."""
        rgb = rgb_u8.float() / 127.5 - 1.0
        if rgb.shape[-2:] != (self.size, self.size):
            rgb = F.interpolate(rgb, size=(self.size, self.size), mode="bilinear", antialias=True)
        return rgb if self._centred else rgb * self._gain + self._shift


class InceptionExtractor(FeatureExtractor):
    """The features of the FID: resized and scaled as in TensorFlow's graph."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """Build the network.

        Args:
            state: its weights.

        Raises:
            RuntimeError: the weights are those of another network.
        """
        network = inception_network(state).to(memory_format=torch.channels_last)
        super().__init__(network, size=SIDE)

    def _prepared(self, rgb_u8: Tensor) -> Tensor:
        return (resize_as_tensorflow(rgb_u8.float(), size=SIDE) - 128) / 128


def build_extractor(evaluation: EvaluationConfig) -> FeatureExtractor:
    """Build an extractor with its pretrained weights, on the CPU.

    Args:
        evaluation: names the network, its weights and the side of the pictures that it sees.

    Raises:
        WeightsError: its weights are missing, damaged or those of another network.
        ConfigError: the network cannot see pictures of that side.
    """
    match evaluation.extractor:
        case "efficientnet_lite0":
            assert evaluation.extractor_size is not None  # `EvaluationConfig` settles it
            network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
            state = efficientnet_lite0_state()
            network.load_state_dict(
                {key: value for key, value in state.items() if not key.startswith("classifier")}
            )
            fold_batch_norms(network.eval())
            network = network.to(memory_format=torch.channels_last)
            return FeatureExtractor(network, size=evaluation.extractor_size)
        case "inception_v3":
            path = path_of(evaluation)
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
                return InceptionExtractor(state)
            except (*_UNREADABLE, pickle.UnpicklingError, BadZipFile) as error:
                raise _unfit(path, evaluation, error) from error
        case _:
            return _of_timm(evaluation)


def _of_timm(evaluation: EvaluationConfig) -> FeatureExtractor:
    """Build a network of timm.

    Raises:
        WeightsError: its weights are missing, damaged or those of another network.
        ConfigError: the network cannot see pictures of that side.
    """
    path = path_of(evaluation)
    try:
        # timm renames and reshapes what a file of another origin needs; its code reads tensors
        # only. The classifier goes afterwards: asked for without one, timm would take any file, and
        # leave the network at random where nothing fits.
        network = timm.create_model(
            evaluation.extractor, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
        )
        network.reset_classifier(0)
    except (*_UNREADABLE, pickle.UnpicklingError, BadZipFile, SafetensorError) as error:
        raise _unfit(path, evaluation, error) from error
    network = network.to(memory_format=torch.channels_last)
    described = network.pretrained_cfg
    own = described["input_size"][-1]
    size = evaluation.extractor_size or own
    extractor = FeatureExtractor(network, size=size, mean=described["mean"], std=described["std"])
    try:
        features = extractor(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"evaluation.extractor_size: {evaluation.extractor} cannot see pictures of {size} "
            f"pixels ({_first_line(error)}); take {own}, or null"
        ) from error
    if features.ndim != 2:
        raise ConfigError(
            f"evaluation.extractor: {evaluation.extractor} gives no single feature vector a "
            "picture; take another network"
        )
    return extractor


def _unfit(path: Path, evaluation: EvaluationConfig, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: holds no weights of {evaluation.extractor} ({_first_line(error)}); "
        "name another file: evaluation.extractor_weights: PATH"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _by_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
