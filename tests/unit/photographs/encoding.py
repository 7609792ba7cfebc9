"""Pictures in files of any format, and what is read of them."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

from raycolor.photographs.read import Photograph, read_photograph

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


AVIF = ["AVIF"] if features.check("avif") else []
"""Not every build of Pillow has it."""


def noise(height: int = 24, width: int = 31) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) % 256], -1).astype(np.uint8)


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def read(contents: bytes, **options: Any) -> Photograph:
    return read_photograph(io.BytesIO(contents), name="old.jpg", **options)


def reread(
    picture: Image.Image, format: str = "PNG", *, over_white: bool = True, **options: Any
) -> Photograph:
    return read(encoded(picture, format, **options), on_white=over_white)


def plain(color: Any, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (8, 8), color)


def color_of(photograph: Photograph) -> list[int]:
    """The colour of a picture of one colour."""
    colors = np.unique(photograph.rgb_u8.reshape(-1, 3), axis=0)
    assert len(colors) == 1
    return [int(level) for level in colors[0]]
