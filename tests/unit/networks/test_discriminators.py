"""The discriminators of one pixel and of the whole picture."""

import pytest
import torch
from torch import nn

from raycolor.networks.image import ImageDiscriminator
from raycolor.networks.pixel import PixelDiscriminator


def test_a_pixel_is_judged_alone() -> None:
    torch.manual_seed(0)
    network = PixelDiscriminator(width=8).eval()
    l_unit, ab_unit = torch.rand(1, 1, 6, 6), torch.rand(1, 2, 6, 6)
    before = network(l_unit, ab_unit)
    ab_unit[0, 0, 2, 3] += 1
    changed = (network(l_unit, ab_unit) != before)[0, 0]
    assert changed.nonzero().tolist() == [[2, 3]]


def test_pixel_has_the_parameters_of_its_three_convolutions() -> None:
    network = PixelDiscriminator(width=64)
    assert sum(value.numel() for value in network.parameters()) == (
        (3 * 64 + 64) + 64 * 128 + 2 * 128 + (128 + 1)
    )


@pytest.mark.parametrize(
    ("size", "halvings"), [(16, 2), (20, 2), (28, 2), (32, 3), (64, 4), (96, 4), (252, 5)]
)
def test_a_picture_of_any_size_gives_one_number(size: int, halvings: int) -> None:
    network = ImageDiscriminator(width=4, size=size)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == halvings + 1
    assert 4 <= convolutions[-1].kernel_size[0] < 8
    answer = network(torch.rand(2, 1, size, size), torch.rand(2, 2, size, size))
    assert answer.shape == (2, 1, 1, 1)


@pytest.mark.parametrize("size", [32, 36])
def test_every_pixel_has_a_part_in_the_number(size: int) -> None:
    torch.manual_seed(0)
    network = ImageDiscriminator(width=4, size=size).double().eval()
    ab_unit = torch.rand(1, 2, size, size, dtype=torch.float64, requires_grad=True)
    network(torch.zeros(1, 1, size, size, dtype=torch.float64), ab_unit).sum().backward()
    assert ab_unit.grad is not None
    assert (ab_unit.grad != 0).all()
