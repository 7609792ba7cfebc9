"""Picture files: photographs read, comparisons for people laid out and written.

Axis letters: b batch, h height, w width.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from raycolor.errors import DataError
from raycolor.files import replacing

GAP = 2
"""Pixels between two pictures."""


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


def load_rgb(path: Path) -> np.ndarray:
    """Read a photograph as sRGB, upright as its EXIF data say, over white where transparent.

    Returns:
        uint8, (height, width, 3).

    Raises:
        DataError: no file, or no picture that Pillow reads.
    """
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I;16"):
                # Pillow would cut 16-bit grey at 255 instead of scaling it.
                return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
            if picture.has_transparency_data:
                rgba = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such photograph") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: no picture that can be read ({error}); convert it to JPEG or PNG"
        ) from error
