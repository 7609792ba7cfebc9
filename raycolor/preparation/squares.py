"""One photograph to one square of pixels. Runs in worker processes, so it imports little."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from raycolor.errors import DataError
from raycolor.photographs.read import MOST_PIXELS, Photograph, TooManyPixels, read_photograph
from raycolor.preparation.skips import Skip
from raycolor.preparation.tones import untold_color

Fit = Literal["crop", "stretch"]
SHORT_OF_MEMORY = Skip("too large", "memory is short for it; take fewer --workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How squares are made."""

    size: int
    """Their side in pixels."""
    fit: Fit
    """`crop` keeps the aspect ratio and cuts the middle out; `stretch` keeps all."""
    least_color: float
    """Pictures with less colour than this, by `untold_color`, are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to read."""

    place: int
    """Its rank by name, and its row in the spool."""
    name: str
    source: Path | bytes
    """The file, or its contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A picture of the data set."""

    pixels: bytes
    """size * size * 3 bytes, row by row, R G B."""
    digest: bytes
    """Hash of the pixels."""
    short_side: int
    """Of the photograph, in pixels."""


def make_square(source: Path | bytes, name: str, recipe: Recipe) -> Square | Skip:
    """Read a photograph and make it a square.

    Args:
        source: a file, or its contents.
        name: what messages call it.
        recipe: how.

    Returns:
        The square, or why there is none.
    """
    try:
        photograph = read_photograph(
            source if isinstance(source, Path) else io.BytesIO(source),
            name=name,
            # A coarser copy is several times faster to decode; from twice the size, the result
            # cannot be told from that of the whole picture.
            reduce_to=2 * recipe.size,
        )
        return _made(photograph, recipe)
    except DataError as error:
        return _why(error, name)
    except MemoryError:
        return SHORT_OF_MEMORY


def do_job(job: Job, recipe: Recipe) -> Square | Skip:
    """Make the square of a job; a function that can be sent to a worker process."""
    return make_square(job.source, job.name, recipe)


def _made(photograph: Photograph, recipe: Recipe) -> Square | Skip:
    short_side = min(photograph.size)
    if short_side < recipe.size:
        return Skip("too small", f"short side {short_side} pixels, {recipe.size} are needed")
    if photograph.frames > 1:
        return Skip("animated", f"{photograph.frames} frames or pages")
    square = _fitted(photograph, recipe)
    color = untold_color(square)
    if color < recipe.least_color:
        return Skip("grey or toned", f"colour {color:.2f}, {recipe.least_color:g} is the least")
    pixels = square.tobytes()
    digest = hashlib.blake2b(pixels, digest_size=16).digest()
    return Square(pixels=pixels, digest=digest, short_side=short_side)


def _fitted(photograph: Photograph, recipe: Recipe) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(photograph.rgb_u8))
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if recipe.fit == "crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
    return picture.resize((recipe.size, recipe.size), Image.Resampling.LANCZOS, box=box)


def _why(error: DataError, name: str) -> Skip:
    detail = str(error).removeprefix(f"{name}: ")
    cause = error.__cause__
    if isinstance(error, TooManyPixels):
        return Skip("too large", f"over {MOST_PIXELS / 1e6:g} megapixels; make a smaller copy")
    if cause is None or isinstance(cause, UnidentifiedImageError):
        return Skip("no picture", detail)
    if isinstance(cause, OSError):
        return Skip("unreadable", detail)
    if isinstance(cause.__cause__, MemoryError):
        return SHORT_OF_MEMORY
    return Skip("damaged", detail)
