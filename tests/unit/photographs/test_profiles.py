"""Colour profiles and inks are taken into account, and broken ones lose no picture."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb

from tests import icc
from tests.unit.photographs.encoding import SRGB, color_of, encoded, noise, plain, read, reread


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
