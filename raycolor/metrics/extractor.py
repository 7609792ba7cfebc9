"""Networks whose features the Fréchet distance compares.

Axis letters: b batch, h height, w width, d length of a feature.
"""

from typing import assert_never

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from raycolor.config import Extractor
from raycolor.weights import efficientnet_lite0_state


class FeatureExtractor(nn.Module):
    """A frozen classifier without its last layer, with the resizing and scaling it needs."""

    def __init__(self, network: nn.Module, *, size: int) -> None:
        """Wrap a network whose input is RGB in [-1, 1].

        Args:
            network: from pictures to pooled features.
            size: side in pixels to which pictures are resized (bilinear, antialiased).
        """
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size

    @torch.no_grad()
    def forward(self, rgb_u8: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return the features of pictures, whatever their size."""
        rgb = rgb_u8.float() / 127.5 - 1.0
        if rgb.shape[-2:] != (self.size, self.size):
            rgb = F.interpolate(rgb, size=(self.size, self.size), mode="bilinear", antialias=True)
        features: Tensor = self.network(rgb.contiguous(memory_format=torch.channels_last))
        return features


def build_extractor(name: Extractor, *, size: int) -> FeatureExtractor:
    """Build an extractor with its pretrained weights, on the CPU.

    Args:
        name: the network.
        size: side in pixels of the pictures that it sees.

    Raises:
        WeightsError: its weights are missing or damaged.
    """
    match name:
        case "efficientnet_lite0":
            network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
            state = efficientnet_lite0_state()
            network.load_state_dict(
                {key: value for key, value in state.items() if not key.startswith("classifier")}
            )
            return FeatureExtractor(network.to(memory_format=torch.channels_last), size=size)
        case _:
            assert_never(name)
