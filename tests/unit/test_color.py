from contextlib import nullcontext

import numpy as np
import pytest
import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from skimage.color import rgb2lab

from raycolor import color
from raycolor.color import (
    AB_SCALE,
    L_SCALE,
    lab_by_channel,
    pixels_to_unit,
    rgb_by_channel,
    rgb_to_unit,
    unit_to_rgb,
)
from raycolor.errors import ColorRangeError


@pytest.fixture(scope="module")
def colors() -> torch.Tensor:
    """Every third value of each channel, 0 and 255 among them: 636,056 colours in one row."""
    levels = np.array([*range(0, 256, 3)], dtype=np.uint8)
    assert levels[0] == 0
    assert levels[-1] == 255
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"))
    return torch.from_numpy(grid.reshape(1, 3, 1, -1))


def test_equals_scikit_image_on_all_colors(colors: torch.Tensor) -> None:
    l_unit, ab_unit = rgb_to_unit(colors)
    lab = torch.cat([(l_unit + 1) * L_SCALE, ab_unit * AB_SCALE], dim=1)
    expected = rgb2lab(colors[0].numpy(), channel_axis=0)
    assert np.abs(lab[0].numpy() - expected).max() < 1e-4


def test_every_color_lies_in_the_networks_range(colors: torch.Tensor) -> None:
    l_unit, ab_unit = rgb_to_unit(colors)
    assert l_unit.dtype == ab_unit.dtype == torch.float32
    # Black and white reach the ends; no colour reaches those of a and b.
    assert float(l_unit.min()) == -1.0
    assert float(l_unit.max()) == pytest.approx(1.0, abs=1e-6)
    assert ab_unit.abs().max() < 1.0


def test_round_trip_is_exact_on_all_colors(colors: torch.Tensor) -> None:
    assert torch.equal(unit_to_rgb(*rgb_to_unit(colors)), colors)


def test_gray_has_no_color() -> None:
    grays = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    l_unit, ab_unit = rgb_to_unit(grays)
    assert ab_unit.abs().max() * AB_SCALE < 0.02
    assert (l_unit.diff() > 0).all()


def test_values_are_rounded_not_cut() -> None:
    # L* = 53.585 is sRGB 128 to within a hundredth; just below and above stay at 128.
    l_star = torch.tensor([53.40, 53.585, 53.75]).reshape(1, 1, 1, 3)
    ab_unit = torch.zeros(1, 2, 1, 3)
    assert unit_to_rgb(l_star / L_SCALE - 1, ab_unit).unique().tolist() == [128]


@pytest.mark.parametrize("ab", [-1.0, 1.0])
@pytest.mark.parametrize("lightness", [-1.0, 0.0, 1.0])
def test_impossible_colors_are_clipped(lightness: float, ab: float) -> None:
    # Were they not clipped, they would wrap around: black with colour would turn bright.
    rgb_u8 = unit_to_rgb(torch.full((1, 1, 1, 1), lightness), torch.full((1, 2, 1, 1), ab))
    assert rgb_u8.dtype == torch.uint8
    red, green, blue = rgb_u8.flatten().int().tolist()
    if ab > 0:  # towards red and yellow
        assert red >= green >= blue
    else:  # towards green and blue
        assert min(green, blue) >= red


@pytest.mark.usefixtures("_no_shape_checks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_other_types_than_uint8_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ColorRangeError, match=r"torch\.\w+, but sRGB comes as uint8, 0 to 255"):
        rgb_to_unit(torch.zeros(1, 3, 2, 2, dtype=dtype))


def test_autocast_has_no_influence() -> None:
    generator = torch.Generator().manual_seed(0)
    rgb_u8 = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=generator)
    l_unit, ab_unit = rgb_to_unit(rgb_u8)
    back = unit_to_rgb(l_unit, ab_unit)
    with torch.autocast("cpu", torch.bfloat16):
        l_cast, ab_cast = rgb_to_unit(rgb_u8)
        back_cast = unit_to_rgb(l_cast, ab_cast)
    assert l_cast.dtype == ab_cast.dtype == torch.float32
    assert torch.equal(l_cast, l_unit)
    assert torch.equal(ab_cast, ab_unit)
    assert torch.equal(back_cast, back)


def test_generated_pixels_are_converted_as_photographs_are(colors: torch.Tensor) -> None:
    l_unit, ab_unit = rgb_to_unit(colors)
    found_l, found_ab = pixels_to_unit(colors.float() / 127.5 - 1)
    torch.testing.assert_close(found_l, l_unit, rtol=0, atol=2e-6)
    torch.testing.assert_close(found_ab, ab_unit, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_generated_pixels_have_finite_gradients_at_every_end(dtype: torch.dtype) -> None:
    # Black, white, the corners of the cube, what lies outside it, and the bend of sRGB's curve.
    ends = torch.tensor([-1.5, -1.0, 0.04045 * 2 - 1, 0.0, 1.0, 1.5])
    pixels = torch.cartesian_prod(ends, ends, ends).T[None, :, None].to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        l_unit, ab_unit = pixels_to_unit(pixels)
    assert l_unit.dtype == ab_unit.dtype == torch.float32
    assert max(l_unit.abs().max(), ab_unit.abs().max()) <= 1 + 1e-5
    (l_unit.square().sum() + ab_unit.square().sum()).backward()
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()
    inside = (pixels.abs() < 1).all(dim=1)
    assert (pixels.grad.abs().sum(dim=1)[inside] > 0).any()


def test_a_gpus_conversion_is_kornias_but_for_the_last_digits(colors: torch.Tensor) -> None:
    rgb = (colors.float() / 255.0).requires_grad_()
    ours, theirs = lab_by_channel(rgb), rgb_to_lab(rgb)
    assert (ours - theirs).abs().max() < 1e-4
    grads = [torch.autograd.grad(lab.square().mean(), rgb)[0] for lab in (ours, theirs)]
    assert torch.isfinite(grads[0]).all()
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-7)
    # Colours that sRGB lacks are clipped alike.
    lab = theirs.detach() * torch.tensor([1.0, 1.4, 1.4]).reshape(1, 3, 1, 1)
    assert (rgb_by_channel(lab) - lab_to_rgb(lab)).abs().max() < 1e-5
    back = (rgb_by_channel(ours.detach()) * 255).round().to(torch.uint8)
    assert torch.equal(back, colors)


def test_only_a_cpu_leaves_it_to_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("kornia was asked")

    monkeypatch.setattr(color, "rgb_to_lab", refuse)
    monkeypatch.setattr(color, "lab_to_rgb", refuse)
    # A device without memory, on which operations give shapes only.
    rgb_u8 = torch.zeros(1, 3, 4, 4, dtype=torch.uint8, device="meta")
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    l_unit, ab_unit = rgb_to_unit(rgb_u8)
    assert unit_to_rgb(l_unit, ab_unit).shape == rgb_u8.shape
    assert pixels_to_unit(torch.zeros(1, 3, 4, 4, device="meta"))[1].shape == (1, 2, 4, 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_as_exact(colors: torch.Tensor) -> None:
    found, expected = rgb_to_unit(colors.cuda()), rgb_to_unit(colors)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, rtol=0, atol=2e-6)
    assert torch.equal(unit_to_rgb(*found).cpu(), colors)
