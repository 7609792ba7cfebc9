"""Any photograph becomes upright sRGB pixels, or a DataError that says why not."""

import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, features
from skimage.color import lab2rgb

from raycolor.errors import DataError
from raycolor.photographs.read import Photograph, TooManyPixels, read_photograph
from tests import icc

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


AVIF = ["AVIF"] if features.check("avif") else []
"""Not every build of Pillow has it."""

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


def noise(height: int = 24, width: int = 31) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) % 256], -1).astype(np.uint8)


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def read(contents: bytes, **options: Any) -> Photograph:
    return read_photograph(io.BytesIO(contents), name="old.jpg", **options)


def reread(
    picture: Image.Image, format: str = "PNG", *, over_white: bool = True, **options: Any
) -> Photograph:
    return read(encoded(picture, format, **options), on_white=over_white)


def plain(color: Any, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (8, 8), color)


def color_of(photograph: Photograph) -> list[int]:
    """The colour of a picture of one colour."""
    colors = np.unique(photograph.rgb_u8.reshape(-1, 3), axis=0)
    assert len(colors) == 1
    return [int(level) for level in colors[0]]


class TestModes:
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "TGA", "WEBP", "JPEG2000"])
    def test_lossless_formats_keep_every_pixel(self, format: str) -> None:
        options = {"lossless": True} if format == "WEBP" else {}
        photograph = reread(Image.fromarray(noise()), format, **options)
        np.testing.assert_array_equal(photograph.rgb_u8, noise())
        assert photograph.alpha_u8 is None
        assert photograph.gray_u16 is None
        assert (photograph.frames, photograph.format, photograph.size) == (1, format, (31, 24))
        assert photograph.profile == "none"
        assert photograph.exif == b""

    @pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "PA", "CMYK", "YCbCr"])
    def test_every_mode_of_white_is_white(self, mode: str) -> None:
        white = (
            plain("white").convert(mode)
            if mode != "PA"
            else plain("white").convert("P").convert("PA")
        )
        photograph = reread(white, "TIFF")
        assert photograph.rgb_u8.shape == (8, 8, 3)
        assert color_of(photograph) == [255, 255, 255]
        assert photograph.alpha_u8 is None

    def test_lab(self) -> None:
        photograph = reread(plain((255, 0, 0)).convert("LAB"), "TIFF")
        np.testing.assert_allclose(color_of(photograph), [255, 0, 0], atol=6)

    @pytest.mark.parametrize("mode", ["L", "LA", "1"])
    def test_gray_has_equal_channels(self, mode: str) -> None:
        picture = Image.fromarray(noise()).convert(mode)
        photograph = reread(picture)
        expected = np.asarray(picture.convert("L"))
        np.testing.assert_array_equal(photograph.rgb_u8, np.repeat(expected[..., None], 3, axis=2))

    def test_picture_of_many_bands_equals_the_file(self) -> None:
        pixels = noise(700, 2000)
        rgba = np.dstack([pixels, pixels[..., 0]])
        photograph = reread(Image.fromarray(rgba), over_white=False, compress_level=1)
        np.testing.assert_array_equal(photograph.rgb_u8, pixels)
        np.testing.assert_array_equal(photograph.alpha_u8, pixels[..., 0])


class TestTransparency:
    RGBA = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
    def test_lies_over_white_and_is_told(self, format: str) -> None:
        options = {"lossless": True} if format == "WEBP" else {}
        photograph = reread(Image.fromarray(self.RGBA), format, **options)
        # 51 of 255 is a fifth: 255 - (255 - 200) / 5 and 255 - 255 / 5.
        assert photograph.rgb_u8.tolist() == [[[200, 0, 0], [255, 255, 255], [244, 204, 204]]]
        assert photograph.alpha_u8 is not None
        assert photograph.alpha_u8.tolist() == [[255, 0, 51]]

    def test_colors_may_stay_as_they_are(self) -> None:
        photograph = reread(Image.fromarray(self.RGBA), over_white=False)
        np.testing.assert_array_equal(photograph.rgb_u8, self.RGBA[..., :3])

    def test_gray_with_alpha(self) -> None:
        levels = np.array([[[10, 255], [10, 0]]], np.uint8)
        photograph = reread(Image.fromarray(levels))
        assert photograph.rgb_u8.tolist() == [[[10] * 3, [255] * 3]]

    @pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
    def test_transparent_palette_entry(self, transparency: int | bytes) -> None:
        picture = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
        picture.putpalette([9, 9, 9, 200, 100, 0])
        photograph = reread(picture, transparency=transparency)
        assert photograph.rgb_u8.tolist() == [[[255] * 3, [200, 100, 0]]]
        assert photograph.alpha_u8 is not None
        assert photograph.alpha_u8.tolist() == [[0, 255]]

    def test_transparent_color_of_a_picture_without_alpha(self) -> None:
        pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
        photograph = reread(Image.fromarray(pixels), transparency=(1, 2, 3))
        assert photograph.rgb_u8.tolist() == [[[255] * 3, [4, 5, 6]]]

    def test_transparent_level_of_deep_gray(self) -> None:
        levels = np.array([[1000, 1001]], np.uint16)
        photograph = reread(Image.fromarray(levels), transparency=1000)
        assert photograph.gray_u16 is not None
        assert photograph.gray_u16.tolist() == [[65535, 1001]]
        assert photograph.alpha_u8 is not None
        assert photograph.alpha_u8.tolist() == [[0, 255]]


