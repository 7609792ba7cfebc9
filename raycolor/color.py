"""sRGB to CIE Lab (D65) in the networks' range, and back.

Colour conversion is float32 always and stays outside autocast: in bfloat16 Lab is off by up to
half a unit. Axis letters: b batch, h height, w width.

On a GPU kornia would multiply by its matrices as a convolution, which cuDNN computes in TF32, 10
bits after the point, and it would copy them there at each call, for which the process waits. So
there this module has the same formulas of its own, a channel at a time. On a CPU kornia is used.
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
_WHITE = (0.95047, 1.0, 1.08883)
"""X, Y, Z of D65."""
_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_FROM_XYZ = (
    (3.2404813432005266, -1.5371515162713185, -0.4985363261688878),
    (-0.9692549499965682, 1.8759900014898907, 0.0415559265582928),
    (0.0556466391351772, -0.2040413383665112, 1.0573110696453443),
)
"""Between linear sRGB and XYZ, with kornia's digits."""


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
        lab = _lab(rgb_u8.float() / 255.0)
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
        lab = _lab(((pixels.float() + 1.0) / 2.0).clamp(0.0, 1.0))
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
        rgb = _rgb(lab)
        rgb_u8: Tensor = (rgb * 255.0).round().to(torch.uint8)
        return rgb_u8


def lab_by_channel(rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Convert sRGB in [0, 1] to Lab without a matrix on the device, on any of them.

    Equal to kornia's `rgb_to_lab` but for the last digits.
    """
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055).clamp(min=0.0) / 1.055) ** 2.4, rgb / 12.92)
    shares = [
        channel / white for channel, white in zip(_mixed(linear, _TO_XYZ), _WHITE, strict=True)
    ]
    x, y, z = (
        torch.where(
            share > 0.008856, share.clamp(min=0.008856) ** (1 / 3), 7.787 * share + 4.0 / 29.0
        )
        for share in shares
    )
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)


def rgb_by_channel(lab: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Convert Lab to sRGB clipped to [0, 1], the inverse of `lab_by_channel`."""
    y = (lab[:, 0] + 16.0) / 116.0
    x, z = lab[:, 1] / 500.0 + y, (y - lab[:, 2] / 200.0).clamp(min=0.0)
    xyz = [
        torch.where(root > 0.2068966, root**3, (root - 4.0 / 29.0) / 7.787) * white
        for root, white in zip((x, y, z), _WHITE, strict=True)
    ]
    linear = torch.stack(_mixed(torch.stack(xyz, dim=1), _FROM_XYZ), dim=1)
    bright = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, bright, 12.92 * linear).clamp(0.0, 1.0)


def _lab(rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    lab: Tensor = rgb_to_lab(rgb) if rgb.device.type == "cpu" else lab_by_channel(rgb)
    return lab


def _rgb(lab: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    rgb: Tensor = lab_to_rgb(lab, clip=True) if lab.device.type == "cpu" else rgb_by_channel(lab)
    return rgb


def _mixed(picture: Tensor, rows: tuple[tuple[float, float, float], ...]) -> list[Tensor]:
    """Multiply the channels of pictures by a matrix of numbers."""
    first, second, third = picture.unbind(dim=1)
    return [first * row[0] + second * row[1] + third * row[2] for row in rows]
