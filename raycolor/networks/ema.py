"""The moving average of a network's weights."""

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps an exponential moving average of a network's parameters.

    The average of a generator gives better pictures than the generator itself (Yazici et al.
    2018). The decay rises to its value over the first steps, so that the initial weights are soon
    forgotten: min(decay, (1 + step) / (10 + step)), as in TensorFlow. Buffers, which batch norm
    averages already, are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after its step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.network.parameters()), list(network.parameters()), 1.0 - decay
        )
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
