"""The side-by-side picture shows grey, coloured and, where there were colours, the original."""

import numpy as np
import pytest

from raycolor.coloring.gamut import lightness
from raycolor.coloring.panels import GAP, LONGEST_SIDE, has_colors, panel_of, side_by_side


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_three_panels_of_a_coloured_photograph() -> None:
    original, colored = noise(20, 30), noise(20, 30)[::-1].copy()
    sheet = side_by_side(original, colored)
    assert sheet.shape == (20, 3 * 30 + 2 * GAP, 3)
    gray = sheet[:, :30]
    assert np.ptp(gray, axis=2).max() <= 1
    assert (lightness(gray.copy()) - lightness(original)).abs().max() < 0.3
    np.testing.assert_array_equal(sheet[:, 30 + GAP : 60 + GAP], colored)
    np.testing.assert_array_equal(sheet[:, 60 + 2 * GAP :], original)
    assert (sheet[:, 30 : 30 + GAP] == 255).all()


def test_two_panels_of_a_gray_photograph() -> None:
    grays = noise(20, 30)[..., :1].repeat(3, axis=2)
    sheet = side_by_side(grays, noise(20, 30))
    assert sheet.shape == (20, 2 * 30 + GAP, 3)
    np.testing.assert_array_equal(sheet[:, :30], grays)


@pytest.mark.parametrize("shape", [(3000, 1000), (1000, 3000), (1, 5000), (5000, 1)])
def test_large_photographs_make_small_panels(shape: tuple[int, int]) -> None:
    panel = panel_of(np.zeros((*shape, 3), np.uint8), None)
    assert max(panel.shape) == LONGEST_SIDE
    assert min(panel.shape[:2]) == max(1, round(min(shape) * LONGEST_SIDE / max(shape)))


def test_small_photographs_keep_their_pixels() -> None:
    np.testing.assert_array_equal(panel_of(noise(20, 30), None), noise(20, 30))


def test_transparent_parts_are_white() -> None:
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:, :15] = 255
    panel = panel_of(noise(20, 30), alpha)
    assert (panel[:, 15:] == 255).all()
    np.testing.assert_array_equal(panel[:, :15], noise(20, 30)[:, :15])


def test_a_little_noise_is_no_color() -> None:
    grays = np.full((100, 100, 3), 120, np.uint8)
    noisy = grays + np.random.default_rng(0).integers(0, 8, grays.shape).astype(np.uint8)
    assert not has_colors(noisy)
    noisy[:4, :4, 0] = 200
    assert has_colors(noisy)
