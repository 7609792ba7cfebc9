import math

import pytest
import torch
from torch import Tensor

from raycolor import bins, color
from raycolor.bins import annealed_mean, bin_centers, nearest_bins, rare_weights, soft_encode

ROWS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100),
    -40: (-40, 100), -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100),
    10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90), 50: (-100, 80),
    60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0),
}  # fmt: skip
"""Lowest and highest b of the published bins of each a."""


def map_of(*colors: tuple[float, float]) -> Tensor:
    """Lay colours out as one row of a picture, in network units."""
    return torch.tensor(colors).T[None, :, None] / color.AB_SCALE


def test_bins_are_those_that_the_paper_counts() -> None:
    centers = bin_centers()
    published = [(a, b) for a, (low, high) in ROWS.items() for b in range(low, high + 1, 10)]
    assert len(published) == bins.NUM_BINS == 313
    assert centers.tolist() == [list(map(float, point)) for point in published]


def test_every_colour_has_a_bin_near_it() -> None:
    levels = torch.arange(0, 256, 15, dtype=torch.uint8)
    every = torch.cartesian_prod(levels, levels, levels).T[None, :, None].contiguous()
    _, ab_unit = color.rgb_to_unit(every)
    _, squared = nearest_bins(ab_unit)
    # Half the diagonal of a bin: the nearest point of the endless grid is a bin.
    assert squared.max().sqrt() <= 10 / math.sqrt(2) + 1e-4


def test_soft_encoding_spreads_a_colour_over_the_five_nearest_bins() -> None:
    picture = map_of((0.0, 0.0), (13.0, -28.0), (98.0, -61.0), (5.0, 5.0))
    encoded, nearest = soft_encode(picture)
    assert encoded.shape == (1, 313, 1, 4)
    assert ((encoded > 0).sum(dim=1) == 5).all()
    torch.testing.assert_close(encoded.sum(dim=1), torch.ones(1, 1, 4))
    assert bin_centers()[nearest.flatten()[:3]].tolist() == [[0, 0], [10, -30], [100, -60]]
    # On a centre: itself, and four neighbours at 10 Lab units, e^-2 of it each.
    own = encoded[0, nearest[0, 0, 0], 0, 0]
    assert float(own) == pytest.approx(1 / (1 + 4 * math.exp(-2)))


def test_annealed_mean_goes_from_the_mean_to_the_most_probable_bin() -> None:
    logits = torch.full((1, 313, 1, 1), -50.0)
    centers = bin_centers()
    first, second = 100, 200
    logits[0, first], logits[0, second] = math.log(0.6), math.log(0.4)
    mean = 0.6 * centers[first] + 0.4 * centers[second]
    for temperature, expected in ((1.0, mean), (0.01, centers[first])):
        found = annealed_mean(logits, temperature).flatten() * color.AB_SCALE
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    sharper = torch.tensor([0.6, 0.4]) ** (1 / 0.38)
    share = sharper[0] / sharper.sum()
    found = annealed_mean(logits, 0.38).flatten() * color.AB_SCALE
    expected = share * centers[first] + (1 - share) * centers[second]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_decoding_what_was_encoded_gives_nearly_the_colour() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = (torch.rand(1, 2, 8, 8, generator=generator) - 0.5) * 60 / color.AB_SCALE
    encoded, _ = soft_encode(picture)
    again = annealed_mean(encoded.log(), 1.0)
    assert (again - picture).abs().max() * color.AB_SCALE < 5
    assert (again - picture).abs().mean() * color.AB_SCALE < 2


def test_annealed_mean_is_differentiable_and_in_float32() -> None:
    logits = torch.randn(2, 313, 3, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        answer = annealed_mean(logits, 0.38)
    assert answer.dtype == torch.float32
    answer.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() > 0


class TestRareWeights:
    def test_they_have_mean_one_over_the_smoothed_colours(self) -> None:
        counts = torch.zeros(313)
        counts[150] = 1000.0
        weights = rare_weights(counts)
        assert weights.shape == (313,)
        assert int(weights.argmin()) == 150
        # Where a colour is never near, p is 0 and the weight Q / (1 / 2) before scaling.
        far = (bin_centers() - bin_centers()[150]).norm(dim=1) > 60
        assert torch.allclose(weights[far], weights.max())
        ratio = weights.max() / weights.min()
        # p of the bin itself after smoothing: 1 beside four and four neighbours, e^-2 and e^-4.
        p = 1 / (1 + 4 * math.exp(-2) + 4 * math.exp(-4))
        assert float(ratio) == pytest.approx((p / 2 + 0.5 / 313) / (0.5 / 313), rel=1e-3)

    def test_a_uniform_distribution_weighs_all_nearly_alike(self) -> None:
        weights = rare_weights(torch.full((313,), 7.0), uniform=1.0)
        torch.testing.assert_close(weights, torch.ones(313))

    def test_the_unit_of_frequencies_does_not_matter(self) -> None:
        counts = torch.arange(313.0)
        torch.testing.assert_close(rare_weights(counts), rare_weights(counts * 1e6))
        smoothing = rare_weights(counts, uniform=0.0).reciprocal()
        assert (smoothing > 0).all()
