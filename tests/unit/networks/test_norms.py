import pytest
import torch
from torch import nn

from raycolor.networks.norms import SpectralNorm, needs_bias, norm_layers, normalize_spectrally


def test_each_norm_is_what_it_is_called() -> None:
    (batch,) = norm_layers("batch", 3)
    (instance,) = norm_layers("instance", 3)
    assert isinstance(batch, nn.BatchNorm2d)
    assert isinstance(instance, nn.InstanceNorm2d)
    assert norm_layers("none", 3) == norm_layers("spectral", 3) == []
    # Its mean and spread are a picture's own, and it has nothing to learn.
    pictures = torch.randn(2, 3, 8, 8) * torch.tensor([1.0, 5.0]).reshape(2, 1, 1, 1) + 2
    for picture in instance(pictures):
        torch.testing.assert_close(picture.mean(dim=(1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
        assert picture.std(dim=(1, 2)).tolist() == pytest.approx([1.0] * 3, abs=0.02)
    assert not list(instance.parameters())


def test_only_batch_norm_brings_a_bias() -> None:
    assert not needs_bias("batch")
    assert needs_bias("instance")
    assert needs_bias("none")
    assert needs_bias("spectral")


def largest(weight: torch.Tensor) -> float:
    return float(torch.linalg.svdvals(weight.detach().flatten(1))[0])


def test_spectral_norm_finds_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3)
    with torch.no_grad():
        layer.weight.mul_(7.0)
    before = layer.weight.detach().clone()
    normalize_spectrally(layer)
    assert largest(layer.weight) == pytest.approx(1.0, abs=0.1)
    for _ in range(100):
        layer(torch.zeros(1, 4, 3, 3))
    assert largest(layer.weight) == pytest.approx(1.0, abs=1e-3)
    torch.testing.assert_close(
        layer.weight.detach() * largest(before), before, rtol=1e-2, atol=1e-3
    )


def test_spectral_norm_stands_still_outside_training() -> None:
    torch.manual_seed(0)
    norm, weight = SpectralNorm(torch.randn(4, 6)), torch.randn(4, 6)
    norm.eval()
    first = norm(weight)
    assert torch.equal(norm(weight), first)
    norm.train()
    assert not torch.equal(norm(weight), first)


def test_gradient_of_spectral_norm_is_that_of_the_quotient() -> None:
    torch.manual_seed(0)
    start = torch.randn(3, 4, dtype=torch.float64)
    norm = SpectralNorm(start).eval()
    assert torch.autograd.gradcheck(norm, start.clone().requires_grad_())


def test_two_passes_in_training_have_one_gradient() -> None:
    # The vectors move between the passes of real and fake, before either gradient is taken.
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 1)
    normalize_spectrally(layer)
    pictures = torch.randn(2, 2, 2, 5, 5)
    (layer(pictures[0]).mean() - layer(pictures[1]).square().mean()).backward()
    gradients = [value.grad for value in layer.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_low_precision_does_not_reach_the_singular_value() -> None:
    torch.manual_seed(0)
    norm, weight = SpectralNorm(torch.randn(16, 64)).eval(), torch.randn(16, 64)
    expected = norm(weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(norm(weight), expected)
