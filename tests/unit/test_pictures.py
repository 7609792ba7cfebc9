from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raycolor.photographs.read import read_photograph
from raycolor.pictures import comparison, save_png
from raycolor.sheet import GAP

Size = tuple[int, int]


def plain(levels: list[int], size: Size = (3, 5)) -> torch.Tensor:
    """Grey pictures, one a level."""
    pictures = torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return pictures.expand(-1, 3, *size)


def test_comparison_has_one_row_a_picture_and_one_column_a_set() -> None:
    sheet = comparison(plain([10, 20]), plain([30, 40]), plain([50, 60]))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * 3 + GAP, 3 * 5 + 2 * GAP, 3)
    for row, levels in enumerate(([10, 30, 50], [20, 40, 60])):
        for column, level in enumerate(levels):
            top, left = row * (3 + GAP), column * (5 + GAP)
            assert (sheet[top : top + 3, left : left + 5] == level).all()
    pixels = 6 * 3 * 5 * 3
    assert (sheet == 255).sum() == sheet.size - pixels


def test_comparison_keeps_channels_and_orientation() -> None:
    rgb_u8 = torch.arange(3 * 2 * 4, dtype=torch.uint8).reshape(1, 3, 2, 4)
    np.testing.assert_array_equal(comparison(rgb_u8), rgb_u8[0].permute(1, 2, 0).numpy())


def test_png_keeps_every_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    save_png(tmp_path / "some.png", pixels)
    np.testing.assert_array_equal(
        read_photograph(tmp_path / "some.png", name="some").rgb_u8, pixels
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "some.png"]


def test_failing_write_leaves_the_older_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = np.zeros((2, 2, 3), np.uint8)
    save_png(tmp_path / "some.png", old)

    def half(self: Image.Image, path: Path, format: str) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space"):
        save_png(tmp_path / "some.png", old + 1)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_photograph(tmp_path / "some.png", name="some").rgb_u8, old)
    assert list(tmp_path.iterdir()) == [tmp_path / "some.png"]
