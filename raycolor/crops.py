"""Crops of prepared pictures: random ones for training, fixed ones for evaluation.

A batch is a gather without decoding, from the memory map, or on a GPU whose memory holds the
pictures too. They are kept as uint8 sRGB: exact, a quarter of Lab in float32, and crops are resized
as pixels, so that Lab of a crop is not a crop of Lab. Axis letters: b batch, n pictures, s their
side, h height, w width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from raycolor.config import DataConfig
from raycolor.data import Pictures, PreparedData, SplitName
from raycolor.errors import DataError
from raycolor.squares import cut_squares, shrink

CROP_STEPS = 3
"""Random crops take one of this many sizes, from the smallest to the whole picture."""
SHARE_OF_MEMORY = 8
"""The pictures take at most one part in so many of the GPU memory that a process may have."""
COPIED_AT_ONCE = 256
"""Pictures that are copied to a device in one go."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Which squares of which pictures a training batch is made of; a value for each crop."""

    indices: np.ndarray
    """Of the pictures, from 0."""
    sides: np.ndarray
    """Of the squares, in stored pixels; each is one of `crop_sides`."""
    tops: np.ndarray
    """First row of the square."""
    lefts: np.ndarray
    """First column of the square."""
    mirrored: np.ndarray
    """Whether it is mirrored afterwards."""


def draw_crops(
    number: int, stored: int, config: DataConfig, *, seed: int, images_seen: int, batch_size: int
) -> Draws:
    """Draw the crops of the batch that comes after `images_seen` images.

    A pure function of its arguments, so that a resumed run repeats it. Each epoch goes through a
    permutation of its own, drawn from (seed, epoch).

    Args:
        number: of pictures.
        stored: their side in pixels.
        config: size and smallest side of the crops, and whether half of them are mirrored.
        seed: of the run.
        images_seen: before the batch.
        batch_size: how many crops.
    """
    positions = np.arange(images_seen, images_seen + batch_size)
    epochs = positions // number
    indices = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        indices[chosen] = _order(seed, int(epoch), number)[positions[chosen] % number]
    rng = np.random.default_rng([seed, 1, images_seen])
    sides = rng.choice(crop_sides(config, stored), size=batch_size)
    corner = np.floor(rng.random((batch_size, 2)) * (stored - sides[:, None] + 1)).astype(np.int64)
    mirrored = rng.random(batch_size) < 0.5
    return Draws(
        indices=indices,
        sides=sides,
        tops=corner[:, 0],
        lefts=corner[:, 1],
        mirrored=mirrored & config.flip,
    )


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, number: int) -> np.ndarray:
    """Draw an epoch's order of pictures; kept, since a permutation costs more than a small batch.

    Two epochs meet in a batch, and pretraining has a seed of its own.
    """
    order = np.random.default_rng([seed, 0, epoch]).permutation(number)
    order.flags.writeable = False
    return order


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ResidentPictures:
    """One split in a device's memory."""

    pixels: UInt8[Tensor, "n s s 3"]

    def __len__(self) -> int:
        return len(self.pixels)


def resident(pictures: Pictures, device: torch.device) -> ResidentPictures:
    """Copy a split to a device, some pictures at a time."""
    pixels = torch.empty(pictures.pixels.shape, dtype=torch.uint8, device=device)
    for begin in range(0, len(pictures), COPIED_AT_ONCE):
        # A copy, since torch takes no memory that cannot be written to.
        some = torch.from_numpy(pictures.pixels[begin : begin + COPIED_AT_ONCE].copy())
        pixels[begin : begin + COPIED_AT_ONCE] = some
    return ResidentPictures(pixels)


def nearest_to(device: torch.device, pictures: Pictures) -> Pictures | ResidentPictures:
    """Put a split where its batches are cut fastest; where that is changes none of their bits.

    Args:
        device: that trains. A GPU takes the pictures if they need no more than an eighth of this
            process's share of its memory, and of what is free of it; elsewhere they are in memory
            already.
        pictures: the split.
    """
    if device.type != "cuda" or not _fits(pictures, device):
        return pictures
    free, _ = torch.cuda.mem_get_info(device)
    fits = pictures.pixels.nbytes <= free // SHARE_OF_MEMORY
    return resident(pictures, device) if fits else pictures


def _fits(pictures: Pictures, device: torch.device) -> bool:
    """Tell whether a split is small beside a process's share of a GPU, whatever is free of it."""
    _, total = torch.cuda.mem_get_info(device)
    # By number: it takes no device without one, and None is the one that is used.
    share = torch.cuda.get_per_process_memory_fraction(device.index)
    return pictures.pixels.nbytes <= int(share * total) // SHARE_OF_MEMORY


