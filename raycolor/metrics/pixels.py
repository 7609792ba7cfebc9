"""Metrics on pixels.

Axis letters: b batch, h height, w width.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def psnr(
    predicted: UInt8[Tensor, "b 3 h w"], truth: UInt8[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each picture, in dB over RGB in [0, 1].

    10 log10(1 / mean squared error); infinite for equal pictures.
    """
    error = (predicted.double() - truth.double()).div(255.0).square().mean(dim=(1, 2, 3))
    return -10.0 * torch.log10(error)


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
