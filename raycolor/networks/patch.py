"""The patch discriminator of pix2pix.

Axis letters: b batch, h height, w width, p q rows and columns of patches.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.networks.unet import WIDEST, initialize


class PatchDiscriminator(nn.Module):
    """Judges each patch of a picture: one logit a patch, positive for real.

    `downs` convolutions with stride 2, one with stride 1, and a last one to a single channel, all
    4x4; leaky ReLU between them, batch norm in all but the first and last. With 3 downs and width
    64: receptive field 70, 2,765,633 parameters, 30x30 logits at 256 pixels.

    Source: Isola et al. 2017, appendix 6.1.2.
    """

    def __init__(self, *, width: int, downs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for level in range(downs + 1):
            out = width * min(2**level, WIDEST)
            layers.append(
                nn.Conv2d(
                    before, out, 4, stride=2 if level < downs else 1, padding=1, bias=level == 0
                )
            )
            if level:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.LeakyReLU(0.2))
            before = out
        layers.append(nn.Conv2d(before, 1, 4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(
        self, l_unit: Float[Tensor, "b 1 h w"], ab_unit: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b 1 p q"]:
        """Judge coloured pictures.

        Args:
            l_unit: L* / 50 - 1.
            ab_unit: (a*, b*) / 110, of the truth or of a generator.

        Returns:
            One logit a patch.
        """
        logits: Tensor = self.layers(torch.cat([l_unit, ab_unit], dim=1))
        return logits


def receptive_field(downs: int) -> int:
    """Side in pixels of the patch that one logit judges; 70 for 3 downs."""
    field = 1
    for stride in [1, 1] + [2] * downs:
        field = (field - 1) * stride + 4
    return field