class TestDeepGray:
    RAMP = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)

    def check(self, photograph: Photograph, atol: int = 0) -> None:
        assert photograph.gray_u16 is not None
        np.testing.assert_allclose(
            photograph.gray_u16.astype(int), self.RAMP.astype(int), atol=atol
        )
        rounded = (photograph.gray_u16.astype(int) + 128) // 257
        np.testing.assert_array_equal(photograph.rgb_u8, np.repeat(rounded[..., None], 3, axis=2))

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG2000", "PPM"])
    def test_ramp_keeps_its_tones(self, format: str) -> None:
        self.check(reread(Image.fromarray(self.RAMP), format))

    def test_big_endian(self) -> None:
        picture = Image.frombytes("I;16B", (64, 64), self.RAMP.astype(">u2").tobytes())
        self.check(reread(picture, "TIFF"))

    def test_whole_numbers_of_32_bits(self) -> None:
        self.check(reread(Image.fromarray(self.RAMP.astype(np.int32)), "TIFF"))
        wide = self.RAMP.astype(np.int64) * 65537 // 2
        self.check(reread(Image.fromarray(wide.astype(np.int32)), "TIFF"), atol=1)

    @pytest.mark.parametrize("white", [1, 255, 65535])
    def test_floating_numbers(self, white: int) -> None:
        numbers = (self.RAMP / 65520 * white).astype(np.float32)
        expected = np.rint(self.RAMP / 65520 * 65535)
        photograph = reread(Image.fromarray(numbers), "TIFF")
        assert photograph.gray_u16 is not None
        np.testing.assert_allclose(photograph.gray_u16, expected, atol=1)

    def test_what_is_no_number_is_black(self) -> None:
        numbers = np.array([[np.nan, 0.5, 1.0]], np.float32)
        assert reread(Image.fromarray(numbers), "TIFF").rgb_u8[0, :, 0].tolist() == [0, 128, 255]

    @pytest.mark.parametrize(
        ("numbers", "text"),
        [
            ([[0.0, 1e6]], r"from 0 to 1e\+06, but black is 0 and white is 1 or 255 or 65535"),
            ([[-0.5, 1.0]], "from -0.5 to 1"),
            ([[0.0, np.inf]], "to inf"),
        ],
    )
    def test_numbers_that_are_no_tones_are_refused(self, numbers: Any, text: str) -> None:
        with pytest.raises(DataError, match=text):
            reread(Image.fromarray(np.array(numbers, np.float32)), "TIFF")

    def test_white_at_zero(self) -> None:
        picture = Image.fromarray(self.RAMP)
        photograph = reread(picture, "TIFF")
        contents = bytearray(encoded(picture, "TIFF"))
        # Pillow writes tag 262 itself: entry of type 3 (short), one value, black at zero.
        place = contents.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00")
        contents[place + 8] = 0
        inverted = read(bytes(contents)).gray_u16
        assert inverted is not None
        assert photograph.gray_u16 is not None
        np.testing.assert_array_equal(inverted, 65535 - photograph.gray_u16)

    def test_color_of_16_bits_comes_with_8(self) -> None:
        # A PNG of one pixel, written by hand: Pillow writes no such files.
        def chunk(kind: bytes, data: bytes) -> bytes:
            return (
                struct.pack(">I", len(data))
                + kind
                + data
                + struct.pack(">I", zlib.crc32(kind + data))
            )

        pixel = struct.pack(">B3H", 0, 0x1234, 0x80FF, 0xFFFF)
        contents = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0))
        contents += chunk(b"IDAT", zlib.compress(pixel)) + chunk(b"IEND", b"")
        photograph = read(contents)
        assert photograph.rgb_u8.tolist() == [[[0x12, 0x80, 0xFF]]]
        assert photograph.gray_u16 is None


