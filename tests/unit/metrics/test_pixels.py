import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from raycolor.metrics.pixels import colorfulness, psnr, ssim


def plain(red: int, green: int, blue: int) -> torch.Tensor:
    color = torch.tensor([red, green, blue], dtype=torch.uint8)
    return color.reshape(1, 3, 1, 1).expand(1, 3, 4, 4)


def noise(number: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, 3, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("error", [1, 10, 255])
def test_psnr_of_an_even_error(error: int) -> None:
    found = psnr(plain(0, 0, 0), plain(error, error, error))
    assert float(found) == pytest.approx(20 * math.log10(255 / error))


def test_psnr_of_one_wrong_channel() -> None:
    # A third of the squared error of all three.
    found = psnr(plain(0, 0, 0), plain(0, 30, 0))
    assert float(found) == pytest.approx(10 * math.log10(3 * 255**2 / 30**2))


def test_psnr_is_infinite_for_equal_pictures() -> None:
    assert float(psnr(plain(1, 2, 3), plain(1, 2, 3))) == math.inf


def test_psnr_equals_scikit_image() -> None:
    predicted, truth = noise(3, 0), noise(3, 1)
    expected = [
        peak_signal_noise_ratio(x.numpy(), y.numpy()) for x, y in zip(truth, predicted, strict=True)
    ]
    np.testing.assert_allclose(psnr(predicted, truth).numpy(), expected, rtol=1e-12)


def test_ssim_equals_scikit_image() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=generator)
    predicted = (truth // 2 + 60).to(torch.uint8)
    for place, (x, y) in enumerate(zip(truth.numpy(), predicted.numpy(), strict=True)):
        # scikit-image leaves out five pixels at each edge: here, what is mirrored there.
        mirrored = [np.pad(some / 255, ((0, 0), (5, 5), (5, 5)), mode="reflect") for some in (x, y)]
        expected = structural_similarity(
            *mirrored,
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert float(ssim(predicted, truth)[place]) == pytest.approx(expected, abs=1e-5)


def test_ssim_equals_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(0, 256, (3, 3, 24, 32), dtype=torch.uint8, generator=generator)
    predicted = (truth.int() + torch.randint(-40, 41, truth.shape, generator=generator)).clamp(
        0, 255
    )
    pair = predicted.double() / 255, truth.double() / 255
    expected = structural_similarity_index_measure(*pair, data_range=1.0, reduction="none")
    found = ssim(predicted.to(torch.uint8), truth)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_ssim_of_equal_pictures_is_one() -> None:
    truth = noise(1, 0).repeat(1, 1, 2, 2)
    assert float(ssim(truth, truth)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_colorfulness_of_gray_is_zero(level: int) -> None:
    assert float(colorfulness(plain(level, level, level))) == 0.0


def test_colorfulness_of_plain_red() -> None:
    # rg = 255 and yb = 127.5 everywhere: no spread.
    assert float(colorfulness(plain(255, 0, 0))) == pytest.approx(0.3 * math.hypot(255, 127.5))


def test_colorfulness_of_red_beside_cyan() -> None:
    # rg = 255, -255 and yb = 127.5, -127.5: no mean, population deviations of 255 and 127.5.
    picture = torch.cat([plain(255, 0, 0), plain(0, 255, 255)], dim=3)
    assert float(colorfulness(picture)) == pytest.approx(math.hypot(255, 127.5))


def test_every_picture_is_measured_by_itself() -> None:
    pictures = noise(4, 0)
    single = torch.cat([colorfulness(picture[None]) for picture in pictures])
    torch.testing.assert_close(colorfulness(pictures), single)
    others = noise(4, 1)
    single = torch.cat([psnr(x[None], y[None]) for x, y in zip(pictures, others, strict=True)])
    torch.testing.assert_close(psnr(pictures, others), single)
    pictures, others = (some.repeat(1, 1, 2, 2) for some in (pictures, others))
    single = torch.cat([ssim(x[None], y[None]) for x, y in zip(pictures, others, strict=True)])
    torch.testing.assert_close(ssim(pictures, others), single, atol=1e-6, rtol=0)
