"""The U-Net of pix2pix, trained from scratch.

Axis letters: b batch, c channels, h height, w width, p and r rows and columns of an answer.
"""

from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.config import Decoder, GeneratorNorm
from raycolor.networks.answers import COLORS, Answer
from raycolor.networks.norms import needs_bias, norm_layers

WIDEST = 8
"""Channels double at each level up to this many times the width."""


class UNet(nn.Module):
    """Convolutions down to the bottleneck and transposed ones back up, with skip connections.

    Each level halves the picture: 4x4 convolution, stride 2, norm (not in the first level, nor in
    the bottleneck), leaky ReLU; the way up mirrors it, with dropout in the innermost levels that
    are `WIDEST` wide, and tanh at the end where the output is colours. At 8 levels, width 64 and
    batch norm: 54,409,858 parameters. With the decoder `resize` a level of the way up enlarges by
    nearest neighbour and convolves 3x3, as the decoders on pretrained backbones do (Odena et al.
    2016).

    Source: Isola et al. 2017, appendix 6.1, with one input and two output channels.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        dropout: float,
        norm: GeneratorNorm = "batch",
        decoder: Decoder = "transposed",
        answer: Answer = COLORS,
    ) -> None:
        """Build the network.

        Args:
            width: channels after the first convolution.
            depth: number of halvings; the input's sides are multiples of 2 ** depth.
            dropout: probability in the innermost levels of the decoder.
            norm: after the inner convolutions.
            decoder: how a level of the way up enlarges.
            answer: the form of the output.
        """
        super().__init__()
        bias = needs_bias(norm)
        channels = [width * min(2**level, WIDEST) for level in range(depth)]
        self.downs = nn.ModuleList()
        for level, out in enumerate(channels):
            before = channels[level - 1] if level else 1
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if level else []
            layers.append(nn.Conv2d(before, out, 4, stride=2, padding=1, bias=bias))
            if 0 < level < depth - 1:
                layers += norm_layers(norm, out)
            self.downs.append(nn.Sequential(*layers))
        self.ups = nn.ModuleList()
        for level in reversed(range(depth)):
            innermost = level == depth - 1
            before = channels[level] * (1 if innermost else 2)
            layers = [nn.ReLU()]
            if level == 0:
                layers += _ending(decoder, before, answer)
            else:
                out = channels[level - 1]
                layers += _enlarging(decoder, before, out, bias=bias)
                layers += norm_layers(norm, out)
                if not innermost and channels[level] == out == width * WIDEST and dropout:
                    layers.append(nn.Dropout(dropout))
            self.ups.append(nn.Sequential(*layers))
        self.apply(initialize)

    def forward(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p r"]:
        """Answer to grey pictures.

        Args:
            l_unit: L* / 50 - 1; sides are multiples of 2 ** depth.

        Returns:
            What `answer` says; by default (a*, b*) / 110, in (-1, 1).
        """
        skips: list[Tensor] = []
        deep = l_unit
        for down in self.downs:
            deep = down(deep)
            skips.append(deep)
        x: Tensor = self.ups[0](skips.pop())
        for up in list(self.ups)[1:]:
            x = up(torch.cat([skips.pop(), x], dim=1))
        return x


def _enlarging(decoder: Decoder, before: int, out: int, *, bias: bool = True) -> list[nn.Module]:
    match decoder:
        case "transposed":
            return [nn.ConvTranspose2d(before, out, 4, stride=2, padding=1, bias=bias)]
        case "resize":
            return [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(before, out, 3, padding=1, bias=bias),
            ]
        case _:
            assert_never(decoder)


def _ending(decoder: Decoder, before: int, answer: Answer) -> list[nn.Module]:
    """Build the last level, whose features are half as large as the picture."""
    match answer.reduction:
        case 1:
            layers = _enlarging(decoder, before, answer.channels)
        case 2:
            layers = [nn.Conv2d(before, answer.channels, 3, padding=1)]
        case times:
            layers = [nn.Conv2d(before, answer.channels, times // 2, stride=times // 2)]
    return [*layers, nn.Tanh()] if answer.bounded else layers


def initialize(module: nn.Module) -> None:
    """Draw weights as pix2pix does: N(0, 0.02) in convolutions, N(1, 0.02) in batch norm."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