class TestProfiles:
    # sRGB's primaries in the coordinates of the wider spaces, as published for both.
    @pytest.mark.parametrize(
        ("profile", "stored", "expected"),
        [
            (icc.rgb_profile(icc.DISPLAY_P3), (234, 51, 35), (255, 0, 0)),
            (icc.rgb_profile(icc.DISPLAY_P3), (117, 251, 76), (0, 255, 0)),
            (icc.rgb_profile(icc.DISPLAY_P3), (0, 0, 245), (0, 0, 255)),
            (icc.rgb_profile(icc.DISPLAY_P3), (128, 128, 128), (128, 128, 128)),
            (icc.rgb_profile(icc.DISPLAY_P3), (0, 255, 0), (0, 255, 0)),  # beyond sRGB
            (icc.rgb_profile(icc.ADOBE_RGB, gamma=2.2), (219, 0, 0), (255, 0, 0)),
            (icc.rgb_profile(icc.ADOBE_RGB, gamma=2.2), (144, 255, 60), (0, 255, 0)),
            (icc.rgb_profile(icc.ADOBE_RGB, gamma=2.2), (0, 0, 250), (0, 0, 255)),
            (icc.rgb_profile(icc.ADOBE_RGB, gamma=2.2), (128, 128, 128), (128, 128, 128)),
        ],
    )
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
    def test_golden_colors(
        self, profile: bytes, stored: tuple[int, ...], expected: tuple[int, ...], mode: str
    ) -> None:
        photograph = reread(
            plain(stored).convert(mode, palette=Image.Palette.ADAPTIVE), icc_profile=profile
        )
        assert photograph.profile == "applied"
        # Published values are whole numbers; one step of a dark channel is several of sRGB's.
        assert np.abs(np.subtract(color_of(photograph), expected)).max() <= 12
        bright = np.array(expected) > 100
        assert np.abs(np.subtract(color_of(photograph), expected))[bright].max() <= 1

    def test_alpha_is_no_color(self) -> None:
        photograph = reread(
            plain((0, 0, 250, 77), "RGBA"),
            icc_profile=icc.rgb_profile(icc.ADOBE_RGB, gamma=2.2),
            over_white=False,
        )
        assert photograph.alpha_u8 is not None
        assert (photograph.alpha_u8 == 77).all()

    def test_srgb_changes_no_pixel(self) -> None:
        photograph = reread(Image.fromarray(noise()), icc_profile=SRGB)
        np.testing.assert_array_equal(photograph.rgb_u8, noise())
        assert photograph.profile == "applied"

    @pytest.mark.parametrize("mode", ["L", "LA", "1"])
    def test_gray_with_a_gamma(self, mode: str) -> None:
        linear = icc.gray_profile(gamma=1.0)
        picture = plain(55, "L").convert(mode) if mode != "1" else plain(255, "L").convert("1")
        photograph = reread(picture, icc_profile=linear)
        # Linear 55 / 255 = 0.2157 is sRGB 0.5018: 128.
        assert color_of(photograph) == ([128] * 3 if mode != "1" else [255] * 3)
        assert photograph.profile == "applied"

    def test_deep_gray_with_a_gamma(self) -> None:
        levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        photograph = reread(Image.fromarray(levels), icc_profile=icc.gray_profile(gamma=1.0))
        assert photograph.gray_u16 is not None
        linear = np.arange(65536) / 65535
        expected = np.where(
            linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
        )
        np.testing.assert_allclose(photograph.gray_u16.reshape(-1) / 65535, expected, atol=2e-4)

    @pytest.mark.parametrize("deep", [False, True])
    def test_gray_with_a_profile_of_colors(self, deep: bool) -> None:
        levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
        picture = (
            Image.fromarray(levels * 257) if deep else Image.fromarray(levels.astype(np.uint8))
        )
        same = reread(picture, icc_profile=SRGB)
        np.testing.assert_array_equal(same.rgb_u8, np.repeat(levels[..., None], 3, axis=2))
        lighter = reread(picture, icc_profile=icc.rgb_profile(icc.ADOBE_RGB, gamma=1.8))
        linear = (levels / 255) ** 1.8
        expected = np.where(
            linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
        )
        assert np.ptp(lighter.rgb_u8, axis=2).max() == 0
        np.testing.assert_allclose(lighter.rgb_u8[..., 0], expected * 255, atol=1)
        assert lighter.profile == "applied"

    def test_four_inks(self) -> None:
        lab = (60.0, -25.0, -35.0)
        profile = icc.ink_profile(lab)
        expected = np.rint(lab2rgb(np.array(lab)) * 255)
        for inks, color in (
            ((255, 0, 0, 0), expected),
            ((0, 0, 0, 0), [255] * 3),
            ((0, 0, 0, 255), [0] * 3),
        ):
            for format in ("TIFF", "JPEG"):
                photograph = reread(plain(inks, "CMYK"), format, icc_profile=profile)
                assert photograph.profile == "applied"
                np.testing.assert_allclose(color_of(photograph), color, atol=3)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "I;16", "1"])
    @pytest.mark.parametrize(
        "profile",
        [b"no profile", SRGB[:200], SRGB[:-400], b"\0" * 500, icc.ink_profile((50, 0, 0))[:300]],
    )
    def test_broken_profile_does_not_lose_the_picture(self, mode: str, profile: bytes) -> None:
        grays = noise()[..., :1].repeat(3, axis=2)
        source = Image.fromarray(grays)
        picture = (
            Image.fromarray(grays[..., 0].astype(np.uint16) * 257)
            if mode == "I;16"
            else source.convert(mode)
        )
        photograph = reread(picture, "TIFF", icc_profile=profile)
        assert photograph.profile == "unusable"
        np.testing.assert_array_equal(photograph.rgb_u8, reread(picture, "TIFF").rgb_u8)

    @pytest.mark.parametrize(
        ("mode", "profile"),
        [
            ("RGB", icc.gray_profile(gamma=1.0)),
            ("RGB", icc.ink_profile((50, 0, 0))),
            ("CMYK", SRGB),
            ("L", icc.ink_profile((50, 0, 0))),
        ],
    )
    def test_profile_for_other_pixels_is_told_and_not_used(self, mode: str, profile: bytes) -> None:
        picture = Image.fromarray(noise()).convert(mode)
        photograph = reread(picture, "TIFF", icc_profile=profile)
        assert photograph.profile == "unusable"
        np.testing.assert_array_equal(photograph.rgb_u8, reread(picture, "TIFF").rgb_u8)


