"""The layout of a sheet of pictures: one row a photograph, columns of equal squares, on white.

`raycolor.pictures` lays sheets out with torch; this module takes them apart without it.
"""

import numpy as np

GAP = 2
"""Pixels between two pictures."""


def columns_of(sheet: np.ndarray, number: int) -> list[np.ndarray]:
    """Take a sheet apart.

    Args:
        sheet: uint8, (height, width, 3).
        number: its columns.

    Returns:
        For each column its pictures from top to bottom, uint8, (rows, side, side, 3).

    Raises:
        ValueError: the sheet is not laid out in so many columns of squares.
    """
    height, width, _ = sheet.shape
    side = (width - (number - 1) * GAP) // number
    rows = (height + GAP) // (side + GAP) if side > 0 else 0
    if rows < 1 or ((height, width) != (rows * (side + GAP) - GAP, number * (side + GAP) - GAP)):
        raise ValueError(f"{width} x {height} pixels are no {number} columns of squares")
    steps = [
        [slice(place * (side + GAP), place * (side + GAP) + side) for place in range(count)]
        for count in (rows, number)
    ]
    return [np.stack([sheet[row, column] for row in steps[0]]) for column in steps[1]]
