"""Photographs that tests make: colourful, all different, of any size and format."""

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from raycolor.preparation.settings import Settings
from raycolor.preparation.squares import Fit, Recipe


def photo(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """Smooth patches of strong colours."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def files(number: int, *, first: int = 0, under: str = "") -> dict[str, bytes]:
    """Contents of photographs by name."""
    return {f"{under}p{i:03}.png": encoded(photo(i)) for i in range(first, first + number)}


def write(folder: Path, contents: Mapping[str, bytes]) -> Path:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def recipe(size: int = 16, fit: Fit = "crop", least_color: float = 2.0) -> Recipe:
    return Recipe(size=size, fit=fit, least_color=least_color)


def settings(source: Path, out: Path, **changes: Any) -> Settings:
    defaults: dict[str, Any] = {
        "recipe": recipe(),
        "validation": 0.1,
        "test": 0.1,
        "workers": 1,
    }
    return Settings(source=source, out=out, **(defaults | changes))


def unwatched(done: int, total: int) -> None:
    """A watcher that does not look."""


SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
"""XYZ of red, green and blue under D50, as in profiles of these spaces."""


def profile(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """The smallest ICC profile of a display. Source: ICC.1:2001-04, 6.1 (header), 6.5."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)}
    for letter, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*primary)
        tags[letter + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        128 + len(table) + len(body),
        0x02400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"acsp",
        fixed(0.9642, 1.0, 0.8249),
    )
    return header + table + body


def in_space(
    picture: Image.Image, primaries: tuple[tuple[float, float, float], ...], gamma: float
) -> Image.Image:
    """Store an sRGB picture's colours as numbers of another space; colours must lie within it."""
    levels = np.asarray(picture, np.float64) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    other = linear @ np.array(SRGB) @ np.linalg.inv(np.array(primaries))
    return Image.fromarray((255 * other.clip(0, 1) ** (1 / gamma)).round().astype(np.uint8))