class Residents:
    """Keeps the last split that a GPU took: the trials of a study train on the same pictures."""

    def __init__(self) -> None:
        self._key: tuple[str, SplitName, torch.device] | None = None
        self._last: ResidentPictures | None = None

    def of(
        self, prepared: PreparedData, split: SplitName, device: torch.device
    ) -> Pictures | ResidentPictures:
        """Put a split where its batches are cut fastest, as `nearest_to`; the last one is there.

        Args:
            prepared: the data set.
            split: of it.
            device: that trains.
        """
        pictures, key = prepared.pictures(split), (prepared.fingerprint, split, device)
        # This process may have a smaller share by now.
        if self._last is not None and key == self._key and _fits(pictures, device):
            return self._last
        # Never two of them on a GPU.
        self.forget()
        found = nearest_to(device, pictures)
        if isinstance(found, ResidentPictures):
            self._key, self._last = key, found
        return found

    def forget(self) -> None:
        """Leave the memory to others: a trial ran out of it."""
        self._key = self._last = None


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; a GPU takes it while this process goes on."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def training_batch(
    pictures: Pictures | ResidentPictures,
    config: DataConfig,
    *,
    seed: int,
    images_seen: int,
    batch_size: int,
) -> UInt8[Tensor, "b 3 h w"]:
    """Return the batch that comes after `images_seen` images: shuffled, cropped and mirrored.

    Returns:
        sRGB pixels, `config.size` high and wide, on the device where the pictures lie. A pixel's
        channels lie side by side (channels last), as they are stored: to take them apart costs
        more than all the rest.
    """
    stored = pictures.pixels.shape[1]
    draws = draw_crops(
        len(pictures), stored, config, seed=seed, images_seen=images_seen, batch_size=batch_size
    )
    if isinstance(pictures, ResidentPictures):
        return _cut_resident(pictures, draws, config.size)
    parts = []
    for side in np.unique(draws.sides):
        rows = np.flatnonzero(draws.sides == side)
        indices, tops, lefts = draws.indices[rows], draws.tops[rows], draws.lefts[rows]
        squares = _squares(pictures, indices, tops, lefts, int(side))
        parts.append((rows, _resize(squares, config.size)))
    if len(parts) == 1:
        ((_, rgb_u8),) = parts
    else:
        batch = np.empty((batch_size, config.size, config.size, 3), dtype=np.uint8)
        for rows, part in parts:
            batch[rows] = part.permute(0, 2, 3, 1).numpy()
        rgb_u8 = torch.from_numpy(batch).permute(0, 3, 1, 2)
    # One by one: to gather the mirrored ones and put them back takes five times as long.
    for row in np.flatnonzero(draws.mirrored):
        rgb_u8[row : row + 1] = rgb_u8[row : row + 1].flip(-1)
    return rgb_u8


def _cut_resident(pictures: ResidentPictures, draws: Draws, size: int) -> Tensor:
    """Cut a batch on the device where the pictures lie, which is told all of it at once."""
    order = np.argsort(draws.sides, kind="stable")
    told = np.stack([draws.indices, draws.tops, draws.lefts, draws.mirrored])[:, order]
    packed = torch.from_numpy(np.concatenate([told, np.argsort(order)[None]]))
    indices, tops, lefts, mirrored, places = sent(packed, pictures.pixels.device)
    parts = []
    for side in np.unique(draws.sides):
        begin, end = np.searchsorted(draws.sides[order], [side, side + 1]).tolist()
        of = slice(begin, end)
        squares = cut_squares(pictures.pixels, indices[of], tops[of], lefts[of], int(side))
        parts.append(shrink(squares, size))
    batch = torch.cat(parts)
    batch = torch.where(mirrored[:, None, None, None] == 1, batch.flip(2), batch)
    return batch.index_select(0, places).permute(0, 3, 1, 2)


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
    rgb_u8 = _resize(_squares(pictures, indices, tops, lefts, side), config.size)
    return rgb_u8.contiguous() if side == config.size else rgb_u8


def _squares(
    pictures: Pictures, indices: np.ndarray, tops: np.ndarray, lefts: np.ndarray, side: int
) -> np.ndarray:
    """Copy squares of one side, as they are stored: (b, side, side, 3)."""
    if side == pictures.pixels.shape[1]:
        squares = np.empty((len(indices), side, side, 3), dtype=np.uint8)
        # Clipping never comes into it; the default would make a second copy.
        np.take(pictures.pixels, indices, axis=0, out=squares, mode="clip")
        return squares
    return np.stack(
        [
            pictures.pixels[index, top : top + side, left : left + side]
            for index, top, left in zip(indices, tops, lefts, strict=True)
        ]
    )


def _resize(squares: np.ndarray, size: int) -> Tensor:
    """Resize squares with antialiasing; "b 3 h w", channels last."""
    rgb_u8 = torch.from_numpy(squares).permute(0, 3, 1, 2)
    if squares.shape[1] == size:
        return rgb_u8
    return F.interpolate(rgb_u8, size=(size, size), mode="bilinear", antialias=True)
