"""How much each bin of colours weighs in classification: from a data set's own colours, kept.

They are the same for all trials on a data set at one size, so the counts behind them are kept in
the cache folder of the machine. A file is named by all that determines it; one that is damaged is
counted again. Any of them may be deleted at any time. Axis letters: q bins.
"""

import hashlib
import json
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from raycolor import bins
from raycolor.cache import cache_folder
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.color import rgb_to_unit
from raycolor.config import TrialConfig
from raycolor.crops import whole_pictures
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError
from raycolor.files import is_there
from raycolor.networks.answers import reduction
from raycolor.storage import StorageError

COUNTING = 1
"""Raised when colours are counted in another way, so that none of the kept counts is used."""
_AT_ONCE = 32
"""Pictures; of 64 pixels they take some 160 MB at full size."""


def bins_folder() -> Path:
    """Name the folder of this machine where counts are kept."""
    return cache_folder() / "bins"


def class_weights(
    prepared: PreparedData, config: TrialConfig, folder: Path | None = None
) -> Float[Tensor, " q"]:
    """Return the weights of all bins, on the CPU.

    Args:
        prepared: the data set; the training split counts.
        config: size of the pictures and of the map of bins; the rest has no influence.
        folder: where counts are kept; None keeps nothing.
    """
    return bins.rare_weights(color_counts(prepared, config, folder).float())


def color_counts(
    prepared: PreparedData, config: TrialConfig, folder: Path | None = None
) -> Int64[Tensor, " q"]:
    """Count the colours of the training split by their nearest bin.

    Every picture is taken whole, at the networks' size, and reduced as the truth of the
    classification is. What cannot be kept, as on a full disk, is counted all the same, with a
    warning.

    Args:
        prepared: the data set.
        config: size of the pictures and of the map of bins.
        folder: where counts are kept; None keeps nothing.
    """
    size, times = config.data.size, reduction(config)
    about = json.dumps([COUNTING, prepared.fingerprint, size, times, bins.GRID])
    name = hashlib.sha256(about.encode()).hexdigest()[:32]
    path = folder / f"{name}.safetensors" if folder else None
    if path is not None and is_there(path):
        try:
            tensors, told = load_tensors(path)
        except CheckpointError:
            pass  # damaged: replaced below
        else:
            if told["about"] == about:
                return tensors["counts"]
    counts = _count(prepared, config, times)
    if path is not None:
        try:
            save_tensors(path, {"counts": counts}, {"about": about})
        except StorageError as error:
            warnings.warn(f"{error}; until then colours are counted for every trial", stacklevel=2)
    return counts


def _count(prepared: PreparedData, config: TrialConfig, times: int) -> Int64[Tensor, " q"]:
    pictures = prepared.pictures("train")
    counts = torch.zeros(bins.NUM_BINS, dtype=torch.int64)
    for begin in range(0, len(pictures), _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, len(pictures)))
        _, ab_unit = rgb_to_unit(whole_pictures(pictures, config.data, numbers))
        # Picture by picture: a distance to each bin is held for each pixel.
        for one in F.avg_pool2d(ab_unit, times).split(1):
            nearest, _ = bins.nearest_bins(one)
            counts += torch.bincount(nearest.flatten(), minlength=bins.NUM_BINS)
    return counts
