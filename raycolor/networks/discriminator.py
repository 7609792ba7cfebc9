"""What all discriminators have in common: what they see, and what they answer.

Axis letters: b batch, h height, w width, c channels, p q rows and columns of outputs.
"""

from abc import ABC

import torch
from jaxtyping import Float
from torch import Tensor, nn

from raycolor.config import DiscriminatorNorm, Sight
from raycolor.networks.norms import normalize_spectrally
from raycolor.networks.unet import initialize

CHANNELS: dict[Sight, int] = {"lab": 3, "ab": 2}


class Discriminator(nn.Module, ABC):
    """Judges pictures: outputs are high for true colours and low for generated ones."""

    sees: Sight
    layers: nn.Sequential

    def _finish(self, layers: list[nn.Module], *, sees: Sight, norm: DiscriminatorNorm) -> None:
        """Take the layers, and draw their weights as pix2pix does."""
        self.sees = sees
        self.layers = nn.Sequential(*layers)
        self.apply(initialize)
        if norm == "spectral":
            normalize_spectrally(self)

    def forward(
        self, l_unit: Float[Tensor, "b 1 h w"], ab_unit: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b 1 p q"]:
        """Judge coloured pictures.

        Args:
            l_unit: L* / 50 - 1; not looked at by one that sees a and b alone.
            ab_unit: (a*, b*) / 110, of the truth or of a generator.

        Returns:
            One output a patch, a pixel or a picture; what it means is the loss's business.
        """
        seen = torch.cat([l_unit, ab_unit], dim=1) if self.sees == "lab" else ab_unit
        outputs: Tensor = self.layers(seen)
        return outputs