class TestInks:
    """CMYK JPEGs are stored inverted where Adobe's marker is, and may hold YCCK."""

    INKS = (200, 30, 90, 20)
    EXPECTED = tuple(round((255 - ink) * (255 - 20) / 255) for ink in INKS[:3])

    def jpeg(self) -> bytes:
        return encoded(plain(self.INKS, "CMYK"), "JPEG", quality=100, subsampling=0)

    def test_adobes(self) -> None:
        photograph = read(self.jpeg())
        np.testing.assert_allclose(color_of(photograph), self.EXPECTED, atol=2)

    def test_without_adobes_marker_nothing_is_inverted(self) -> None:
        contents = self.jpeg()
        marker = contents.index(b"\xff\xee\x00\x0eAdobe")
        stripped = contents[:marker] + contents[marker + 16 :]
        photograph = read(stripped)
        inverted = [255 - ink for ink in self.INKS]
        expected = [(255 - ink) * (255 - inverted[3]) / 255 for ink in inverted[:3]]
        np.testing.assert_allclose(color_of(photograph), expected, atol=2)

    def test_ycck(self) -> None:
        contents = bytearray(self.jpeg())
        marker = contents.index(b"\x00\x0eAdobe")
        assert contents[marker + 13] == 0
        contents[marker + 13] = 2  # the transform: the first three planes are Y, Cb and Cr
        # The planes hold 255 - ink, and are now taken as Y, Cb, Cr and K. From them libjpeg makes
        # 255 - R, 255 - G, 255 - B and K; Adobe's inversion turns these into the inks.
        luma, blue, red = (255 - ink for ink in self.INKS[:3])
        inks = np.array(
            [
                luma + 1.402 * (red - 128),
                luma - 0.344136 * (blue - 128) - 0.714136 * (red - 128),
                luma + 1.772 * (blue - 128),
            ]
        ).clip(0, 255)
        expected = (255 - inks) * (255 - self.INKS[3]) / 255
        np.testing.assert_allclose(color_of(read(bytes(contents))), expected, atol=2)


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


