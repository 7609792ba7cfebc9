"""A trained generator applied to a photograph of any size.

The generator sees a small copy. Everything at full size is done in bands of rows, so that little
memory is needed beside the photograph. Axis letters: h height, w width.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from pydantic import ValidationError
from torch import Tensor, nn

from raycolor.checkpoint import load_tensors
from raycolor.color import AB_SCALE, L_SCALE
from raycolor.coloring.gamut import lightness, lightness_of_gray, to_srgb
from raycolor.config import TrialConfig, generator_stride
from raycolor.errors import CheckpointError, ConfigError
from raycolor.networks.answers import Painter
from raycolor.networks.build import build_generator
from raycolor.photographs.pixels import bands, on_white
from raycolor.photographs.read import Photograph

BAND_PIXELS = 1 << 17
"""Pixels at full size that are converted at once; what they need fits a processor's cache."""
LONGEST = 8
"""The small copy is at most this many times longer than its short side, or a picture of one row
would become a very long one."""

DeviceName = Literal["auto", "cpu", "cuda"]


class Colorizer:
    """Predicts the colours of one photograph at a time."""

    def __init__(
        self,
        generator: nn.Module,
        *,
        size: int,
        stride: int,
        device: torch.device | None = None,
        band_pixels: int = BAND_PIXELS,
    ) -> None:
        """Wrap a generator.

        Args:
            generator: from `l_unit` to `ab_unit`.
            size: short side in pixels at which colours are predicted.
            stride: sides given to the generator are multiples of it.
            device: where the generator computes; the CPU if not given.
            band_pixels: pixels at full size that are converted at once; no influence on
                results, but for the last bit before they are rounded.
        """
        self._device = device or torch.device("cpu")
        self._generator = generator.eval().to(self._device)
        self._size = size
        self._stride = stride
        self._band_pixels = band_pixels

    @torch.no_grad()
    def __call__(
        self, photograph: Photograph, *, out: UInt8[np.ndarray, "h w 3"] | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Colour a photograph; colours that it has are ignored.

        L* stays as it is, pixel by pixel, with 16 bits where the photograph has them; a* and b* are
        predicted from a small copy and enlarged. Colours that sRGB lacks become less colourful, not
        lighter or darker.

        Args:
            photograph: what is transparent in it is taken to lie over white for the prediction.
            out: where to write the result; may be the photograph's own pixels, which saves memory.

        Returns:
            The same shape, coloured; `out` if given.

        Raises:
            MemoryError: the device has too little memory.
        """
        height, width, _ = photograph.rgb_u8.shape
        if out is None:
            out = np.empty_like(photograph.rgb_u8)
        ab = self._predict(self._small_copy(photograph)) * AB_SCALE
        # Down first, all at once, since it is still narrow; then each band across.
        tall = F.interpolate(ab, size=(height, ab.shape[-1]), mode="bicubic", antialias=True)
        for rows in self._bands(height, width):
            size = (rows.stop - rows.start, width)
            band = F.interpolate(tall[:, :, rows], size=size, mode="bicubic", antialias=True)
            out[rows] = to_srgb(_lightness(photograph, rows), band[0])
        return out

    def _bands(self, height: int, width: int) -> Iterator[slice]:
        return bands(height, width, most=self._band_pixels)

    def _small_copy(self, photograph: Photograph) -> Float32[Tensor, "1 1 small_h small_w"]:
        """Reduce L* to the generator's size; the same as to reduce it whole."""
        height, width, _ = photograph.rgb_u8.shape
        small_height, small_width = working_size(height, width, self._size, self._stride)
        narrow = [
            F.interpolate(
                _lightness(photograph, rows, over_white=True)[None, None],
                size=(rows.stop - rows.start, small_width),
                mode="bilinear",
                antialias=True,
            )
            for rows in self._bands(height, width)
        ]
        return F.interpolate(
            torch.cat(narrow, dim=2),
            size=(small_height, small_width),
            mode="bilinear",
            antialias=True,
        )

    def _predict(
        self, l_star: Float32[Tensor, "1 1 small_h small_w"]
    ) -> Float32[Tensor, "1 2 small_h small_w"]:
        l_unit = (l_star / L_SCALE - 1.0).contiguous(memory_format=torch.channels_last)
        # Convolutions see zeros, mid grey, beyond the edge, and leave a frame of fainter colours
        # there: so the picture is mirrored outwards, and what was predicted beyond is cut off.
        height, width = l_unit.shape[-2:]
        edge = self._stride if self._stride < min(height, width) else 0
        l_unit = F.pad(l_unit, (edge,) * 4, mode="reflect")
        try:
            ab_unit: Tensor = self._generator(l_unit.to(self._device)).cpu()
        except torch.OutOfMemoryError as error:
            sides = " x ".join(str(side) for side in l_star.shape[2:])
            raise MemoryError(
                f"the {self._device.type} has too little to predict colours at {sides} pixels; "
                "take a smaller --size"
            ) from error
        return ab_unit[..., edge : edge + height, edge : edge + width]


def working_size(height: int, width: int, size: int, stride: int) -> tuple[int, int]:
    """Choose the size of the small copy that the generator sees.

    Returns:
        Height and width: multiples of the stride that keep the aspect ratio as far as they can,
        the shorter about `size`.
    """
    short, long = min(height, width), max(height, width)
    scale = size / max(short, long / LONGEST)
    small_height, small_width = (
        max(1, round(side * scale / stride)) * stride for side in (height, width)
    )
    return small_height, small_width


def load_colorizer(
    generator: Path, *, size: int | None = None, device: DeviceName = "auto"
) -> Colorizer:
    """Load a generator that a trial kept.

    Args:
        generator: `best/generator.safetensors` of a study, or `best_<images>.safetensors` of one of
            its trials; the file holds its own configuration.
        size: short side in pixels at which colours are predicted; None for that of the training.
        device: where it computes; `auto` takes a CUDA device if there is one.

    Raises:
        CheckpointError: the file is missing or damaged, or is no generator of this raycolor.
        ConfigError: there is no such device.
    """
    chosen = _device(device)
    tensors, about = load_tensors(generator)
    if "config" not in about:
        raise CheckpointError(
            f"{generator}: holds no generator; name a study, or best/generator.safetensors of one"
        )
    try:
        config = TrialConfig.model_validate(about["config"])
        network = build_generator(config, pretrained=False)
        network.load_state_dict(tensors)
    except (ValidationError, RuntimeError) as error:
        raise CheckpointError(
            f"{generator}: is not a generator as this raycolor builds them; use the raycolor that "
            "trained it, or train it anew"
        ) from error
    return Colorizer(
        Painter(network.to(memory_format=torch.channels_last), config),
        size=size or config.data.size,
        stride=generator_stride(config),
        device=chosen,
    )


def _lightness(
    photograph: Photograph, rows: slice, *, over_white: bool = False
) -> Float32[Tensor, "h w"]:
    """Return L* of a band of rows."""
    rgb_u8, gray_u16 = photograph.rgb_u8[rows], photograph.gray_u16
    levels = rgb_u8 if gray_u16 is None else gray_u16[rows]
    if over_white and photograph.alpha_u8 is not None:
        levels = on_white(levels, photograph.alpha_u8[rows])
    return lightness(levels) if gray_u16 is None else lightness_of_gray(levels)


def _device(name: DeviceName) -> torch.device:
    """Choose a device.

    Raises:
        ConfigError: it is not there.
    """
    match name:
        case "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        case "cpu":
            return torch.device("cpu")
        case "cuda":
            if not torch.cuda.is_available():
                raise ConfigError("--device cuda: there is none here; take auto or cpu")
            return torch.device("cuda")
        case _:
            assert_never(name)
