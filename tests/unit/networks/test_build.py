import pytest
import torch

from raycolor.networks.build import build_discriminator, build_generator, fast_dtype
from raycolor.networks.patch import receptive_field
from raycolor.networks.pretrained import PretrainedUNet
from raycolor.networks.unet import UNet
from tests.toy import TinyConfig

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [16, 32, 64])
def test_scratch_generator_halves_down_to_one_pixel(tiny_config: TinyConfig, size: int) -> None:
    generator = build_generator(tiny_config({"data.size": size}))
    assert isinstance(generator, UNet)
    assert 2 ** len(generator.downs) == size


def test_pretrained_generator_is_what_its_configuration_says(tiny_config: TinyConfig) -> None:
    config = tiny_config({"generator.backbone": "efficientnet_lite0"})
    generator = build_generator(config, pretrained=False)
    assert isinstance(generator, PretrainedUNet)


def test_weights_are_loaded_only_where_wanted(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr("raycolor.networks.build.encoder_state", refuse)
    config = tiny_config({"generator.backbone": "efficientnet_lite0"})
    build_generator(config, pretrained=False)
    build_generator(tiny_config({"generator.backbone": "resnest14d", "generator.weights": "none"}))
    # What has no encoder has no use for weights either.
    build_generator(tiny_config({"generator.weights": "missing.pth"}))
    with pytest.raises(AssertionError):
        build_generator(config)


@pytest.mark.parametrize("downs", [1, 2])
def test_discriminator_has_the_downs_of_its_configuration(
    tiny_config: TinyConfig, downs: int
) -> None:
    discriminator = build_discriminator(tiny_config({"discriminator.downs": downs}))
    strides = [
        layer.stride[0] for layer in discriminator.layers if isinstance(layer, torch.nn.Conv2d)
    ]
    assert strides == [2] * downs + [1, 1]
    assert receptive_field(downs) == {1: 16, 2: 34}[downs]


def test_precision_that_is_given_is_taken(tiny_config: TinyConfig) -> None:
    assert fast_dtype(tiny_config({"precision": "float32"}), CPU) == torch.float32
    assert fast_dtype(tiny_config({"precision": "bfloat16"}), CPU) == torch.bfloat16


@pytest.mark.parametrize("native", [False, True])
def test_automatic_precision_is_bfloat16_only_where_it_gains(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    scratch = tiny_config({"precision": "auto"})
    pretrained = tiny_config({"precision": "auto", "generator.backbone": "efficientnet_lite0"})
    assert fast_dtype(scratch, CPU) == (torch.bfloat16 if native else torch.float32)
    assert fast_dtype(pretrained, CPU) == torch.float32
