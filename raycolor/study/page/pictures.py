"""Pictures of trials as they stand in the page: data URIs of strips.

A trial keeps a sheet of its best generator: a photograph a row; grey, predicted, truth from left to
right. A page lays one column of it out as a strip, so that the trials' strips can be compared from
top to bottom.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from raycolor.plan import Plan
from raycolor.sheet import columns_of
from raycolor.study.naming import trial_name
from raycolor.study.state import TrialState

LARGEST = 128
"""Side in pixels of a picture in a strip, at most: a page of many trials must stay mailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """The sheet of one trial, a strip a column, each a data URI."""

    grey: str
    predicted: str
    truth: str
    number: int
    """Pictures in each."""
    images_seen: int
    """Training images of the generator that coloured them."""


def strips(trial: TrialState, plan: Plan) -> Strips | None:
    """Read the pictures of a trial's best generator.

    Returns:
        Its strips, or None if the sheet is not there, or not whole, as while it is written.
    """
    images = trial.best_images(plan.objective)
    if images is None:
        return None
    name = trial_name(trial.number, trial.chosen)
    try:
        path = plan.files.fetch(f"checkpoints/{name}/best_{images}.png")
        with Image.open(path) as opened:
            columns = columns_of(np.asarray(opened.convert("RGB")), 3)
    except (OSError, ValueError):
        return None
    grey, predicted, truth = (_uri(np.concatenate(list(column), axis=1)) for column in columns)
    return Strips(
        grey=grey, predicted=predicted, truth=truth, number=len(columns[0]), images_seen=images
    )


def _uri(pixels: np.ndarray) -> str:
    strip = Image.fromarray(pixels)
    side = strip.height
    if side > LARGEST:
        size = (strip.width // side * LARGEST, LARGEST)
        strip = strip.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Lossless: lossy WebP and JPEG halve the resolution of colour, which is what is looked at.
    strip.save(buffer, format="WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
