"""Weights for the FID's network without the real ones, which are a download."""

import functools

import torch
from torch import Tensor
from torchvision.models.inception import Inception3


@functools.cache
def random_state() -> dict[str, Tensor]:
    """Draw all weights of the network so that features neither vanish nor explode."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = Inception3(
        num_classes=1008, aux_logits=False, init_weights=False
    ).state_dict()
    for name, values in state.items():
        drawn = torch.randn(values.shape, generator=generator)
        share = torch.rand(values.shape, generator=generator)
        if name.endswith("conv.weight"):
            values.copy_(drawn * (2 / values[0].numel()) ** 0.5)
        elif name.endswith(("bn.weight", "running_var")):
            values.copy_(share + 0.5)
        elif values.ndim:
            values.copy_(drawn * 0.1)
    return state
