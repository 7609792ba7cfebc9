"""Squares cut from pictures that lie on a device, and resized there.

The resizing is in integers, as torch's of uint8 pixels is on a CPU: which device cuts a crop
changes none of its bits. Axis letters: n pictures, s their side, b squares, p their side, k weights
of a pixel, t side of the result.
"""

from functools import lru_cache

import torch
from jaxtyping import Int, UInt8
from torch import Tensor


def cut_squares(
    pixels: UInt8[Tensor, "n s s 3"],
    indices: Int[Tensor, " b"],
    tops: Int[Tensor, " b"],
    lefts: Int[Tensor, " b"],
    side: int,
) -> UInt8[Tensor, "b p p 3"]:
    """Copy squares of one side, on the device where the pictures lie.

    Args:
        pixels: the pictures.
        indices: which picture each square is from.
        tops: its first row.
        lefts: its first column.
        side: of the squares, in pixels; none reaches beyond its picture.
    """
    along = torch.arange(side, device=pixels.device)
    rows, columns = tops[:, None] + along, lefts[:, None] + along
    return pixels[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def shrink(squares: UInt8[Tensor, "b p p 3"], size: int) -> UInt8[Tensor, "b t t 3"]:
    """Resize squares with antialiasing, bit for bit as `F.interpolate` does on a CPU.

    The triangle filter, widened by the ratio of the sides; weights are whole numbers of 16 bits,
    and each of the two passes, along rows first, rounds to 0-255. Source: torch's
    `_upsample_bilinear2d_aa` for uint8, which follows Pillow's resize.

    Args:
        squares: no smaller than the result.
        size: side of the result.
    """
    if squares.shape[1] == size:
        return squares
    seen, weights, precision = _filter_on(squares.device, squares.shape[1], size)
    half = 1 << (precision - 1)
    for axis in (2, 1):
        shape = [-1 if dimension == axis else 1 for dimension in range(4)]
        total = torch.full((), half, dtype=torch.int32, device=squares.device)
        for which, weight in zip(seen, weights, strict=True):
            part = squares.index_select(axis, which).to(torch.int32)
            total = total + part * weight.reshape(shape)
        squares = (total >> precision).clamp(0, 255).to(torch.uint8)
    return squares


@lru_cache(maxsize=16)
def _filter_on(
    device: torch.device, side: int, size: int
) -> tuple[Int[Tensor, "k t"], Int[Tensor, "k t"], int]:
    """Return the pixels that each one of the result sees, their weights, and how these shift.

    They stay on the device: sent anew with each batch they would cost more than the rest.
    """
    starts, weights, precision = _filter(side, size)
    weight = torch.tensor(weights, dtype=torch.int32).T.contiguous()
    # Beyond the edge there are weights of 0 alone.
    seen = (torch.tensor(starts) + torch.arange(len(weight))[:, None]).clamp(max=side - 1)
    return seen.to(device), weight.to(device), precision


def _filter(side: int, size: int) -> tuple[list[int], list[list[int]], int]:
    """Return, for each pixel of the result, the first one that it sees and whole weights.

    Returns:
        First pixels; as many weights for each, zeros behind the last; the number of bits that the
        weights are shifted by.
    """
    scale = side / size
    starts, rows = [], []
    for pixel in range(size):
        center = scale * (pixel + 0.5)
        first = max(int(center - scale + 0.5), 0)
        last = min(int(center + scale + 0.5), side)
        row = [max(0.0, 1.0 - abs((at - center + 0.5) / scale)) for at in range(first, last)]
        total = sum(row)
        starts.append(first)
        rows.append([weight / total for weight in row])
    largest = max(map(max, rows))
    precision = 0
    while precision < 22 and int(0.5 + largest * (1 << (precision + 1))) < 1 << 15:
        precision += 1
    length = max(map(len, rows))
    whole = [[int(w * (1 << precision) + 0.5) for w in row] for row in rows]
    return starts, [row + [0] * (length - len(row)) for row in whole], precision
