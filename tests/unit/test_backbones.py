"""The frozen table of encoders against the installed timm."""

from typing import get_args

import pytest
import timm
from segmentation_models_pytorch import encoders

from raycolor.backbones import ENCODERS, Backbone

DOWNLOADED = [name for name, encoder in ENCODERS.items() if encoder.url]
WITHOUT = [name for name, encoder in ENCODERS.items() if not encoder.has_imagenet]

UNLISTED = {
    "wide_resnet50_2",
    "seresnet50",
    *(f"tf_efficientnetv2_{size}" for size in ("b0", "b1", "b2", "b3", "s", "m")),
    *(f"mobilenetv2_{width}" for width in ("050", "100", "140")),
    *(f"mobilenetv3_small_{width}" for width in ("050", "075", "100")),
    "mobilenetv3_large_100",
}
"""Networks that segmentation-models-pytorch takes from timm as any, without a name for each."""


def listed_as(network: str) -> str | None:
    """Name a network as segmentation-models-pytorch lists it; None if it does not."""
    dashed = network.replace("efficientnet_b", "efficientnet-b")
    # With TensorFlow's weights it is `timm-`, mostly without `tf_`.
    names = [f"timm-{network}", f"timm-{dashed.removeprefix('tf_')}"]
    names = names if network.startswith("tf_") else [dashed, f"timm-{network}"]
    known = encoders.get_encoder_names()
    return next((name for name in names if name in known or ported(name) == network), None)


def ported(name: str) -> str | None:
    """Return the network that an old name of the library stands for by a rule, and not a list."""
    if not encoders.is_equivalent_to_timm_universal(name):
        return None
    own = name.removeprefix("timm-")
    return f"tf_{own}" if "mobilenetv3" in own else own


def test_the_names_are_those_that_the_library_lists() -> None:
    networks = {name: encoder.architecture for name, encoder in ENCODERS.items()}
    assert {name for name, network in networks.items() if listed_as(network) is None} == UNLISTED
    assert listed_as("tf_efficientnet_b3") == "timm-efficientnet-b3"
    assert listed_as("efficientnet_b3") == "efficientnet-b3"
    assert listed_as("tf_mobilenetv3_large_100") == "timm-mobilenetv3_large_100"
    assert listed_as("tf_efficientnet_lite0") == "timm-tf_efficientnet_lite0"
    assert listed_as("vit_base_patch16_224") is None


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