class TestFrames:
    @pytest.mark.parametrize("format", [*("GIF", "PNG", "WEBP", "TIFF"), *AVIF])
    def test_first_of_several(self, format: str) -> None:
        options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
        red, blue = plain("red"), plain("blue")
        photograph = reread(red, format, save_all=True, append_images=[blue, red], **options)
        assert photograph.frames == 3
        np.testing.assert_allclose(color_of(photograph), [255, 0, 0], atol=3)

    def test_preview_is_no_frame(self) -> None:
        photograph = reread(plain("red"), "MPO", save_all=True, append_images=[plain("blue")])
        assert photograph.format == "MPO"
        assert photograph.frames == 1

    def test_damaged_later_frame_does_not_lose_the_first(self) -> None:
        contents = encoded(
            Image.fromarray(noise()), "GIF", save_all=True, append_images=[plain("blue")]
        )
        first = encoded(Image.fromarray(noise()), "GIF")
        photograph = read(contents[: len(first) + 20])
        np.testing.assert_array_equal(photograph.rgb_u8, read(first).rgb_u8)


class TestReduction:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (50, (50, 75)),
            (51, (100, 150)),
            (100, (100, 150)),
            (101, (200, 300)),
            (200, (200, 300)),
            (201, (400, 600)),
            (400, (400, 600)),
            (1000, (400, 600)),
            (1, (50, 75)),
        ],
    )
    def test_short_side_is_never_below_the_wanted(
        self, wanted: int, expected: tuple[int, int]
    ) -> None:
        photograph = read(encoded(Image.fromarray(smooth(400, 600)), "JPEG"), reduce_to=wanted)
        assert photograph.rgb_u8.shape[:2] == expected
        assert photograph.size == (600, 400)

    def test_turned_and_gray(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 8
        contents = encoded(Image.fromarray(smooth(401, 600)).convert("L"), "JPEG", exif=exif)
        assert read(contents, reduce_to=101).rgb_u8.shape == (300, 201, 3)

    def test_other_formats_come_whole(self) -> None:
        contents = encoded(Image.fromarray(smooth(400, 600)), "PNG")
        assert read(contents, reduce_to=50).rgb_u8.shape == (400, 600, 3)


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"^old: there is no such photograph$"):
            read_photograph(tmp_path / "absent.jpg", name="old")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"^old: is a folder; name a photograph$"):
            read_photograph(tmp_path, name="old")

    def test_device(self) -> None:
        with pytest.raises(DataError, match=r"^old: is a device; name a photograph$"):
            read_photograph(Path("/dev/null"), name="old")

    def test_impossible_name(self) -> None:
        with pytest.raises(DataError, match=r"^old: cannot be opened \(File name too long\)$"):
            read_photograph(Path("x" * 5000), name="old")

    def test_file(self, tmp_path: Path) -> None:
        Image.fromarray(noise()).save(tmp_path / "some.png")
        photograph = read_photograph(tmp_path / "some.png", name="old")
        np.testing.assert_array_equal(photograph.rgb_u8, noise())

    @pytest.mark.parametrize(
        ("contents", "text"),
        [
            (b"", "the file is empty; take another copy"),
            (b"no picture", "no picture that can be read; convert it to JPEG or PNG"),
            (
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
                "is a HEIC picture, which is not read here; convert it to JPEG or PNG",
            ),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "is a HEIF picture"),
            (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "is a camera raw file"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video"),
            (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 20, "is a JPEG XL picture"),
            (b"%PDF-1.7\n%", "is a PDF document"),
            (b"<!DOCTYPE html><html>", "is a web page"),
            (b"IIU\0\x18\0\0\0" + b"\0" * 30, "is a camera raw file"),
        ],
    )
    def test_foreign_files_are_named(self, contents: bytes, text: str) -> None:
        with pytest.raises(DataError) as caught:
            read(contents)
        assert str(caught.value).startswith(f"old.jpg: {text}")

    def test_drawing_starts_no_other_program(self) -> None:
        with pytest.raises(DataError, match=r"is a drawing \(EPS\)"):
            read(encoded(Image.fromarray(noise()), "EPS"))

    @pytest.mark.parametrize("info", [{0xFE: 1}, {0xC612: b"\x01\x04\0\0"}])
    def test_camera_raw_is_not_taken_for_its_thumbnail(self, info: dict[int, Any]) -> None:
        with pytest.raises(DataError, match="camera raw file, of which only a thumbnail"):
            read(encoded(Image.fromarray(noise()), "TIFF", tiffinfo=info))

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", *AVIF])
    def test_cut_file(self, format: str) -> None:
        contents = encoded(Image.fromarray(noise(64, 64)), format)
        with pytest.raises(DataError, match=r"^old\.jpg: .*convert it to JPEG or PNG$"):
            read(contents[: len(contents) * 2 // 3])

    def test_too_many_pixels_are_not_decoded(self) -> None:
        # Only the header is whole: decoding would fail with another error.
        contents = encoded(Image.fromarray(np.zeros((1000, 2000), np.uint8)), "PNG")[:60]
        with pytest.raises(
            TooManyPixels,
            match=r"^old\.jpg: 2000 x 1000 pixels are 2 megapixels, but at most 1\.9 are read; "
            r"make a smaller copy, or allow more$",
        ):
            read(contents, most_pixels=1_900_000)

    def test_bound_is_included(self) -> None:
        contents = encoded(Image.fromarray(np.zeros((10, 20), np.uint8)), "PNG")
        assert read(contents, most_pixels=200).rgb_u8.shape == (10, 20, 3)

    def test_pillows_own_bound_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        contents = encoded(Image.fromarray(np.zeros((100, 200), np.uint8)), "PNG")
        for limit in (15_000, 5_000):  # a warning, an error
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
            assert read(contents).rgb_u8.shape == (100, 200, 3)
            assert limit == Image.MAX_IMAGE_PIXELS


def _samples() -> list[tuple[str, bytes]]:
    """One file of each format and mode that Pillow writes."""
    Image.init()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58"}
    samples, block = [], exif.tobytes()
    for format in sorted(set(Image.SAVE) & set(Image.OPEN) - {"IM"}):
        for mode in ("RGB", "RGBA", "L", "P", "1", "CMYK", "I;16"):
            picture = Image.fromarray(noise())
            picture = (
                Image.fromarray(noise()[..., 0].astype(np.uint16))
                if mode == "I;16"
                else picture.convert(mode)
            )
            try:
                samples.append((format, encoded(picture, format, exif=block, icc_profile=SRGB)))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # this format has no such mode
    return samples


def outcome_of(contents: bytes) -> Photograph | str:
    """The picture, or the sentence that refuses it."""
    try:
        return read(contents, most_pixels=1_000_000)
    except DataError as error:
        return str(error)


@pytest.fixture(scope="module")
def samples() -> list[tuple[str, bytes]]:
    return _samples()


class TestHostileFiles:
    def test_many_formats_are_tried(self, samples: list[tuple[str, bytes]]) -> None:
        assert {"JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "ICO"} <= {
            format for format, _ in samples
        }

    def test_each_sample_is_read_whole(self, samples: list[tuple[str, bytes]]) -> None:
        for format, contents in samples:
            if format not in {"EPS", "ICNS", "ICO"}:  # a drawing, and icons, which change size
                assert sorted(read(contents).rgb_u8.shape[:2]) == [24, 31], format

    @settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(data=st.data())
    def test_mutated_files_are_read_or_refused(
        self, samples: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        _, contents = data.draw(st.sampled_from(samples))
        mutated = bytearray(contents)
        last = len(mutated) - 1
        for _ in range(data.draw(st.integers(0, 5))):
            near = data.draw(st.sampled_from([min(200, last), last]))
            mutated[data.draw(st.integers(0, near))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(1, len(mutated)) | st.just(len(mutated)))
        outcome = outcome_of(bytes(mutated[:cut]))
        if isinstance(outcome, Photograph):
            assert outcome.rgb_u8.size
        else:
            assert outcome.startswith("old.jpg: ")
            assert "\n" not in outcome

    def test_nothing_is_printed_or_logged(
        self,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        samples: list[tuple[str, bytes]],
    ) -> None:
        rng = np.random.default_rng(0)
        for format, contents in samples:
            if format == "TIFF":
                for _ in range(60):
                    mutated = bytearray(contents)
                    for place in rng.integers(0, len(mutated), 4):
                        mutated[place] = rng.integers(256)
                    with suppress(DataError):
                        read(bytes(mutated), most_pixels=1_000_000)
        assert capfd.readouterr() == ("", "")
        assert not caplog.records


def test_threads_leave_the_process_as_it_was() -> None:
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, logging.getLogger("PIL").propagate)
    contents = encoded(Image.fromarray(noise(200, 300)), "PNG")
    wrong = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(read(contents).rgb_u8, noise(200, 300)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert before == (
        list(warnings.filters),
        Image.MAX_IMAGE_PIXELS,
        logging.getLogger("PIL").propagate,
    )
