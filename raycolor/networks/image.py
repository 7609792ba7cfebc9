"""A discriminator that gives one number for a whole picture."""

from torch import nn

from raycolor.config import DiscriminatorNorm, Sight
from raycolor.networks.discriminator import CHANNELS, Discriminator
from raycolor.networks.norms import needs_bias, norm_layers
from raycolor.networks.unet import WIDEST

SMALLEST = 8
"""Sides from here on are halved once more, so the last convolution sees 4 to 7 pixels."""


class ImageDiscriminator(Discriminator):
    """Judges a picture as a whole.

    4x4 convolutions with stride 2 until the picture has 4 to 7 pixels a side, and a last one that
    covers what is left; leaky ReLU between them, a norm in all but the first and last. At 64 pixels
    and width 128 it is the discriminator of DCGAN.

    Source: Radford et al. 2016, figure 1 and section 3; that the last layer covers 4x4 pixels is
    their published code's.
    """

    def __init__(
        self, *, width: int, size: int, sees: Sight = "lab", norm: DiscriminatorNorm = "batch"
    ) -> None:
        """Build the network.

        Args:
            width: channels after the first convolution.
            size: side of the pictures in pixels, at least 8; it takes no other.
            sees: what it is shown.
            norm: after the inner convolutions, or of all weights.
        """
        super().__init__()
        layers: list[nn.Module] = []
        before, side, level = CHANNELS[sees], size, 0
        while side >= SMALLEST:
            out = width * min(2**level, WIDEST)
            bias = level == 0 or needs_bias(norm)
            layers.append(nn.Conv2d(before, out, 4, stride=2, padding=1, bias=bias))
            if level:
                layers += norm_layers(norm, out)
            layers.append(nn.LeakyReLU(0.2))
            before, side, level = out, side // 2, level + 1
        layers.append(nn.Conv2d(before, 1, side))
        self._finish(layers, sees=sees, norm=norm)
