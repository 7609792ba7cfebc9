"""The patch discriminator of pix2pix."""

from torch import nn

from raycolor.config import DiscriminatorNorm, Sight
from raycolor.networks.discriminator import CHANNELS, Discriminator
from raycolor.networks.norms import needs_bias, norm_layers
from raycolor.networks.unet import WIDEST


class PatchDiscriminator(Discriminator):
    """Judges each patch of a picture.

    `downs` convolutions with stride 2, one with stride 1, and a last one to a single channel, all
    4x4; leaky ReLU between them, a norm in all but the first and last. With 3 downs, width 64 and
    batch norm: receptive field 70, 2,765,633 parameters, 30x30 outputs at 256 pixels. Instance norm
    sees the whole picture, so the receptive field is the convolutions' alone then.

    Source: Isola et al. 2017, appendix 6.1.2.
    """

    def __init__(
        self, *, width: int, downs: int, sees: Sight = "lab", norm: DiscriminatorNorm = "batch"
    ) -> None:
        """Build the network.

        Args:
            width: channels after the first convolution.
            downs: number of halvings.
            sees: what it is shown.
            norm: after the inner convolutions, or of all weights.
        """
        super().__init__()
        layers: list[nn.Module] = []
        before = CHANNELS[sees]
        for level in range(downs + 1):
            out = width * min(2**level, WIDEST)
            stride = 2 if level < downs else 1
            bias = level == 0 or needs_bias(norm)
            layers.append(nn.Conv2d(before, out, 4, stride=stride, padding=1, bias=bias))
            if level:
                layers += norm_layers(norm, out)
            layers.append(nn.LeakyReLU(0.2))
            before = out
        layers.append(nn.Conv2d(before, 1, 4, stride=1, padding=1))
        self._finish(layers, sees=sees, norm=norm)


def receptive_field(downs: int) -> int:
    """Side in pixels of the patch that one output judges; 70 for 3 downs."""
    field = 1
    for stride in [1, 1] + [2] * downs:
        field = (field - 1) * stride + 4
    return field
