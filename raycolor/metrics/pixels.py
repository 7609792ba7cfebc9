"""Metrics on pixels.

Axis letters: b batch, h height, w width.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

_REACH = 5
"""Pixels that a window of SSIM sees to each side of its own."""
_SIGMA = 1.5
"""Of its Gaussian, in pixels."""
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
"""Constants that keep its quotients finite, for values in [0, 1]."""


def psnr(
    predicted: UInt8[Tensor, "b 3 h w"], truth: UInt8[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each picture, in dB over RGB in [0, 1].

    10 log10(1 / mean squared error); infinite for equal pictures.
    """
    # Whole numbers up to 65,025: their sum is exact in whatever order it is taken.
    squared = (predicted.int() - truth.int()).square().flatten(1)
    return -10.0 * torch.log10(squared.sum(dim=1).double() / (squared.shape[1] * 255.0**2))


def ssim(
    predicted: UInt8[Tensor, "b 3 h w"], truth: UInt8[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of each picture, over RGB in [0, 1]: 1 for equal pictures.

    Gaussian windows of 11 pixels and sigma 1.5, with pictures mirrored at their edges; mean of the
    channels. Source: Wang et al. 2004, equation 13.
    """
    x, y = predicted.double() / 255, truth.double() / 255
    mean_x, mean_y = _blurred(x), _blurred(y)
    squares = mean_x**2 + mean_y**2
    product = mean_x * mean_y
    spread = _blurred(x * x + y * y) - squares
    covariance = _blurred(x * y) - product
    brightness = (2 * product + _SSIM_C1) / (squares + _SSIM_C1)
    similarity = brightness * (2 * covariance + _SSIM_C2) / (spread + _SSIM_C2)
    return similarity.flatten(1).mean(dim=1)


def _blurred(maps: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Take each pixel's mean over its window.

    Two products with matrices: for pictures of these sizes several times as fast as convolutions,
    which have a single channel here.
    """
    rows, columns = (_windows(side, maps) for side in maps.shape[-2:])
    return rows @ maps @ columns.T


def _windows(side: int, like: Tensor) -> Float[Tensor, "{side} {side}"]:
    """Return what each pixel of a line takes from the others, the line mirrored at its ends."""
    steps = torch.arange(-_REACH, _REACH + 1, dtype=like.dtype, device=like.device)
    window = torch.exp(-(steps**2) / (2 * _SIGMA**2))
    places = torch.arange(side, device=like.device)[:, None] + steps.long()
    places = (side - 1) - ((side - 1) - places.abs()).abs()
    weights = (window / window.sum()).expand(side, -1)
    return like.new_zeros(side, side).scatter_add(1, places, weights)


def colorfulness(rgb_u8: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Colorfulness of each picture: 0 for grey, about 60 and more for vivid ones.

    M = sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2) with rg = R - G and
    yb = (R + G) / 2 - B on the 0-255 scale. Source: Hasler and Süsstrunk 2003, section 7.
    """
    red, green, blue = rgb_u8.double().flatten(2).unbind(dim=1)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = (rg.var(dim=1, correction=0) + yb.var(dim=1, correction=0)).sqrt()
    shift = (rg.mean(dim=1).square() + yb.mean(dim=1).square()).sqrt()
    return spread + 0.3 * shift
