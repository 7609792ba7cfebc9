"""The pixel discriminator of pix2pix."""

from torch import nn

from raycolor.config import DiscriminatorNorm, Sight
from raycolor.networks.discriminator import CHANNELS, Discriminator
from raycolor.networks.norms import needs_bias, norm_layers


class PixelDiscriminator(Discriminator):
    """Judges each pixel alone, by three 1x1 convolutions: whether a colour is likely, not where.

    Width and twice the width between them, leaky ReLU, a norm in the middle one.

    Source: Isola et al. 2017, appendix 6.1.2, 1x1.
    """

    def __init__(
        self, *, width: int, sees: Sight = "lab", norm: DiscriminatorNorm = "batch"
    ) -> None:
        """Build the network.

        Args:
            width: channels after the first convolution.
            sees: what it is shown.
            norm: after the second convolution, or of all weights.
        """
        super().__init__()
        layers = [
            nn.Conv2d(CHANNELS[sees], width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 1, bias=needs_bias(norm)),
            *norm_layers(norm, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1),
        ]
        self._finish(layers, sees=sees, norm=norm)
