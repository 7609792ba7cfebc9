import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from raycolor.metrics.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
    nuclear_norm,
)


class Projection(nn.Module):
    """A stand-in for a feature extractor: a fixed random projection of the pixels."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        generator = torch.Generator().manual_seed(7)
        self.matrix = torch.randn(3 * 8 * 8, num_features, generator=generator) / 10

    def forward(self, rgb_u8: Tensor) -> Tensor:
        return torch.relu((rgb_u8.flatten(1).float() / 127.5 - 1) @ self.matrix)


def draw(number: int, *, seed: int, low: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, 256, (number, 3, 8, 8), dtype=torch.uint8, generator=generator)


def statistics(number: int, length: int, seed: int) -> FeatureStatistics:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(length, length, generator=generator)
    return feature_statistics(torch.randn(number, length, generator=generator) @ mixing + seed)


@pytest.mark.parametrize(
    ("real", "fake", "length"),
    [(12, 12, 32), (12, 20, 32), (40, 12, 32), (32, 33, 32), (200, 200, 8), (64, 300, 16)],
)
def test_equals_torchmetrics(real: int, fake: int, length: int) -> None:
    extractor = Projection(length)
    reals, fakes = draw(real, seed=0), draw(fake, seed=1, low=64)
    theirs = FrechetInceptionDistance(feature=extractor)
    theirs.update(reals, real=True)
    theirs.update(fakes, real=False)
    ours = frechet_distance(
        feature_statistics(extractor(reals)), feature_statistics(extractor(fakes))
    )
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-4)


@pytest.mark.parametrize(
    ("real", "fake", "length"), [(20, 25, 64), (63, 63, 64), (64, 64, 64), (90, 300, 64)]
)
def test_equals_the_square_root_of_scipy(real: int, fake: int, length: int) -> None:
    sets = [statistics(number, length, seed) for seed, number in enumerate((fake, real))]
    means = [some.mean.numpy() for some in sets]
    # As papers write it down: the square root of the product of two covariances.
    covariances = [some.centered.T.numpy() @ some.centered.numpy() for some in sets]
    with warnings.catch_warnings():
        # Of fewer pictures than features the product is singular, and the root inexact.
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    expected = (
        np.square(means[0] - means[1]).sum()
        + sum(np.trace(c) for c in covariances)
        - 2 * np.trace(root.real)
    )
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-6)


def test_what_is_kept_for_the_next_distance_changes_nothing() -> None:
    x, y, z = (statistics(60, 30, seed) for seed in range(3))
    first = frechet_distance(x, y)
    frechet_distance(x, z)
    assert frechet_distance(x, y) == first
    assert frechet_distance(statistics(60, 30, 0), statistics(60, 30, 1)) == first


REGIMES = pytest.mark.parametrize(
    ("number", "length"), [(10, 30), (30, 30), (60, 30)], ids=["fewer", "as many", "more"]
)
"""Pictures against features: the two formulas meet at equality."""


@REGIMES
def test_is_zero_for_equal_sets(number: int, length: int) -> None:
    x = statistics(number, length, 0)
    scale = float(x.centered.square().sum())
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6 * scale)


def test_features_that_agree_leave_the_number_as_it_is() -> None:
    # Their covariance has no factor of Cholesky: one feature is always 0, one is told twice.
    x, y = (torch.randn(90, 20, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    y = y * 1.5 + 0.2
    plain = frechet_distance(feature_statistics(x), feature_statistics(y))
    zero = torch.zeros(90, 1)
    widened = [feature_statistics(torch.cat([some, zero], dim=1)) for some in (x, y)]
    assert frechet_distance(*widened) == pytest.approx(plain, rel=1e-9)
    twice = [torch.cat([some, some[:, :1]], dim=1) for some in (x, y)]
    # A rotation of the two equal features into one of double variance and one that is always 0.
    turned = [torch.cat([some[:, :1] * 2**0.5, some[:, 1:]], dim=1) for some in (x, y)]
    expected = frechet_distance(*(feature_statistics(some) for some in turned))
    found = frechet_distance(*(feature_statistics(some) for some in twice))
    assert found == pytest.approx(expected, rel=1e-6)


@REGIMES
def test_is_symmetric(number: int, length: int) -> None:
    x, y = statistics(number, length, 0), statistics(number + 3, length, 1)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)


@REGIMES
def test_of_a_shifted_set_is_the_squared_shift(number: int, length: int) -> None:
    x = torch.randn(number, length, generator=torch.Generator().manual_seed(0)).double()
    shift = torch.linspace(-1, 1, length, dtype=torch.float64)
    distance = frechet_distance(feature_statistics(x), feature_statistics(x + shift))
    assert distance == pytest.approx(float(shift.square().sum()), rel=1e-5)


@REGIMES
def test_of_a_scaled_set_is_its_spread(number: int, length: int) -> None:
    x = torch.randn(number, length, generator=torch.Generator().manual_seed(0)).double()
    x -= x.mean(dim=0)
    variance = float(x.var(dim=0).sum())
    distance = frechet_distance(feature_statistics(x), feature_statistics(3 * x))
    assert distance == pytest.approx((3 - 1) ** 2 * variance, rel=1e-5)


def test_both_formulas_give_one_number() -> None:
    # Features that are always 0 change nothing but the formula that is taken.
    x, y = (torch.randn(50, 20, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    y = y * 1.5 + 0.2
    more_pictures = frechet_distance(feature_statistics(x), feature_statistics(y))
    zeros = torch.zeros(50, 80)
    fewer_pictures = frechet_distance(
        feature_statistics(torch.cat([x, zeros], dim=1)),
        feature_statistics(torch.cat([y, zeros], dim=1)),
    )
    assert fewer_pictures == pytest.approx(more_pictures, rel=1e-9)


def test_of_one_feature_has_a_closed_form() -> None:
    x = torch.tensor([[1.0], [3.0]])  # mean 2, unbiased variance 2
    y = torch.tensor([[0.0], [5.0], [10.0]])  # mean 5, unbiased variance 25
    expected = (2 - 5) ** 2 + (2**0.5 - 5) ** 2
    distance = frechet_distance(feature_statistics(x), feature_statistics(y))
    assert distance == pytest.approx(expected, rel=1e-12)


def test_does_not_depend_on_the_order_of_pictures() -> None:
    x = torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    y = statistics(40, 10, 1)
    shuffled = x[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    first = frechet_distance(feature_statistics(x), y)
    assert frechet_distance(feature_statistics(shuffled), y) == pytest.approx(first, rel=1e-9)


def test_statistics_are_exact_where_float32_is_not() -> None:
    # A large mean would swallow the variance in float32 sums of squares.
    x = torch.tensor([[4096.0], [4097.0], [4098.0]])
    prepared = feature_statistics(x)
    assert prepared.centered.dtype == torch.float64
    assert float(prepared.mean) == 4097.0
    assert float(prepared.centered.square().sum()) == pytest.approx(1.0, rel=1e-12)


def centered_products(number: int, others: int) -> Tensor:
    """Products of centered features whose sizes fall by six orders, as those of networks do."""
    generator = torch.Generator().manual_seed(number)
    x, y = (torch.randn(rows, 900, generator=generator) for rows in (number, others))
    sizes = torch.logspace(0, -3, 900)
    return feature_statistics(x * sizes).centered @ feature_statistics(y * sizes).centered.T


@pytest.mark.parametrize(("number", "others"), [(300, 300), (300, 340), (340, 300)])
def test_many_pictures_give_the_sum_of_singular_values(
    number: int, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = centered_products(number, others)
    expected = float(torch.linalg.svdvals(product).sum())
    monkeypatch.setattr(torch.linalg, "svdvals", None)
    assert nuclear_norm(product) == pytest.approx(expected, rel=1e-12)


def test_pictures_that_are_alike_are_summed_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    x = feature_statistics(torch.randn(30, 400, generator=generator).repeat(10, 1)).centered
    y = feature_statistics(torch.randn(300, 400, generator=generator)).centered
    product = x @ y.T
    assert nuclear_norm(product) == float(torch.linalg.svdvals(product).sum())


def test_many_pictures_that_are_all_the_same_have_no_spread() -> None:
    x = feature_statistics(torch.ones(300, 400))
    assert nuclear_norm(x.centered @ x.centered.T) == 0.0
    assert frechet_distance(x, x) == 0.0
