"""The frozen table of encoders against the installed timm."""

from typing import get_args

import pytest
import timm

from raycolor.backbones import ENCODERS, Backbone

DOWNLOADED = [name for name, encoder in ENCODERS.items() if encoder.url]
WITHOUT = [name for name, encoder in ENCODERS.items() if not encoder.has_imagenet]


def test_the_names_are_those_of_the_table() -> None:
    assert list(get_args(Backbone)) == ["scratch", *ENCODERS]


@pytest.mark.parametrize("name", ENCODERS)
def test_timm_knows_the_network_with_these_weights(name: str) -> None:
    encoder = ENCODERS[name]
    known = timm.models.get_pretrained_cfg(encoder.network, allow_unregistered=False)
    assert known is not None
    assert known.tag == encoder.network.partition(".")[2]
    assert tuple(known.mean) == encoder.mean
    assert tuple(known.std) == encoder.deviation
    assert not known.fixed_input_size
    assert name in (encoder.architecture, "efficientnet_lite0")


@pytest.mark.parametrize("name", DOWNLOADED)
def test_the_file_is_the_one_that_timm_names(name: str) -> None:
    encoder = ENCODERS[name]
    known = timm.models.get_pretrained_cfg(encoder.network)
    assert encoder.url is not None
    assert encoder.file is not None
    assert encoder.file == known.url.rpartition("/")[2]
    assert encoder.url.startswith("https://")
    assert encoder.sha256_start is not None
    assert encoder.file.endswith(f"-{encoder.sha256_start}.pth")


@pytest.mark.parametrize("name", WITHOUT)
def test_timm_names_no_file_for_the_others(name: str) -> None:
    assert not timm.models.get_pretrained_cfg(ENCODERS[name].network).url
    assert ENCODERS[name].sha256_start is None


def test_the_encoders_of_the_tutorial_are_torchvisions() -> None:
    assert ENCODERS["resnet18"].file == "resnet18-f37072fd.pth"
    assert ENCODERS["resnet18"].sha256_start == "f37072fd"


def test_grey_is_scaled_by_the_averages() -> None:
    assert ENCODERS["resnet18"].gray_range == pytest.approx((0.449, 0.226))
    assert ENCODERS["efficientnet_lite0"].gray_range == (0.5, 0.5)
