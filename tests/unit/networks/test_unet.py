import pytest
import torch

from raycolor.networks.unet import UNet


def test_has_the_parameters_of_pix2pix() -> None:
    with torch.device("meta"):
        network = UNet(width=64, depth=8, dropout=0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 54_409_858


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6, 7])
def test_answers_every_size_down_to_one_pixel_in_the_middle(depth: int) -> None:
    network = UNet(width=4, depth=depth, dropout=0.5)
    for sides in ((2**depth, 2**depth), (2**depth, 2 ** (depth + 1))):
        answer = network(torch.rand(2, 1, *sides) * 2 - 1)
        assert answer.shape == (2, 2, *sides)
        assert answer.abs().max() < 1


@pytest.mark.parametrize("depth", [2, 5])
def test_every_parameter_has_a_part_in_the_answer(depth: int) -> None:
    network = UNet(width=4, depth=depth, dropout=0.0)
    network(torch.rand(2, 1, 64, 64) * 2 - 1).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_every_pixel_reaches_every_pixel() -> None:
    # The bottleneck sees the whole picture.
    network = UNet(width=4, depth=5, dropout=0.0).double().eval()
    l_unit = (torch.rand(1, 1, 32, 32, dtype=torch.float64) * 2 - 1).requires_grad_()
    network(l_unit)[0, 0, 16, 16].backward()
    assert l_unit.grad is not None
    assert (l_unit.grad != 0).all()


def test_dropout_acts_in_training_only_and_in_the_innermost_levels_only() -> None:
    def dropouts(depth: int, dropout: float) -> int:
        network = UNet(width=4, depth=depth, dropout=dropout)
        return sum(isinstance(module, torch.nn.Dropout) for module in network.modules())

    # pix2pix has three at eight levels.
    assert [dropouts(depth, 0.5) for depth in (5, 6, 7, 8)] == [0, 1, 2, 3]
    assert dropouts(8, 0.0) == 0
    network = UNet(width=4, depth=6, dropout=0.5).eval()
    l_unit = torch.rand(1, 1, 64, 64)
    assert torch.equal(network(l_unit), network(l_unit))
    network.train()
    assert not torch.equal(network(l_unit), network(l_unit))


def test_initial_weights_are_those_of_pix2pix() -> None:
    network = UNet(width=32, depth=3, dropout=0.5)
    convolutions = [
        module.weight.detach().flatten()
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    ]
    weights = torch.cat(convolutions)
    assert float(weights.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
    norms = [
        module.weight.detach()
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert float(torch.cat(norms).mean()) == pytest.approx(1.0, abs=0.02)
