import pytest
import torch

from raycolor.networks.patch import PatchDiscriminator, receptive_field

FIELDS = [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)]


def test_has_the_parameters_of_pix2pix() -> None:
    with torch.device("meta"):
        network = PatchDiscriminator(width=64, downs=3)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_765_633


def test_has_the_patches_of_pix2pix() -> None:
    network = PatchDiscriminator(width=4, downs=3)
    l_unit = torch.zeros(1, 1, 256, 256)
    assert network(l_unit, l_unit.expand(-1, 2, -1, -1)).shape == (1, 1, 30, 30)


@pytest.mark.parametrize(("downs", "field"), FIELDS)
def test_one_logit_judges_exactly_its_field(downs: int, field: int) -> None:
    assert receptive_field(downs) == field
    network = PatchDiscriminator(width=4, downs=downs).double().eval()
    size = 2 ** (downs + 4)
    picture = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    logits = network(picture[:, :1], picture[:, 1:])
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert picture.grad is not None
    for channel in picture.grad[0] != 0:
        rows, columns = channel.nonzero(as_tuple=True)
        assert rows.max() - rows.min() + 1 == field
        assert columns.max() - columns.min() + 1 == field
        assert channel.sum() == field**2


@pytest.mark.parametrize("downs", [1, 2, 3, 4, 5])
def test_smallest_picture_that_is_allowed_has_several_patches(downs: int) -> None:
    # Batch norm needs more than one value.
    size = 4 * 2**downs
    network = PatchDiscriminator(width=4, downs=downs)
    logits = network(torch.rand(1, 1, size, size), torch.rand(1, 2, size, size))
    assert logits.shape == (1, 1, 2, 2)


def test_judges_color_as_well_as_lightness() -> None:
    network = PatchDiscriminator(width=4, downs=1).eval()
    l_unit, ab_unit = torch.rand(1, 1, 32, 32), torch.rand(1, 2, 32, 32)
    logits = network(l_unit, ab_unit)
    assert not torch.equal(network(l_unit, -ab_unit), logits)
    assert not torch.equal(network(-l_unit, ab_unit), logits)
