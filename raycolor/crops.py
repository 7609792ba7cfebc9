"""Crops of prepared pictures: random ones for training, fixed ones for evaluation.

A batch is a gather from the memory map without decoding. Axis letters: b batch, h height, w width.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from raycolor.config import DataConfig
from raycolor.data import Pictures, PreparedData
from raycolor.errors import DataError

CROP_STEPS = 3
"""Random crops take one of this many sizes, from the smallest to the whole picture."""


def check_size(config: DataConfig, data: PreparedData) -> None:
    """Refuse crops that are larger than the stored pictures.

    Raises:
        DataError: with the sizes that fit.
    """
    if config.size > data.size:
        raise DataError(
            f"data.size: {config.size} is larger than the pictures of {data.path} "
            f"({data.size} pixels); take at most {data.size}"
        )


def crop_sides(config: DataConfig, stored: int) -> tuple[int, ...]:
    """Sides of random crops in stored pixels, ascending; the largest is the whole picture.

    They are evenly spaced on a logarithmic scale, since what matters is the ratio of scales.
    """
    smallest = max(config.size, math.ceil(config.smallest_crop * stored))
    if smallest >= stored:
        return (stored,)
    ratio = (stored / smallest) ** (1 / (CROP_STEPS - 1))
    return tuple(sorted({round(smallest * ratio**step) for step in range(CROP_STEPS)}))


def training_batch(
    pictures: Pictures, config: DataConfig, *, seed: int, images_seen: int, batch_size: int
) -> UInt8[Tensor, "b 3 h w"]:
    """Return the batch that comes after `images_seen` images: shuffled, cropped and flipped.

    A pure function of its arguments, so that a resumed run repeats it. Each epoch goes through a
    permutation of its own, drawn from (seed, epoch).

    Returns:
        sRGB pixels on the CPU, `config.size` high and wide.
    """
    number = len(pictures)
    positions = np.arange(images_seen, images_seen + batch_size)
    epochs = positions // number
    indices = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(epochs):
        order = np.random.default_rng([seed, 0, int(epoch)]).permutation(number)
        chosen = epochs == epoch
        indices[chosen] = order[positions[chosen] % number]
    rng = np.random.default_rng([seed, 1, images_seen])
    stored = pictures.pixels.shape[1]
    sides = crop_sides(config, stored)
    side = rng.choice(sides, size=batch_size)
    corner = rng.random((batch_size, 2))
    flip = rng.random(batch_size) < 0.5
    batch = torch.empty((batch_size, 3, config.size, config.size), dtype=torch.uint8)
    for current in sides:
        rows = np.flatnonzero(side == current)
        if not len(rows):
            continue
        tops, lefts = np.floor(corner[rows] * (stored - current + 1)).astype(int).T
        batch[torch.from_numpy(rows)] = _cut(pictures, indices[rows], tops, lefts, current, config)
    if config.flip:
        mirrored = torch.from_numpy(np.flatnonzero(flip))
        batch[mirrored] = batch[mirrored].flip(-1)
    return batch


def fixed_crops(
    pictures: Pictures, config: DataConfig, *, number: int
) -> tuple[UInt8[Tensor, "b 3 h w"], tuple[str, ...]]:
    """Return the same crops at every call: for evaluation.

    The list goes through all pictures whole, then round and round through smaller crops at fixed
    places that differ from picture to picture and from round to round. With fewer crops than
    pictures, they are spread evenly over the pictures; where pictures are stored at the networks'
    size, there is nothing but the whole pictures.

    Args:
        pictures: the split.
        config: the networks' size and the smallest crop.
        number: how many crops.

    Returns:
        sRGB pixels on the CPU, and the name of the picture behind each; at most `number`.
    """
    stored, count = pictures.pixels.shape[1], len(pictures)
    smaller = crop_sides(config, stored)[-2::-1]
    if number <= count:
        chosen = [(int(index), stored) for index in np.linspace(0, count - 1, number).round()]
    elif not smaller:
        chosen = [(index, stored) for index in range(count)]
    else:
        rounds = -(-number // count)
        sides = [stored, *(smaller[i % len(smaller)] for i in range(rounds - 1))]
        chosen = [(index, side) for side in sides for index in range(count)][:number]
    crops = []
    for place, (index, side) in enumerate(chosen):
        # Steps by the plastic number's powers cover a square evenly (Roberts' R2 sequence).
        top = int(place * 0.7548777 % 1.0 * (stored - side + 1))
        left = int(place * 0.5698403 % 1.0 * (stored - side + 1))
        crops.append(
            _cut(pictures, np.array([index]), np.array([top]), np.array([left]), side, config)
        )
    return torch.cat(crops), tuple(pictures.sources[index] for index, _ in chosen)


def whole_pictures(
    pictures: Pictures, config: DataConfig, numbers: Sequence[int]
) -> UInt8[Tensor, "b 3 h w"]:
    """Return some pictures whole, at the networks' size.

    Args:
        pictures: the split.
        config: the networks' size.
        numbers: which pictures, from 0.

    Returns:
        sRGB pixels on the CPU.
    """
    corner = np.zeros(len(numbers), dtype=np.int64)
    side = pictures.pixels.shape[1]
    return _cut(pictures, np.asarray(numbers), corner, corner, side, config)


def _cut(
    pictures: Pictures,
    indices: np.ndarray,
    tops: np.ndarray,
    lefts: np.ndarray,
    side: int,
    config: DataConfig,
) -> Tensor:
    """Cut squares of one side and resize them, with antialiasing, to `config.size`."""
    cut = np.stack(
        [
            pictures.pixels[index, top : top + side, left : left + side]
            for index, top, left in zip(indices, tops, lefts, strict=True)
        ]
    )
    rgb_u8 = torch.from_numpy(cut).permute(0, 3, 1, 2)
    if side == config.size:
        return rgb_u8.contiguous()
    return F.interpolate(rgb_u8, size=(config.size, config.size), mode="bilinear", antialias=True)
