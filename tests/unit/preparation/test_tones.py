import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from raycolor.preparation.tones import _lab, untold_color
from tests.unit.preparation.making import photo

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]) / 1.36
GRAY = np.array([[0.299, 0.587, 0.114]] * 3)


def toned(picture: Image.Image, matrix: np.ndarray) -> Image.Image:
    pixels = np.asarray(picture, np.float64) @ matrix.T
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_lab_is_that_of_scikit_image() -> None:
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    np.testing.assert_allclose(_lab(rgb), rgb2lab(rgb), atol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_gray_has_no_color(seed: int) -> None:
    gray = toned(photo(seed, 200, 150), GRAY)
    assert untold_color(gray) < 1e-6
    assert untold_color(as_jpeg(gray, 30)) < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_sepia_has_none_that_lightness_does_not_tell(seed: int) -> None:
    sepia = toned(photo(seed, 300, 200), SEPIA)
    chroma = np.hypot(*np.moveaxis(rgb2lab(np.asarray(sepia)), -1, 0)[1:]).mean()
    assert chroma > 8
    assert untold_color(sepia) < 1.0
    assert untold_color(as_jpeg(sepia, 75)) < 2.0


def test_two_tones_have_none_either() -> None:
    light = np.linspace(0, 1, 96)[None, :, None].repeat(96, 0)
    dark_blue, cream = np.array([20, 30, 70]), np.array([255, 240, 200])
    pixels = ((1 - light) * dark_blue + light * cream).round().astype(np.uint8)
    assert untold_color(Image.fromarray(pixels)) < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_colors_of_equal_lightness_are_counted(seed: int) -> None:
    assert untold_color(photo(seed, 96, 96)) > 10


def test_value_is_the_distance_from_the_mean_color() -> None:
    # Two colours of the same lightness, half and half: each lies half their distance away.
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (200, 106, 106), (76, 146, 76)
    (first, second) = rgb2lab(pixels[:1, [0, 63]])[0]
    assert abs(first[0] - second[0]) < 3
    expected = np.linalg.norm(first[1:] - second[1:]) / 2
    assert untold_color(Image.fromarray(pixels)) == pytest.approx(expected, rel=0.01)


def test_size_does_not_matter() -> None:
    values = [untold_color(photo(3, side, side)) for side in (64, 100, 128, 257, 512, 1024)]
    assert max(values) < 1.05 * min(values)


def test_noise_of_single_pixels_is_no_color() -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(60, 190, (16, 16, 1)).repeat(32, 0).repeat(32, 1)
    noisy = (gray + rng.normal(0, 6, (512, 512, 3))).round().clip(0, 255).astype(np.uint8)
    assert untold_color(Image.fromarray(noisy)) < 2.0
