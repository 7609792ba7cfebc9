"""From configuration to networks."""

from typing import assert_never

import torch
from torch import nn

from raycolor.config import TrialConfig, generator_depth
from raycolor.networks.patch import PatchDiscriminator
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
    generator = config.generator
    match generator.backbone:
        case "scratch":
            return UNet(
                width=generator.width, depth=generator_depth(config), dropout=generator.dropout
            )
        case "efficientnet_lite0":
            return PretrainedUNet(decoder_width=generator.decoder_width, pretrained=pretrained)
        case _:
            assert_never(generator.backbone)


def build_discriminator(config: TrialConfig) -> PatchDiscriminator:
    """Build the discriminator that a configuration describes, on the CPU."""
    return PatchDiscriminator(width=config.discriminator.width, downs=config.discriminator.downs)


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
                native = (
                    torch.cpu._is_avx512_bf16_supported() and config.generator.backbone == "scratch"
                )
            return torch.bfloat16 if native else torch.float32
        case _:
            assert_never(config.precision)
