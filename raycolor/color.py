"""sRGB to CIE Lab (D65) in the networks' range, and back.

Colour conversion is float32 always and stays outside autocast: in bfloat16 Lab is off by up to
half a unit. Axis letters: b batch, h height, w width.
"""

import torch
from jaxtyping import Float, UInt8
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from raycolor.errors import ColorRangeError

L_SCALE = 50.0
"""L* in [0, 100] becomes L* / 50 - 1."""
AB_SCALE = 110.0
"""a* in [-86.2, 98.2] and b* in [-107.9, 94.5] (all of sRGB) become a* / 110 and b* / 110."""


def rgb_to_unit(
    rgb_u8: UInt8[Tensor, "b 3 h w"],
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 2 h w"]]:
    """Convert sRGB pixels to the networks' L and ab.

    Args:
        rgb_u8: gamma-encoded sRGB, 0 to 255.

    Returns:
        `l_unit` = L* / 50 - 1 and `ab_unit` = (a*, b*) / 110, float32, each in [-1, 1] for every
        sRGB colour.

    Raises:
        ColorRangeError: the dtype is not uint8. kornia would take 0-255 floats without a word and
            answer L* = 9341.

    Source: IEC 61966-2-1 and CIE 15 through kornia; equal to scikit-image within 1e-4 (tested
    over a dense grid of all colours).
    """
    if rgb_u8.dtype != torch.uint8:
        raise ColorRangeError(
            f"pixels are {rgb_u8.dtype}, but sRGB comes as uint8, 0 to 255; convert them first"
        )
    with torch.autocast(rgb_u8.device.type, enabled=False):
        lab = rgb_to_lab(rgb_u8.float() / 255.0)
    return lab[:, :1] / L_SCALE - 1.0, lab[:, 1:] / AB_SCALE


def pixels_to_unit(
    pixels: Float[Tensor, "b 3 h w"],
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 2 h w"]]:
    """Convert generated sRGB to the networks' L and ab, with finite gradients everywhere.

    Args:
        pixels: gamma-encoded sRGB in [-1, 1], as tanh gives it; what lies outside is clipped, so
            there is no colour that sRGB lacks.

    Returns:
        `l_unit` and `ab_unit` as `rgb_to_unit` gives them, float32.
    """
    with torch.autocast(pixels.device.type, enabled=False):
        lab = rgb_to_lab(((pixels.float() + 1.0) / 2.0).clamp(0.0, 1.0))
    return lab[:, :1] / L_SCALE - 1.0, lab[:, 1:] / AB_SCALE


def unit_to_rgb(
    l_unit: Float[Tensor, "b 1 h w"], ab_unit: Float[Tensor, "b 2 h w"]
) -> UInt8[Tensor, "b 3 h w"]:
    """Convert the networks' L and ab to sRGB pixels; the inverse of `rgb_to_unit`.

    Colours outside sRGB are clipped a channel at a time; values are rounded, not cut, to 0-255.

    Args:
        l_unit: L* / 50 - 1.
        ab_unit: (a*, b*) / 110.

    Returns:
        Gamma-encoded sRGB, 0 to 255.
    """
    with torch.autocast(l_unit.device.type, enabled=False):
        lab = torch.cat([(l_unit.float() + 1.0) * L_SCALE, ab_unit.float() * AB_SCALE], dim=1)
        rgb = lab_to_rgb(lab, clip=True)
        rgb_u8: Tensor = (rgb * 255.0).round().to(torch.uint8)
        return rgb_u8
