"""Pixels of every mode become sRGB: colours, transparency and deep gray."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raycolor.errors import DataError
from raycolor.photographs.read import Photograph
from tests.unit.photographs.encoding import color_of, encoded, noise, plain, read, reread


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
