"""Pictures for people: comparisons laid out, and PNG files written.

Axis letters: b batch, h height, w width.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from raycolor.files import replacing
from raycolor.sheet import GAP


def comparison(
    *columns: UInt8[Tensor, "b 3 h w"],
) -> np.ndarray:
    """Lay pictures out in a grid: one row a picture, one column an argument.

    Args:
        columns: sets of equally many sRGB pictures of one size.

    Returns:
        uint8, (height, width, 3), on white.
    """
    number, _, height, width = columns[0].shape
    sheet = np.full(
        (number * (height + GAP) - GAP, len(columns) * (width + GAP) - GAP, 3), 255, np.uint8
    )
    for column, pictures in enumerate(columns):
        left = column * (width + GAP)
        for row, picture in enumerate(pictures):
            top = row * (height + GAP)
            sheet[top : top + height, left : left + width] = picture.permute(1, 2, 0).cpu()
    return sheet


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write a picture, complete or not at all.

    Args:
        path: where to; an older file is replaced.
        pixels: uint8, (height, width, 3).
    """
    with replacing(path) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")
