from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.fx.proxy import TraceError

from raycolor.metrics.folding import fold_batch_norms


def unsettled(network: nn.Module) -> nn.Module:
    """Give each normalisation constants that are not those of a new one."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, low, high in (
                ("weight", 0.5, 1.5),
                ("bias", -0.5, 0.5),
                ("running_mean", -0.5, 0.5),
                ("running_var", 0.5, 1.5),
            ):
                getattr(module, name).data.uniform_(low, high, generator=generator)
    return network.eval()


@torch.no_grad()
def test_a_network_of_timm_gives_the_same_features() -> None:
    network = unsettled(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    before = network(x)
    assert fold_batch_norms(network) == 49
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert before.std() > 1e-3  # or equality would say nothing
    torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


class Own(nn.Module):
    """A network whose structure a test chooses."""

    def __init__(self, run: Callable[["Own", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self._run = run

    def forward(self, x: Tensor) -> Tensor:
        return self._run(self, x)


@pytest.mark.parametrize(
    ("run", "number"),
    [
        (lambda own, x: own.first(own.conv(x)), 1),
        (lambda own, x: own.second(own.first(own.conv(x))), 1),
        (lambda own, x: own.first(x), 0),
        (lambda own, x: own.conv(own.first(x)), 0),
        (lambda own, x: own.first(own.conv(x).relu()), 0),
        # A convolution that is used twice, or whose plain answer is.
        (lambda own, x: own.first(own.conv(x)) + own.second(own.conv(x)), 0),
        (lambda own, x: own.first(y := own.conv(x)) + y, 0),
    ],
    ids=["pair", "two in a row", "alone", "before", "not at once", "shared", "answer used"],
)
@torch.no_grad()
def test_folds_what_may_be_folded(run: Callable[[Own, Tensor], Tensor], number: int) -> None:
    network = unsettled(Own(run))
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    before = network(x)
    assert fold_batch_norms(network) == number
    torch.testing.assert_close(network(x), before)


def test_refuses_what_it_cannot_follow() -> None:
    network = unsettled(Own(lambda own, x: own.conv(x) if x.sum() > 0 else own.first(x)))
    with pytest.raises(TraceError):
        fold_batch_norms(network)
