"""Metrics on pixels.

Axis letters: b batch, h height, w width.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure


def psnr(
    predicted: UInt8[Tensor, "b 3 h w"], truth: UInt8[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each picture, in dB over RGB in [0, 1].

    10 log10(1 / mean squared error); infinite for equal pictures.
    """
    error = (predicted.double() - truth.double()).div(255.0).square().mean(dim=(1, 2, 3))
    return -10.0 * torch.log10(error)


def ssim(
    predicted: UInt8[Tensor, "b 3 h w"], truth: UInt8[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of each picture, over RGB in [0, 1]: 1 for equal pictures.

    Gaussian windows of 11 pixels and sigma 1.5, with pictures mirrored at their edges; mean of the
    channels. Source: Wang et al. 2004, equation 13.
    """
    similarity = structural_similarity_index_measure(
        predicted.float() / 255, truth.float() / 255, data_range=1.0, reduction="none"
    )
    assert isinstance(similarity, Tensor)  # a pair only where maps are asked for
    return similarity.double()


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
