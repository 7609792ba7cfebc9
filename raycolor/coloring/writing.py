"""Picture files of the formats that coloured photographs are written in.

Axis letters: h height, w width.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from raycolor.errors import DataError
from raycolor.files import replacing
from raycolor.photographs.pixels import bands, on_white

FormatName = Literal["png", "jpeg", "webp", "tiff"]
SUFFIXES: dict[str, FormatName] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Formats by the ending of a file's name; the first ending of a format is its usual one."""
OPTIONS: dict[FormatName, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"quality": 95, "method": 4},
    "tiff": {},
}
"""Without losses, or with small ones: lightness should stay what it was. TIFF is not compressed,
since libtiff, which Pillow needs for that, refuses EXIF's date."""
LONGEST: dict[FormatName, int] = {"jpeg": 65_500, "webp": 16_383}
"""Longest side in pixels that a format, or the library that writes it, takes."""
MOST_PIXELS: dict[FormatName, int] = {"tiff": 10**9}
"""Pixels that a format takes: a TIFF has at most 4 GB."""


def format_of(path: Path) -> FormatName:
    """Return the format that a file's ending means; it has to be one of `SUFFIXES`."""
    return SUFFIXES[path.suffix.lower()]


def usual_suffix(name: FormatName) -> str:
    """Return the ending that files of a format usually have."""
    return next(suffix for suffix, meant in SUFFIXES.items() if meant == name)


def check_sides(path: Path, height: int, width: int) -> None:
    """Refuse a picture that its format cannot hold.

    Raises:
        DataError: it is too long.
    """
    name, sides = format_of(path), f"but the picture has {width} x {height}"
    if name in LONGEST and max(height, width) > LONGEST[name]:
        raise DataError(
            f"{path}: a {name} file holds at most {LONGEST[name]} pixels a side, {sides}; take "
            "--format png"
        )
    if name in MOST_PIXELS and height * width > MOST_PIXELS[name]:
        raise DataError(
            f"{path}: a {name} file holds at most {MOST_PIXELS[name]} pixels, {sides}; take "
            "--format png"
        )


def write_picture(
    path: Path,
    rgb_u8: UInt8[np.ndarray, "h w 3"],
    *,
    alpha_u8: UInt8[np.ndarray, "h w"] | None = None,
    exif: bytes = b"",
) -> None:
    """Write an sRGB picture, complete or not at all; its format is that of the file's ending.

    Args:
        path: where to; an older file is replaced, and missing folders are made.
        rgb_u8: the pixels.
        alpha_u8: their opacity; in a JPEG, which has none, they are laid over white.
        exif: EXIF data for the file, as `Photograph` has them.

    Raises:
        DataError: the storage or the format refuses.
    """
    name = format_of(path)
    options = OPTIONS[name] | ({"exif": exif} if exif else {})
    try:
        with replacing(path) as beside:
            _image(rgb_u8, alpha_u8, flat=name == "jpeg").save(beside, format=name, **options)
    except (OSError, ValueError) as error:
        # A ValueError is the format's: what it cannot hold, or a lack of memory.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(
            f"{path}: cannot be written ({reason}); make room or mend the storage, or choose "
            "another --out or --format"
        ) from error


def _image(
    rgb_u8: UInt8[np.ndarray, "h w 3"],
    alpha_u8: UInt8[np.ndarray, "h w"] | None,
    *,
    flat: bool,
) -> Image.Image:
    """Give pixels to Pillow a band at a time: at once it would need twice the memory."""
    height, width, _ = rgb_u8.shape
    mode = "RGB" if flat or alpha_u8 is None else "RGBA"
    image = Image.new(mode, (width, height))
    for rows in bands(height, width):
        band = rgb_u8[rows]
        if alpha_u8 is not None:
            alpha = alpha_u8[rows]
            band = on_white(band, alpha) if flat else np.dstack([band, alpha])
        image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, rows.start))
    return image
