"""A trained generator applied to a photograph of any size.

Axis letters: b batch, h height, w width.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from torch import nn

from raycolor import color
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig, generator_stride
from raycolor.errors import CheckpointError
from raycolor.networks.build import build_generator


class Colorizer:
    """Predicts the colours of one photograph at a time."""

    def __init__(self, generator: nn.Module, *, size: int, stride: int) -> None:
        """Wrap a generator.

        Args:
            generator: from `l_unit` to `ab_unit`.
            size: short side in pixels at which colours are predicted.
            stride: sides given to the generator are multiples of it.
        """
        self._generator = generator.eval()
        self._size = size
        self._stride = stride

    @torch.no_grad()
    def __call__(self, rgb_u8: np.ndarray) -> np.ndarray:
        """Colour a photograph.

        Its L stays as it is, pixel by pixel; a and b are predicted from a smaller copy, with the
        aspect ratio kept up to the generator's stride, and enlarged.

        Args:
            rgb_u8: (height, width, 3), sRGB; colours are ignored.

        Returns:
            The same shape, coloured.
        """
        rgb = torch.from_numpy(rgb_u8.copy()).permute(2, 0, 1)[None]
        l_unit, _ = color.rgb_to_unit(rgb)
        height, width = l_unit.shape[-2:]
        scale = self._size / min(height, width)
        inner = tuple(
            max(1, round(side * scale / self._stride)) * self._stride for side in (height, width)
        )
        small = F.interpolate(l_unit, size=inner, mode="bilinear", antialias=True)
        ab_small = self._generator(small.contiguous(memory_format=torch.channels_last))
        ab_unit = F.interpolate(ab_small, size=(height, width), mode="bicubic", antialias=True)
        colored = color.unit_to_rgb(l_unit, ab_unit)
        pixels: np.ndarray = colored[0].permute(1, 2, 0).numpy()
        return pixels


def load_colorizer(folder: Path, *, size: int | None = None) -> Colorizer:
    """Load the generator of a `best/` folder.

    Args:
        folder: with `generator.safetensors` and `config.yaml`.
        size: short side in pixels at which colours are predicted; None for that of the training.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit the other.
    """
    path = folder / "config.yaml"
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        config = TrialConfig.model_validate(tree)
    except (OSError, UnicodeDecodeError, YAMLError, ValidationError) as error:
        raise CheckpointError(f"{path}: no configuration of a trial ({error})") from error
    generator = build_generator(config, pretrained=False)
    tensors, _ = load_tensors(folder / "generator.safetensors")
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: generator.safetensors does not fit config.yaml; take both from one study"
        ) from error
    return Colorizer(
        generator.to(memory_format=torch.channels_last),
        size=size or config.data.size,
        stride=generator_stride(config),
    )
