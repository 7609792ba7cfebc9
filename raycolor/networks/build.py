"""From configuration to networks."""

from typing import assert_never

import torch
from torch import nn

from raycolor.config import TrialConfig, encoder_of, generator_depth
from raycolor.networks.answers import answer_of
from raycolor.networks.discriminator import Discriminator
from raycolor.networks.encoder_state import Contents, encoder_state
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


def build_generator(
    config: TrialConfig, *, pretrained: bool = True, contents: Contents | None = None
) -> nn.Module:
    """Build the generator that a configuration describes, on the CPU.

    Args:
        config: the trial's configuration.
        pretrained: give an encoder the weights that `generator.weights` names; false where other
            weights are loaded over them anyway.
        contents: files of weights that the driver has found; what is missing is looked for.

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.
    """
    match config.generator.kind:
        case "unet":
            return _build_unet(config, pretrained=pretrained, contents=contents)
        case "gan_32":
            return GanGenerator(GENERATOR_32, answer=answer_of(config))
        case "gan_256":
            return GanGenerator(GENERATOR_256, answer=answer_of(config))
        case _:
            assert_never(config.generator.kind)


def _build_unet(config: TrialConfig, *, pretrained: bool, contents: Contents | None) -> nn.Module:
    generator = config.generator
    if generator.backbone == "scratch":
        return UNet(
            width=generator.width,
            depth=generator_depth(config),
            dropout=generator.dropout,
            norm=generator.norm,
            decoder=generator.decoder,
            answer=answer_of(config),
        )
    state = None
    if pretrained and generator.weights != "none":
        state = encoder_state(generator.backbone, generator.weights, contents)
    return PretrainedUNet(
        backbone=generator.backbone,
        decoder_width=generator.decoder_width,
        encoder_state=state,
        answer=answer_of(config),
    )


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
                native = torch.cpu._is_avx512_bf16_supported() and encoder_of(config) is None
            return torch.bfloat16 if native else torch.float32
        case _:
            assert_never(config.precision)
