"""The side-by-side picture: grey, coloured and, where there were colours, the original.

Axis letters: h height, w width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from raycolor.coloring.gamut import lightness, to_srgb
from raycolor.photographs.pixels import on_white

LONGEST_SIDE = 1600
"""Of a panel, in pixels: enough for a screen, however large the photograph is."""
GAP = 8
"""White pixels between two panels."""
COLORED_SPREAD, COLORED_SHARE = 8, 0.001
"""A picture has colours if in this share of its pixels the channels differ by more than that."""

Panel = UInt8[np.ndarray, "h w 3"]


def panel_of(
    rgb_u8: UInt8[np.ndarray, "full_h full_w 3"],
    alpha_u8: UInt8[np.ndarray, "full_h full_w"] | None,
) -> Panel:
    """Make a small copy of a picture, over white where it is transparent."""
    height, width, _ = rgb_u8.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(_resized(rgb_u8, size))
    return small if alpha_u8 is None else on_white(small, np.asarray(_resized(alpha_u8, size)))


def has_colors(panel: Panel) -> bool:
    """Whether a picture is more than grey with a little noise."""
    spread = np.ptp(panel, axis=2)
    return bool((spread > COLORED_SPREAD).mean() > COLORED_SHARE)


def side_by_side(original: Panel, colored: Panel) -> UInt8[np.ndarray, "h sheet_w 3"]:
    """Lay out grey and coloured, and the original if it has colours, beside each other."""
    l_star = lightness(original)
    gray = to_srgb(l_star, torch.zeros((2, *l_star.shape)))
    panels = [gray, colored, *([original] if has_colors(original) else [])]
    return _beside(panels)


def _beside(panels: Sequence[Panel]) -> UInt8[np.ndarray, "h sheet_w 3"]:
    height = panels[0].shape[0]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=1)


def _resized(levels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(levels)
    # Without the first, coarse step the filter would take most of the time of a large picture.
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
