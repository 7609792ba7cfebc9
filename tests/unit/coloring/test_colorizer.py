"""A generator applied to photographs of any size: lightness stays, bands leave no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raycolor.checkpoint import save_tensors
from raycolor.coloring.colorizer import LONGEST, Colorizer, load_colorizer, working_size
from raycolor.coloring.gamut import lightness, lightness_of_gray, to_srgb
from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError, ConfigError
from raycolor.photographs.read import Photograph
from raycolor.trial import train
from tests.generators import Wash, keep_generator
from tests.toy import TinyConfig, smooth_picture

CPU = torch.device("cpu")


def photograph(
    rgb_u8: np.ndarray, alpha_u8: np.ndarray | None = None, gray_u16: np.ndarray | None = None
) -> Photograph:
    return Photograph(
        rgb_u8=rgb_u8,
        alpha_u8=alpha_u8,
        gray_u16=gray_u16,
        frames=1,
        format="PNG",
        size=(rgb_u8.shape[1], rgb_u8.shape[0]),
        profile="none",
        exif=b"",
    )


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def colorizer(wash: nn.Module | None = None, band_pixels: int = 1 << 17) -> Colorizer:
    return Colorizer(wash or Wash(), size=32, stride=8, band_pixels=band_pixels)


def test_lightness_stays_and_colors_come() -> None:
    before = smooth_picture(np.random.default_rng(0), 90)
    after = colorizer()(photograph(before))
    assert after.shape == before.shape
    assert (lightness(after) - lightness(before)).abs().max() < 0.3
    assert np.ptp(after, axis=2).mean() > 10
    assert not np.array_equal(after, before)


def test_own_colors_are_ignored() -> None:
    l_star = torch.linspace(20, 80, 50).repeat(40, 1)
    results = []
    for a, b in ((0.0, 0.0), (15.0, -15.0)):
        ab = torch.tensor([a, b]).reshape(2, 1, 1).expand(2, 40, 50)
        results.append(colorizer()(photograph(to_srgb(l_star, ab))).astype(int))
    # The two pictures have the same L* up to their own rounding.
    assert np.abs(results[0] - results[1]).max() <= 2


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    rows=st.integers(1, 20),
    kind=st.sampled_from(["rgb", "alpha", "deep"]),
)
def test_bands_leave_no_trace(height: int, width: int, rows: int, kind: str) -> None:
    rgb_u8 = noise(height, width, seed=height)
    alpha = noise(height, width, seed=1)[..., 0] if kind == "alpha" else None
    gray_u16 = rgb_u8[..., 0].astype(np.uint16) * 256 if kind == "deep" else None
    picture = photograph(rgb_u8, alpha, gray_u16)
    whole, parts = Wash(), Wash()
    unbanded = colorizer(whole, band_pixels=height * width)(picture)
    banded = colorizer(parts, band_pixels=rows * width)(picture)
    # The last few numbers of a band are not computed by vectors, and differ in their last bit.
    torch.testing.assert_close(whole.seen[0], parts.seen[0], atol=1e-5, rtol=0)
    difference = banded.astype(int) - unbanded
    assert np.abs(difference).max() <= 1
    assert (difference != 0).sum() <= max(1, difference.size / 10_000)


def test_small_copy_is_the_whole_picture_reduced() -> None:
    rgb_u8 = smooth_picture(np.random.default_rng(1), 160)
    wash = Wash()
    colorizer(wash, band_pixels=160 * 7)(photograph(rgb_u8))
    l_unit = lightness(rgb_u8)[None, None] / 50 - 1
    expected = nn.functional.interpolate(l_unit, size=(32, 32), mode="bilinear", antialias=True)
    # Mirrored outwards by a stride, so that convolutions meet no edge of the picture.
    expected = nn.functional.pad(expected, (8,) * 4, mode="reflect")
    torch.testing.assert_close(wash.seen[0], expected, atol=1e-5, rtol=0)


def test_result_may_replace_the_photograph() -> None:
    rgb_u8 = noise(50, 40)
    expected = colorizer(band_pixels=40 * 9)(photograph(rgb_u8.copy()))
    picture = photograph(rgb_u8)
    result = colorizer(band_pixels=40 * 9)(picture, out=picture.rgb_u8)
    assert result is rgb_u8
    np.testing.assert_array_equal(rgb_u8, expected)


def test_transparent_parts_are_white_to_the_generator() -> None:
    rgb_u8, alpha = noise(32, 32), np.zeros((32, 32), np.uint8)
    wash = Wash()
    result = colorizer(wash)(photograph(rgb_u8, alpha))
    torch.testing.assert_close(wash.seen[0], torch.ones_like(wash.seen[0]))
    # Their own lightness stays, though nobody sees it.
    assert (lightness(result) - lightness(rgb_u8)).abs().max() < 0.3


def test_sixteen_bits_of_lightness_are_used() -> None:
    # Two levels that 8 bits cannot tell apart, coloured: the channels round at different places.
    gray_u16 = np.linspace(30_000, 30_256, 4096).astype(np.uint16).reshape(64, 64)
    flat = np.full((64, 64, 3), 117, np.uint8)
    deep = colorizer()(photograph(flat, gray_u16=gray_u16))
    shallow = colorizer()(photograph(flat))
    error = np.abs(lightness(deep).numpy() - lightness_of_gray(gray_u16).numpy()).mean()
    assert error < np.abs(lightness(shallow).numpy() - lightness_of_gray(gray_u16).numpy()).mean()


class TestWorkingSize:
    @settings(max_examples=200, deadline=None)
    @given(
        height=st.integers(1, 60_000),
        width=st.integers(1, 60_000),
        size=st.integers(16, 512),
        stride=st.sampled_from([2, 8, 32, 64]),
    )
    def test_sides_are_multiples_and_bounded(
        self, height: int, width: int, size: int, stride: int
    ) -> None:
        sides = working_size(height, width, size, stride)
        assert all(side % stride == 0 and side >= stride for side in sides)
        assert max(sides) <= size * LONGEST + stride
        assert (sides[0] <= sides[1]) == (height <= width) or sides[0] == sides[1]

    def test_aspect_ratio_is_kept(self) -> None:
        assert working_size(3000, 4000, 96, 32) == (96, 128)
        assert working_size(4000, 3000, 96, 32) == (128, 96)

    def test_a_single_row_stays_small(self) -> None:
        assert working_size(1, 5000, 64, 32) == (32, 512)


class TestLoading:
    def test_a_trained_trial(
        self, tmp_path: Path, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        config = tiny_config({"budget.images": 32})
        reports = list(train(config, prepared, folder=tmp_path, device=CPU))
        loaded = load_colorizer(
            tmp_path / f"best_{reports[0].images_seen}.safetensors", device="cpu"
        )
        before = smooth_picture(np.random.default_rng(0), 70)
        after = loaded(photograph(before))
        assert (lightness(after) - lightness(before)).abs().max() < 0.3
        np.testing.assert_array_equal(loaded(photograph(before)), after)

    def test_size_of_the_training_unless_another_is_given(self, tmp_path: Path) -> None:
        path = keep_generator(tmp_path / "best_64.safetensors")
        picture = photograph(noise(200, 200))
        results = [load_colorizer(path, size=size)(picture) for size in (None, 32, 64)]
        np.testing.assert_array_equal(results[0], results[1])
        assert not np.array_equal(results[0], results[2])

    def test_pretrained_backbone_needs_no_weights_file(
        self, tmp_path: Path, tiny_config: TinyConfig
    ) -> None:
        config = tiny_config(
            {"generator.backbone": "efficientnet_lite0", "generator.decoder_width": 8}
        )
        path = keep_generator(tmp_path / "best_64.safetensors", config)
        after = load_colorizer(path)(photograph(noise(40, 70)))
        assert after.shape == (40, 70, 3)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"absent\.safetensors: cannot be read"):
            load_colorizer(tmp_path / "absent.safetensors")

    def test_no_generator(self, tmp_path: Path) -> None:
        save_tensors(tmp_path / "some.safetensors", {"x": torch.zeros(2)}, {"images_seen": 1})
        with pytest.raises(CheckpointError, match=r"some\.safetensors: holds no generator; name"):
            load_colorizer(tmp_path / "some.safetensors")

    @pytest.mark.parametrize("wrong", ["config", "tensors"])
    def test_of_another_raycolor(self, tmp_path: Path, tiny_config: TinyConfig, wrong: str) -> None:
        config: TrialConfig = tiny_config()
        tree = config.model_dump(mode="json")
        if wrong == "config":
            tree["generator"]["backbone"] = "of tomorrow"
        save_tensors(tmp_path / "old.safetensors", {"x": torch.zeros(2)}, {"config": tree})
        with pytest.raises(CheckpointError, match=r"old\.safetensors: is not a generator as this"):
            load_colorizer(tmp_path / "old.safetensors")

    def test_cut_file(self, tmp_path: Path) -> None:
        path = keep_generator(tmp_path / "best_64.safetensors")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
            load_colorizer(path)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_no_cuda(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match="--device cuda: there is none here; take auto or cpu"
        ):
            load_colorizer(tmp_path / "any.safetensors", device="cuda")

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_agrees_with_the_cpu(self, tmp_path: Path) -> None:
        path = keep_generator(tmp_path / "best_64.safetensors")
        picture = photograph(noise(60, 80))
        on_cpu, on_cuda = (load_colorizer(path, device=name)(picture) for name in ("cpu", "cuda"))
        assert np.abs(on_cpu.astype(int) - on_cuda).max() <= 2


class _Hungry(nn.Module):
    def forward(self, l_unit: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_full_device_is_told() -> None:
    with pytest.raises(
        MemoryError, match=r"the cpu has too little .* 32 x 40 pixels; take a smaller"
    ):
        colorizer(_Hungry())(photograph(noise(32, 40)))
