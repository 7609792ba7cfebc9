"""From configuration to networks."""

from typing import assert_never

import torch
from torch import nn

from raycolor.config import TrialConfig, generator_depth, has_pretrained_backbone
from raycolor.networks.discriminator import Discriminator
from raycolor.networks.gan_colorizer import (
    DISCRIMINATOR_32,
    DISCRIMINATOR_256,
    GENERATOR_32,
    GENERATOR_256,
    GanDiscriminator,
    GanGenerator,
)
from raycolor.networks.image import ImageDiscriminator
from raycolor.networks.patch import PatchDiscriminator
from raycolor.networks.pixel import PixelDiscriminator
from raycolor.networks.pretrained import PretrainedUNet
from raycolor.networks.unet import UNet


def build_generator(config: TrialConfig, *, pretrained: bool = True) -> nn.Module:
    """Build the generator that a configuration describes, on the CPU.

    Args:
        config: the trial's configuration.
        pretrained: load ImageNet weights where the backbone has them.

    Raises:
        WeightsError: pretrained weights are missing or damaged.
    """
    match config.generator.kind:
        case "unet":
            return _build_unet(config, pretrained=pretrained)
        case "gan_32":
            return GanGenerator(GENERATOR_32)
        case "gan_256":
            return GanGenerator(GENERATOR_256)
        case _:
            assert_never(config.generator.kind)


def _build_unet(config: TrialConfig, *, pretrained: bool) -> nn.Module:
    generator = config.generator
    match generator.backbone:
        case "scratch":
            return UNet(
                width=generator.width,
                depth=generator_depth(config),
                dropout=generator.dropout,
                norm=generator.norm,
                decoder=generator.decoder,
            )
        case "efficientnet_lite0":
            return PretrainedUNet(decoder_width=generator.decoder_width, pretrained=pretrained)
        case _:
            assert_never(generator.backbone)


def build_discriminator(config: TrialConfig) -> Discriminator:
    """Build the discriminator that a configuration describes, on the CPU."""
    chosen, size = config.discriminator, config.data.size
    match chosen.kind:
        case "patch":
            return PatchDiscriminator(
                width=chosen.width, downs=chosen.downs, sees=chosen.sees, norm=chosen.norm
            )
        case "pixel":
            return PixelDiscriminator(width=chosen.width, sees=chosen.sees, norm=chosen.norm)
        case "image":
            return ImageDiscriminator(
                width=chosen.width, size=size, sees=chosen.sees, norm=chosen.norm
            )
        case "gan_32":
            return GanDiscriminator(DISCRIMINATOR_32, size=size)
        case "gan_256":
            return GanDiscriminator(DISCRIMINATOR_256, size=size)
        case _:
            assert_never(chosen.kind)


def fast_dtype(config: TrialConfig, device: torch.device) -> torch.dtype:
    """Precision of the networks' forward passes.

    Depthwise convolutions lose more in bfloat16 on a CPU than matrix products gain, and a CPU
    without bfloat16 instructions only emulates it; see docs/experiments.md for the measurements.
    """
    match config.precision:
        case "float32":
            return torch.float32
        case "bfloat16":
            return torch.bfloat16
        case "auto":
            if device.type == "cuda":
                native = torch.cuda.is_bf16_supported(including_emulation=False)
            else:
                native = torch.cpu._is_avx512_bf16_supported() and not has_pretrained_backbone(
                    config
                )
            return torch.bfloat16 if native else torch.float32
        case _:
            assert_never(config.precision)
