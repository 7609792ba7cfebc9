"""Normalisation: of what a layer answers, or of a layer's weights.

Axis letters: o output channels, in what one of them sees.
"""

from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from raycolor.config import DiscriminatorNorm


def norm_layers(norm: DiscriminatorNorm, channels: int) -> list[nn.Module]:
    """Return the layers that follow a convolution: one, or none.

    Instance norm has neither weights nor running statistics, as in pix2pix: it is the same in
    training and afterwards.
    """
    match norm:
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "instance":
            return [nn.InstanceNorm2d(channels)]
        case "none" | "spectral":
            return []
        case _:
            assert_never(norm)


def needs_bias(norm: DiscriminatorNorm) -> bool:
    """Tell whether a convolution before the norm has a bias; batch norm brings its own."""
    return norm != "batch"


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, so that its layer is 1-Lipschitz.

    A weight is taken as a matrix of output channels by all that one of them sees. The singular
    value is followed by one step of the power iteration each time the layer runs in training.

    Source: Miyato et al. 2018, equations 8 and 9, algorithm 1. The first vectors come from ten
    steps instead of none, so that the first answers are normalised too.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Float[Tensor, "o ..."]) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        for name, length in zip("uv", matrix.shape, strict=True):
            start = torch.randn(length, dtype=matrix.dtype, device=matrix.device)
            self.register_buffer(name, F.normalize(start, dim=0))
        for _ in range(10):
            self._iterate(matrix)

    def forward(self, weight: Float[Tensor, "o ..."]) -> Float[Tensor, "o ..."]:
        """Return the normalised weight, in float32 whatever the layer computes in."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix)
            # Copies, since the next pass changes the vectors before this one's gradient is taken.
            largest = self.u.clone() @ matrix @ self.v.clone()
            return weight / largest

    @torch.no_grad()
    def _iterate(self, matrix: Float[Tensor, "o in"]) -> None:
        self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))


def normalize_spectrally(network: nn.Module) -> None:
    """Put spectral norm on all convolutions of a network; after their initial weights are drawn."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(module, "weight", SpectralNorm(module.weight))
