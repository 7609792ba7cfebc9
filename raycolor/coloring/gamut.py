"""Photographs between sRGB and L*a*b*, fast, with L* kept where a colour does not fit into sRGB.

`raycolor.color` converts the networks' batches, and clips colours that sRGB does not have a channel
at a time, which changes their lightness. A photograph's lightness is its drawing, so here such a
colour gives up chroma instead. Same formulas and constants, but only L* on the way in, from tables.
Axis letters: h height, w width, n pixels.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8, UInt16
from torch import Tensor

TO_Y = (0.212671, 0.715160, 0.072169)
"""Luminance of linear R, G and B."""
WHITE = (0.95047, 1.0, 1.08883)
"""D65, X and Z of luminance 1."""
TO_RGB = (
    (3.2404813432005266, -1.5371515162713185, -0.4985363261688878),
    (-0.9692549499965682, 1.8759900014898907, 0.0415559265582928),
    (0.0556466391351772, -0.2040413383665112, 1.0573110696453443),
)
"""Linear R, G and B of X, Y and Z."""
FITTING = (-0.05 / 255 / 12.92, ((255.05 / 255 + 0.055) / 1.055) ** 2.4)
"""Linear values a twentieth of a level below 0 and above 255. Colours between them fit: without
this room, rounding in float32 would move colours on the hull of sRGB."""
HALVINGS = 12
"""Steps of the search for the largest chroma; the last is less than 0.04 of a* or b*."""


def lightness(rgb_u8: UInt8[np.ndarray, "h w 3"]) -> Float32[Tensor, "h w"]:
    """Return L*, 0 to 100, of sRGB pixels.

    Source: IEC 61966-2-1 and CIE 15; equal to `color.rgb_to_unit` (tested).
    """
    red, green, blue = (rgb_u8[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return torch.from_numpy(np.take(_lightness_of_levels(255), red))
    tables = _luminance_tables()
    luminance = np.take(tables[0], red)
    luminance += np.take(tables[1], green)
    luminance += np.take(tables[2], blue)
    y = torch.from_numpy(luminance)
    cube_root = y.clamp(min=0.008856).pow_(1 / 3)
    f = torch.where(y > 0.008856, cube_root, y.mul_(7.787).add_(4 / 29))
    return f.mul_(116).sub_(16)


def lightness_of_gray(gray_u16: UInt16[np.ndarray, "h w"]) -> Float32[Tensor, "h w"]:
    """Return L*, 0 to 100, of grey of 16 bits with sRGB's curve."""
    return torch.from_numpy(np.take(_lightness_of_levels(65535), gray_u16))


def to_srgb(
    l_star: Float32[Tensor, "h w"], ab: Float32[Tensor, "2 h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Convert L*a*b* to sRGB pixels of that L*, up to rounding.

    A colour that sRGB has is converted as `color.unit_to_rgb` does it. One that it has not moves
    toward the grey of its lightness, its hue kept, until it fits: a* and b* are multiplied by one
    number, found by bisection.

    Args:
        l_star: 0 to 100.
        ab: any a* and b*.

    Source: CIE 15 (L*a*b*), IEC 61966-2-1 (sRGB). Moving along lines of constant lightness and hue
    is one of the ways of CIE 156, "clipping toward the neutral axis".
    """
    a, b = ab
    linear = _linear(l_star, a, b)
    outside = ~_fits(linear)
    if outside.any():
        part = l_star[outside], a[outside], b[outside]
        linear[:, outside] = _drawn_in(*part)
    linear.clamp_(0, 1)
    encoded = linear.clamp(min=0.0031308).pow_(1 / 2.4).mul_(1.055).sub_(0.055)
    encoded = torch.where(linear > 0.0031308, encoded, linear.mul_(12.92))
    pixels: np.ndarray = encoded.mul_(255).round_().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels


def _drawn_in(
    l_star: Float[Tensor, " n"], a: Float[Tensor, " n"], b: Float[Tensor, " n"]
) -> Float[Tensor, "3 n"]:
    """Return linear RGB of the largest share of the chroma that fits."""
    # At the lower end the colour fits always: grey of this lightness does.
    low, high = torch.zeros_like(l_star), torch.ones_like(l_star)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _fits(_linear(l_star, a * middle, b * middle))
        low = torch.where(fits, middle, low)
        high = torch.where(fits, high, middle)
    return _linear(l_star, a * low, b * low)


def _linear(
    l_star: Float[Tensor, "..."], a: Float[Tensor, "..."], b: Float[Tensor, "..."]
) -> Float[Tensor, "3 ..."]:
    """Convert to linear RGB, which is outside 0 to 1 where sRGB lacks the colour."""
    fy = (l_star + 16) / 116
    x = _inverse_f(a / 500 + fy).mul_(WHITE[0])
    y = _inverse_f(fy)
    z = _inverse_f((fy - b / 200).clamp_(min=0)).mul_(WHITE[2])
    linear = torch.empty((3, *l_star.shape), dtype=l_star.dtype)
    for channel, (of_x, of_y, of_z) in zip(linear, TO_RGB, strict=True):
        torch.mul(x, of_x, out=channel)
        channel.add_(y, alpha=of_y).add_(z, alpha=of_z)
    return linear


def _inverse_f(f: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    return torch.where(f > 0.2068966, f * f * f, (f - 4 / 29) / 7.787)


def _fits(linear: Float[Tensor, "3 ..."]) -> Bool[Tensor, "..."]:
    low, high = FITTING
    fits: Tensor = (linear.amin(0) >= low) & (linear.amax(0) <= high)
    return fits


def _linear_levels(highest: int) -> np.ndarray:
    """Linear values of all levels of sRGB's curve, float64."""
    level = np.arange(highest + 1) / highest
    return np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)


@cache
def _lightness_of_levels(highest: int) -> np.ndarray:
    """L* of grey levels 0 to `highest`."""
    y = _linear_levels(highest)
    f = np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 4 / 29)
    lightness_of: np.ndarray = (116 * f - 16).clip(0, 100).astype(np.float32)
    return lightness_of


@cache
def _luminance_tables() -> np.ndarray:
    """Parts of the luminance by channel and level, (3, 256)."""
    return np.outer(TO_Y, _linear_levels(255)).astype(np.float32)
