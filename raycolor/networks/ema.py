"""The moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


class MovingAverage:
    """Keeps an exponential moving average of a network's parameters.

    The average of a generator gives better pictures than the generator itself (Yazici et al.
    2018). The decay rises to its value over the first steps, so that the initial weights are soon
    forgotten: min(decay, (1 + step) / (10 + step)), as in TensorFlow. Buffers, which batch norm
    averages already, are copied. The tensors of both networks must stay the same objects: what is
    loaded is copied into them.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        # To walk through hundreds of modules at each step takes longer than the arithmetic.
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._buffers = list(self.network.buffers())
        self._followed: nn.Module | None = None
        self._their_parameters: list[Tensor] = []
        self._their_buffers: list[Tensor] = []

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after its step number `step` (from 0)."""
        if network is not self._followed:
            self._their_parameters = list(network.parameters())
            self._their_buffers = list(network.buffers())
            self._followed = network
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._parameters, self._their_parameters, 1.0 - decay)
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._their_buffers)
