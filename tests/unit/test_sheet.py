"""Sheets of pictures are taken apart as they were laid out."""

import numpy as np
import pytest
import torch

from raycolor.pictures import comparison
from raycolor.sheet import columns_of


@pytest.mark.parametrize(("rows", "columns", "side"), [(1, 1, 1), (8, 3, 16), (5, 3, 1), (2, 4, 7)])
def test_columns_of_a_sheet_are_what_was_laid_out(rows: int, columns: int, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [
        torch.randint(0, 256, (rows, 3, side, side), generator=generator, dtype=torch.uint8)
        for _ in range(columns)
    ]
    for found, given in zip(columns_of(comparison(*pictures), columns), pictures, strict=True):
        assert np.array_equal(found, given.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("shape", [(11, 10, 3), (1, 1, 3), (16, 51, 3), (0, 0, 3)])
def test_another_picture_is_no_sheet(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="3 columns"):
        columns_of(np.zeros(shape, np.uint8), 3)
