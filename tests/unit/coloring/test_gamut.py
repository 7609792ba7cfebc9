"""Full-size colour conversion: equal to that of the networks, but for colours that do not fit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from raycolor.color import AB_SCALE, L_SCALE, rgb_to_unit, unit_to_rgb
from raycolor.coloring.gamut import HALVINGS, lightness, lightness_of_gray, to_srgb


def cube(step: int) -> np.ndarray:
    """Colours from all over sRGB, (n, levels, 3)."""
    levels = np.arange(0, 256, step, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return grid.reshape(-1, len(levels), 3)


def network_lab(rgb_u8: np.ndarray) -> torch.Tensor:
    """L*, a* and b* as the networks' conversion gives them, (3, h, w)."""
    l_unit, ab_unit = rgb_to_unit(torch.from_numpy(rgb_u8).permute(2, 0, 1)[None])
    return torch.cat([(l_unit[0] + 1) * L_SCALE, ab_unit[0] * AB_SCALE])


def plain(l_star: torch.Tensor, ab: torch.Tensor) -> np.ndarray:
    """The networks' conversion back, which clips."""
    rgb_u8 = unit_to_rgb(l_star[None, None] / L_SCALE - 1, ab[None] / AB_SCALE)
    return rgb_u8[0].permute(1, 2, 0).numpy()


def half_steps(rgb_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L* half a level below and above, in all channels: how far rounding can move it."""
    levels = np.stack([rgb_u8 - 0.5, rgb_u8 + 0.5]).clip(0, 255) / 255
    low, high = rgb2lab(levels)[..., 0]
    return low, high


class TestLightness:
    def test_equals_that_of_the_networks(self) -> None:
        rgb_u8 = cube(3)
        difference = (lightness(rgb_u8) - network_lab(rgb_u8)[0]).abs()
        assert difference.max() < 1e-4

    def test_equals_scikit_image_for_grays(self) -> None:
        grays = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
        np.testing.assert_allclose(lightness(grays), rgb2lab(grays)[..., 0], atol=1e-4)

    def test_gray_and_nearly_gray_agree(self) -> None:
        grays = np.full((1, 3, 3), 77, np.uint8)
        almost = grays.copy()
        almost[0, 2, 0] = 90  # the whole band takes the other way
        np.testing.assert_allclose(lightness(grays)[0, :2], lightness(almost)[0, :2], atol=1e-4)

    def test_sixteen_bits_lie_between_eight(self) -> None:
        deep = lightness_of_gray(np.arange(65536, dtype=np.uint16)[None])[0]
        assert (deep.diff() >= 0).all()
        assert len(deep.unique()) > 60_000
        grays = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
        np.testing.assert_allclose(deep[::257], lightness(grays)[0], atol=1e-5)


class TestToSrgb:
    def test_every_color_of_srgb_comes_back(self) -> None:
        rgb_u8 = cube(3)
        lab = network_lab(rgb_u8)
        np.testing.assert_array_equal(to_srgb(lightness(rgb_u8), lab[1:]), rgb_u8)

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0, 160))
    def test_lightness_stays_within_rounding(self, seed: int, strength: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        l_star = torch.rand(16, 16, generator=generator) * 100
        ab = (torch.rand(2, 16, 16, generator=generator) * 2 - 1) * strength
        low, high = half_steps(to_srgb(l_star, ab))
        # Besides, a twentieth of a level may be cut off at either end.
        assert (l_star.numpy() >= low - 0.02).all()
        assert (l_star.numpy() <= high + 0.02).all()

    def test_clipping_would_change_lightness(self) -> None:
        # The law above is no truism: the networks' conversion breaks it by far.
        l_star, ab = torch.full((1, 1), 90.0), torch.tensor([100.0, -100.0]).reshape(2, 1, 1)
        assert abs(float(lightness(plain(l_star, ab))) - 90) > 10
        assert abs(float(lightness(to_srgb(l_star, ab))) - 90) < 0.3

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_colors_that_fit_are_converted_plainly(self, seed: int) -> None:
        # Lab values between those of 8-bit colours: mixtures of two colours that are close.
        rng = np.random.default_rng(seed)
        first = rng.integers(8, 247, (16, 16, 3)).astype(np.uint8)
        second = (first + rng.integers(-3, 4, first.shape)).astype(np.uint8)
        lab = (network_lab(first) + network_lab(second)) / 2
        difference = to_srgb(lab[0], lab[1:]).astype(int) - plain(lab[0], lab[1:])
        # Two ways of computing in float32 may round a tie differently.
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < 0.01

    def test_hue_stays(self) -> None:
        l_star = torch.linspace(5, 95, 64).repeat(64, 1)
        angle = torch.linspace(0, 6.28, 64)[:, None].expand(64, 64)
        ab = torch.stack([angle.cos(), angle.sin()]) * 120
        lab = rgb2lab(to_srgb(l_star, ab))
        chroma = np.hypot(lab[..., 1], lab[..., 2])
        turned = np.angle(np.exp(1j * (np.arctan2(lab[..., 2], lab[..., 1]) - angle.numpy())))
        # Rounding turns weak colours by much.
        assert np.abs(turned[chroma > 10]).max() < 0.1
        assert (chroma > 10).mean() > 0.9

    def test_no_more_chroma_is_given_up_than_needed(self) -> None:
        l_star = torch.linspace(5, 95, 64).repeat(64, 1)
        angle = torch.linspace(0, 6.28, 64)[:, None].expand(64, 64)
        ab = torch.stack([angle.cos(), angle.sin()]) * 200
        rgb_u8 = to_srgb(l_star, ab)
        # On the hull of sRGB one channel is at an end.
        ends = (rgb_u8.min(axis=2) <= 1) | (rgb_u8.max(axis=2) >= 254)
        assert ends.mean() > 0.99
        assert 200 / 2**HALVINGS < 0.1

    @pytest.mark.parametrize("level", [0.0, 100.0])
    def test_black_and_white_have_no_color(self, level: float) -> None:
        ab = torch.tensor([80.0, -80.0]).reshape(2, 1, 1)
        assert to_srgb(torch.full((1, 1), level), ab).tolist() == [[[round(level * 2.55)] * 3]]

    def test_grays_stay_gray(self) -> None:
        grays = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
        np.testing.assert_array_equal(to_srgb(lightness(grays), torch.zeros(2, 1, 256)), grays)
