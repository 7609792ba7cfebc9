import pytest
import torch
from torch import nn

from raycolor.networks.gan_colorizer import (
    DISCRIMINATOR_32,
    DISCRIMINATOR_256,
    GENERATOR_32,
    GENERATOR_256,
    Encoder,
    GanDiscriminator,
    GanGenerator,
)


@pytest.mark.parametrize(
    ("encoder", "sides"),
    [(GENERATOR_32, [32, 16, 8]), (GENERATOR_256, [16, 16, 8, 8, 4])],
)
def test_encoder_has_the_channels_and_strides_that_are_known(
    encoder: Encoder, sides: list[int]
) -> None:
    network = GanGenerator(encoder)
    seen = []
    for down in network.downs:
        down.register_forward_hook(lambda *args: seen.append(tuple(args[2].shape[1:])))
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 2, 32, 32)
    channels = [channels for channels, _ in encoder]
    assert seen == [(c, side, side) for c, side in zip(channels, sides, strict=True)]


@pytest.mark.parametrize(("encoder", "skips"), [(GENERATOR_32, 2), (GENERATOR_256, 2)])
def test_skips_carry_what_the_bottleneck_does_not(encoder: Encoder, skips: int) -> None:
    network = GanGenerator(encoder).eval()
    l_unit = torch.rand(1, 1, 32, 32)
    answer = network(l_unit)
    # Without the deepest convolution the picture still comes through.
    network.downs[-1].register_forward_hook(lambda *args: torch.zeros_like(args[2]))
    assert len(network.merges) == skips
    blind = network(l_unit)
    assert not torch.equal(blind, answer)
    assert not torch.equal(network(l_unit.flip(-1)), blind)


@pytest.mark.parametrize("encoder", [GENERATOR_32, GENERATOR_256])
def test_every_weight_has_a_part_in_the_answer(encoder: Encoder) -> None:
    torch.manual_seed(0)
    network = GanGenerator(encoder)
    network(torch.rand(2, 1, 32, 32) * 2 - 1).square().sum().backward()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("channels", "size", "inputs"),
    [(DISCRIMINATOR_32, 32, 128 * 4**2), (DISCRIMINATOR_256, 256, 256 * 16**2)],
)
def test_discriminator_ends_in_one_dense_layer_over_the_whole_picture(
    channels: tuple[int, ...], size: int, inputs: int
) -> None:
    with torch.device("meta"):
        network = GanDiscriminator(channels, size=size)
        (dense,) = (module for module in network.modules() if isinstance(module, nn.Linear))
        answer = network(torch.rand(2, 1, size, size), torch.rand(2, 2, size, size))
    assert dense.in_features == inputs
    assert answer.shape == (2, 1, 1, 1)


def test_weights_are_drawn_as_keras_draws_them() -> None:
    torch.manual_seed(0)
    network = GanDiscriminator(DISCRIMINATOR_256, size=64)
    (*_, last) = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    # Uniform over +-sqrt(6 / (inputs + outputs)) of a unit's field.
    limit = (6 / (9 * 128 + 9 * 256)) ** 0.5
    weights = last.weight.detach()
    assert float(weights.abs().max()) == pytest.approx(limit, rel=1e-3)
    assert float(weights.std()) == pytest.approx(limit / 3**0.5, rel=0.01)
