"""Photographs stand upright, and what their EXIF block says stays true."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.unit.photographs.encoding import noise, reread, smooth

TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""What makes pixels upright, by orientation tag."""


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
    def test_all_eight(self, orientation: int, format: str) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options = {"lossless": True} if format == "WEBP" else {}
        photograph = reread(Image.fromarray(noise()), format, exif=exif, **options)
        np.testing.assert_array_equal(photograph.rgb_u8, TURNS[orientation](noise()))

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_deep_gray_and_alpha_turn_too(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        levels = noise()[..., 0].astype(np.uint16) * 250
        photograph = reread(Image.fromarray(levels), exif=exif)
        np.testing.assert_array_equal(photograph.gray_u16, TURNS[orientation](levels))
        alpha = noise()[..., 0]
        rgba = Image.fromarray(np.dstack([noise(), alpha]))
        photograph = reread(rgba, exif=exif)
        np.testing.assert_array_equal(photograph.alpha_u8, TURNS[orientation](alpha))

    def test_jpeg(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        photograph = reread(Image.fromarray(smooth(40, 64)), "JPEG", exif=exif, quality=95)
        assert photograph.rgb_u8.shape == (64, 40, 3)
        difference = photograph.rgb_u8.astype(int) - np.rot90(smooth(40, 64), -1)
        assert np.abs(difference).mean() < 4

    def test_broken_exif_does_not_lose_the_picture(self) -> None:
        broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(200))
        photograph = reread(Image.fromarray(noise()), exif=broken)
        np.testing.assert_array_equal(photograph.rgb_u8, noise())
        assert photograph.exif == b""

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_impossible_orientation_is_none(self, value: object) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        np.testing.assert_array_equal(reread(Image.fromarray(noise()), exif=exif).rgb_u8, noise())


class TestExif:
    def full(self) -> Image.Exif:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        exif[ExifTags.Base.Model] = "Box 2"
        exif[ExifTags.Base.DateTime] = "1999:12:31 23:59:59"
        exif[ExifTags.IFD.Exif] = {
            ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58",
            ExifTags.Base.MakerNote: b"offsets",
            ExifTags.Base.ColorSpace: 65535,
            ExifTags.Base.ExifImageWidth: 31,
        }
        exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
        written = Image.Exif()
        written.load(exif.tobytes())
        return written

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_keeps_what_stays_true(self, format: str) -> None:
        photograph = reread(Image.fromarray(noise()), format, exif=self.full())
        kept = Image.Exif()
        kept.load(photograph.exif)
        assert {tag: kept[tag] for tag in kept if tag not in (0x8769, 0x8825)} == {
            ExifTags.Base.Model: "Box 2",
            ExifTags.Base.DateTime: "1999:12:31 23:59:59",
        }
        assert kept.get_ifd(ExifTags.IFD.Exif) == {
            ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58"
        }
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}

    def test_what_is_too_long_for_a_jpeg_is_left_out(self) -> None:
        exif = self.full()
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: b"x" * 70_000}
        photograph = reread(Image.fromarray(noise()), exif=exif)
        assert b"Box 2" in photograph.exif
        assert len(photograph.exif) < 1000
