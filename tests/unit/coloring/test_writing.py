"""Pictures are written whole, with what their format can keep."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from raycolor.coloring.writing import SUFFIXES, check_sides, usual_suffix, write_picture
from raycolor.errors import DataError
from raycolor.photographs.read import read_photograph

LOSSLESS = [".png", ".tif", ".tiff"]


def smooth(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 4, x * 4, 255 - y - x], axis=-1).astype(np.uint8)


def exif() -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Model] = "Box 2"
    block[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58"}
    return block.tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestAllFormats:
    def test_pixels(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / "deep" / f"some{suffix}"
        write_picture(path, smooth())
        back = read_photograph(path, name="back")
        assert back.format == SUFFIXES[suffix].upper()
        difference = np.abs(back.rgb_u8.astype(int) - smooth())
        assert difference.max() == 0 if suffix in LOSSLESS else difference.mean() < 2
        assert list(path.parent.iterdir()) == [path]

    def test_alpha(self, tmp_path: Path, suffix: str) -> None:
        alpha = np.tile(np.linspace(0, 255, 60).round().astype(np.uint8), (40, 1))
        path = tmp_path / f"some{suffix}"
        write_picture(path, smooth(), alpha_u8=alpha)
        back = read_photograph(path, name="back")
        if SUFFIXES[suffix] == "jpeg":
            assert back.alpha_u8 is None
        else:
            np.testing.assert_array_equal(back.alpha_u8, alpha)
        white = smooth() * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
        assert np.abs(back.rgb_u8 - white).mean() < 2

    def test_exif(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"some{suffix}"
        write_picture(path, smooth(), exif=exif())
        assert b"Box 2" in read_photograph(path, name="back").exif
        with Image.open(path) as opened:
            assert opened.getexif().get_ifd(ExifTags.IFD.Exif) == {
                ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58"
            }
            assert ExifTags.Base.Orientation not in opened.getexif()

    def test_full_disk_leaves_the_older_file(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / f"some{suffix}"
        path.write_bytes(b"older")

        def half(self: Image.Image, file: Path, **options: Any) -> None:
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", half)
        with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); make"):
            write_picture(path, smooth())
        assert path.read_bytes() == b"older"
        assert list(tmp_path.iterdir()) == [path]


def test_pictures_of_many_bands(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rgb_u8 = rng.integers(0, 256, (1200, 2000, 3), dtype=np.uint8)
    write_picture(tmp_path / "some.tif", rgb_u8, alpha_u8=rgb_u8[..., 0])
    with Image.open(tmp_path / "some.tif") as opened:
        np.testing.assert_array_equal(opened, np.dstack([rgb_u8, rgb_u8[..., 0]]))


def test_usual_endings() -> None:
    assert [usual_suffix(name) for name in ("png", "jpeg", "webp", "tiff")] == [
        ".png",
        ".jpg",
        ".webp",
        ".tif",
    ]


@pytest.mark.parametrize(
    ("name", "sides", "fits"),
    [
        ("a.webp", (1, 16_383), True),
        ("a.webp", (16_384, 1), False),
        ("a.jpg", (65_500, 1), True),
        ("a.jpg", (1, 65_501), False),
        ("a.png", (1, 1_000_000), True),
        ("a.tif", (1_000_000, 1), True),
    ],
)
def test_sides_that_a_format_holds(
    name: str, sides: tuple[int, int], fits: bool, tmp_path: Path
) -> None:
    if fits:
        check_sides(Path(name), *sides)
        if max(sides) < 1_000_000:
            write_picture(tmp_path / name, np.zeros((*sides, 3), np.uint8))
    else:
        with pytest.raises(DataError, match=rf"{name}: a \w+ file holds at most \d+ pixels a side"):
            check_sides(Path(name), *sides)
        # The limit is the library's own.
        with pytest.raises(DataError, match="cannot be written"):
            write_picture(tmp_path / name, np.zeros((*sides, 3), np.uint8))


def test_pixels_that_a_format_holds() -> None:
    check_sides(Path("a.tif"), 25_000, 40_000)
    with pytest.raises(
        DataError, match=r"a\.tif: a tiff file holds at most 1000000000 pixels, but"
    ):
        check_sides(Path("a.tif"), 25_001, 40_000)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DataError, match=r"cannot be written \(Not a directory\)"):
        write_picture(tmp_path / "file" / "deeper" / "some.png", smooth())
