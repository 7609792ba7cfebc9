from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raycolor.errors import DataError
from raycolor.pictures import GAP, comparison, load_rgb, save_png

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
    np.testing.assert_array_equal(load_rgb(tmp_path / "some.png"), pixels)
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
    np.testing.assert_array_equal(load_rgb(tmp_path / "some.png"), old)
    assert list(tmp_path.iterdir()) == [tmp_path / "some.png"]


class TestLoadRgb:
    def test_sixteen_bit_gray_is_scaled(self, tmp_path: Path) -> None:
        levels = np.array([[0, 0x0100, 0x7FFF, 0xFFFF]], dtype=np.uint16)
        Image.fromarray(levels).save(tmp_path / "deep.png")
        loaded = load_rgb(tmp_path / "deep.png")
        np.testing.assert_array_equal(loaded, np.repeat([[[0], [1], [127], [255]]], 3, axis=2))

    def test_transparent_pixels_are_white(self, tmp_path: Path) -> None:
        rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0]]], dtype=np.uint8)
        Image.fromarray(rgba).save(tmp_path / "clear.png")
        assert load_rgb(tmp_path / "clear.png").tolist() == [[[200, 0, 0], [255, 255, 255]]]

    def test_turned_photograph_is_upright(self, tmp_path: Path) -> None:
        pixels = np.zeros((2, 3, 3), np.uint8)
        pixels[0, 0] = 255
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright: turn it clockwise
        Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
        loaded = load_rgb(tmp_path / "turned.png")
        assert loaded.shape == (3, 2, 3)
        assert loaded[0, 1].tolist() == [255, 255, 255]

    @pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA"])
    def test_every_mode_becomes_rgb(self, tmp_path: Path, mode: str) -> None:
        name = "some.tif" if mode == "CMYK" else "some.png"
        Image.new("RGB", (4, 3), "white").convert(mode).save(tmp_path / name)
        loaded = load_rgb(tmp_path / name)
        assert loaded.shape == (3, 4, 3)
        assert (loaded == 255).all()

    def test_missing_photograph_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"absent\.jpg: there is no such photograph"):
            load_rgb(tmp_path / "absent.jpg")

    def test_text_is_no_picture(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("no picture")
        with pytest.raises(DataError, match=r"notes\.txt: no picture that can be read"):
            load_rgb(tmp_path / "notes.txt")

    def test_cut_picture_is_refused(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        save_png(tmp_path / "cut.png", noise)
        contents = (tmp_path / "cut.png").read_bytes()
        (tmp_path / "cut.png").write_bytes(contents[: len(contents) // 2])
        with pytest.raises(DataError, match=r"cut\.png: no picture that can be read"):
            load_rgb(tmp_path / "cut.png")
