"""The Inception network of the FID, as TensorFlow's graph of 2015-12-05 computes it.

torchvision has the same layers under the same names. What differs are the poolings inside three
kinds of blocks, which TensorFlow takes over the pixels that are there, without the padding; and the
resizing in front. Source: Szegedy et al. 2016 for the network, Heusel et al. 2017 for the FID.

Axis letters: b batch, c channels, h height, w width, d length of a feature.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.inception import (
    BasicConv2d,
    Inception3,
    InceptionA,
    InceptionC,
    InceptionE,
)

from raycolor.metrics.folding import fold_pair

NUM_CLASSES = 1008
"""Of the last layer, which is not used."""
SIDE = 299
"""Of the pictures that the network takes, in pixels."""


class _BlockA(InceptionA):  # type: ignore[misc]  # torchvision has no types
    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_mean(x)),
        )
        return torch.cat(branches, dim=1)


class _BlockC(InceptionC):  # type: ignore[misc]  # torchvision has no types
    def forward(self, x: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branches = (
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_mean(x)),
        )
        return torch.cat(branches, dim=1)


class _BlockE(InceptionE):  # type: ignore[misc]  # torchvision has no types
    """The two last blocks pool differently: the mean in the first, the largest in the second."""

    def __init__(self, channels: int, *, takes_mean: bool) -> None:
        super().__init__(channels)
        self._takes_mean = takes_mean

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = _mean(x) if self._takes_mean else F.max_pool2d(x, 3, stride=1, padding=1)
        branches = (
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        )
        return torch.cat(branches, dim=1)


def _mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def inception_network(state: dict[str, Tensor]) -> nn.Module:
    """Build the network up to its pooled features.

    Args:
        state: all its weights, the last layer's included.

    Returns:
        From pictures of 299 pixels, (x - 128) / 128, to 2048 features each.

    Raises:
        RuntimeError: the weights are those of another network.
    """
    network = Inception3(
        num_classes=NUM_CLASSES, aux_logits=False, transform_input=False, init_weights=False
    )
    for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        setattr(network, f"Mixed_{name}", _BlockA(channels, pool_features=pooled))
    for name, narrow in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(network, f"Mixed_{name}", _BlockC(768, channels_7x7=narrow))
    network.Mixed_7b = _BlockE(1280, takes_mean=True)
    network.Mixed_7c = _BlockE(2048, takes_mean=False)
    network.load_state_dict(state)
    network.fc = nn.Identity()
    network.eval()
    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.bn = fold_pair(module.conv, module.bn)
    return network  # type: ignore[no-any-return]  # torchvision has no types


def resize_as_tensorflow(
    x: Float[Tensor, "b c h w"], *, size: int
) -> Float[Tensor, "b c {size} {size}"]:
    """Resize bilinearly as TensorFlow 1 did: pixel i comes from i * old / new, with no half pixel.

    Neither corners nor centres of the two grids meet, and nothing is smoothed where pictures
    shrink: the FID is defined with it.
    """
    rows = _between(x, dim=-2, size=size)
    return _between(rows, dim=-1, size=size)


def _between(x: Tensor, *, dim: int, size: int) -> Tensor:
    old = x.shape[dim]
    places = torch.arange(size, dtype=torch.float32, device=x.device) * (old / size)
    low = places.floor().long().clamp(max=old - 1)
    high = (low + 1).clamp(max=old - 1)
    share = (places - low).view(-1, 1) if dim == -2 else places - low
    below, above = x.index_select(dim, low), x.index_select(dim, high)
    return below + (above - below) * share
