import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raycolor.bins import NUM_BINS, soft_encode
from raycolor.color import AB_SCALE
from raycolor.config import LossConfig
from raycolor.losses import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Vanilla,
    Wasserstein,
    adversarial_loss,
    classification,
    gradient_penalty,
    l1,
    share,
)

VANILLA = Vanilla()
ALL = [Vanilla(), Vanilla(smoothing=0.1), LeastSquares(), Hinge(), Wasserstein()]


@pytest.fixture(params=[1.0, 30.0])
def patches(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    """Patch outputs for real and fake pictures, moderate and extreme."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 4, 1, 6, 6, generator=generator) * request.param
    return real, fake


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Vanilla()),
        ({"label_smoothing": 0.1}, Vanilla(smoothing=0.1)),
        ({"adversarial": "lsgan", "label_smoothing": 0.2}, LeastSquares(smoothing=0.2)),
        ({"adversarial": "hinge"}, Hinge()),
        ({"adversarial": "wgan_gp", "gradient_penalty": 3.0}, Wasserstein(penalty=3.0)),
    ],
)
def test_a_loss_is_what_its_configuration_says(
    settings: dict[str, str | float], expected: AdversarialLoss
) -> None:
    assert adversarial_loss(LossConfig.model_validate(settings)) == expected


def test_vanilla_is_binary_cross_entropy(patches: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = patches
    for_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    for_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(VANILLA.discriminator(real, fake), (for_real + for_fake) / 2)
    fooled = F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    torch.testing.assert_close(VANILLA.generator(fake), fooled)


def test_vanilla_is_log_2_at_chance() -> None:
    zeros = torch.zeros(2, 1, 3, 3)
    assert float(VANILLA.discriminator(zeros, zeros)) == pytest.approx(math.log(2))
    assert float(VANILLA.generator(zeros)) == pytest.approx(math.log(2))


def test_vanilla_never_overflows() -> None:
    far = torch.full((2, 1, 3, 3), 1e4, requires_grad=True)
    loss = VANILLA.discriminator(-far, far)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1e4)
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_vanilla_generator_learns_most_where_it_is_seen_through() -> None:
    # The saturating form would give the smallest gradient there.
    logits = torch.tensor([-5.0, 0.0, 5.0]).reshape(3, 1, 1, 1).requires_grad_()
    VANILLA.generator(logits).backward()
    assert logits.grad is not None
    first, second, third = logits.grad.flatten().tolist()
    assert first < second < third < 0


@pytest.mark.parametrize("loss", ALL)
def test_losses_of_low_precision_are_float32(loss: AdversarialLoss) -> None:
    low = torch.randn(2, 1, 3, 3, dtype=torch.bfloat16)
    assert loss.discriminator(low, low).dtype == torch.float32
    assert loss.generator(low).dtype == torch.float32
    assert l1(low.expand(-1, 2, -1, -1), torch.zeros(2, 2, 3, 3)).dtype == torch.float32


def test_l1_is_the_mean_absolute_error() -> None:
    predicted = torch.tensor([0.5, -0.5, 0.0, 1.0]).reshape(1, 2, 1, 2)
    truth = torch.tensor([0.0, 0.5, 0.0, 0.5]).reshape(1, 2, 1, 2)
    assert float(l1(predicted, truth)) == pytest.approx((0.5 + 1.0 + 0.0 + 0.5) / 4)
    assert float(l1(truth, truth)) == 0.0


def test_share_counts() -> None:
    right = torch.tensor([True, False, True, True]).reshape(1, 1, 2, 2)
    assert float(share(right)) == 0.75


def test_least_squares_are_those_of_equation_9(patches: tuple[Tensor, Tensor]) -> None:
    real, fake = patches
    expected = F.mse_loss(real, torch.ones_like(real)) + F.mse_loss(fake, torch.zeros_like(fake))
    torch.testing.assert_close(LeastSquares().discriminator(real, fake), expected / 2)
    fooled = F.mse_loss(fake, torch.ones_like(fake)) / 2
    torch.testing.assert_close(LeastSquares().generator(fake), fooled)


def test_hinge_is_that_of_equation_16(patches: tuple[Tensor, Tensor]) -> None:
    real, fake = (outputs.double().numpy() for outputs in patches)
    expected = -np.minimum(0, real - 1).mean() - np.minimum(0, -fake - 1).mean()
    found = Hinge().discriminator(*patches)
    assert float(found) == pytest.approx(expected / 2, rel=1e-5)
    assert float(Hinge().generator(patches[1])) == pytest.approx(-fake.mean(), rel=1e-4, abs=1e-6)


def test_hinge_asks_for_no_more_than_its_margin() -> None:
    outputs = torch.tensor([1.5, 0.5]).reshape(2, 1, 1, 1).requires_grad_()
    Hinge().discriminator(outputs, -outputs.detach()).backward()
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == [0.0, -0.25]


@pytest.mark.parametrize(
    ("loss", "chance", "at_chance"),
    [(Vanilla(), 0.0, math.log(2)), (LeastSquares(), 0.5, 0.25), (Hinge(), 0.0, 1.0)],
)
def test_threshold_is_where_the_loss_is_undecided(
    loss: AdversarialLoss, chance: float, at_chance: float
) -> None:
    outputs = torch.full((2, 1, 3, 3), chance)
    assert loss.threshold == chance
    assert float(loss.discriminator(outputs, outputs)) == pytest.approx(at_chance)
    # To be on the right side costs less, on the wrong side more.
    right = loss.discriminator(outputs + 0.1, outputs - 0.1)
    wrong = loss.discriminator(outputs - 0.1, outputs + 0.1)
    assert right < at_chance < wrong


@pytest.mark.parametrize("loss", ALL)
def test_generator_wants_to_be_taken_for_real(loss: AdversarialLoss) -> None:
    outputs = torch.zeros(2, 1, 3, 3, requires_grad=True)
    loss.generator(outputs).backward()
    assert outputs.grad is not None
    assert (outputs.grad < 0).all()


def test_smoothing_is_binary_cross_entropy_with_a_lower_label_for_real(
    patches: tuple[Tensor, Tensor],
) -> None:
    real, fake = patches
    for_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9))
    for_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    smooth = Vanilla(smoothing=0.1)
    torch.testing.assert_close(smooth.discriminator(real, fake), (for_real + for_fake) / 2)
    torch.testing.assert_close(smooth.generator(fake), Vanilla().generator(fake))


@pytest.mark.parametrize("loss", [Vanilla(smoothing=0.1), LeastSquares(smoothing=0.1)])
def test_smoothing_moves_the_best_answer_for_real_alone(loss: AdversarialLoss) -> None:
    outputs = torch.linspace(-4, 4, 8001, dtype=torch.float64)

    def best(judge: Callable[[Tensor], Tensor]) -> float:
        losses = [float(judge(output.reshape(1, 1, 1, 1))) for output in outputs[::10]]
        return float(outputs[::10][int(np.argmin(losses))])

    far = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    for_real = best(lambda output: loss.discriminator(output, far))
    expected = math.log(0.9 / 0.1) if isinstance(loss, Vanilla) else 0.9
    assert for_real == pytest.approx(expected, abs=0.011)


def test_wasserstein_is_a_difference_of_means() -> None:
    real, fake = torch.full((2, 1, 1, 1), 3.0), torch.full((2, 1, 1, 1), -1.0)
    assert float(Wasserstein().discriminator(real, fake)) == -4.0
    assert float(Wasserstein().generator(fake)) == 1.0
    assert Wasserstein().threshold is None


class TestGradientPenalty:
    REAL, FAKE = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    L_UNIT = torch.zeros(3, 1, 4, 4)

    @pytest.mark.parametrize(("slope", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
    def test_is_the_squared_distance_of_the_slope_from_1(
        self, slope: float, expected: float
    ) -> None:
        direction = F.normalize(torch.arange(1.0, 33.0), dim=0).reshape(1, 2, 4, 4)

        def critic(l_unit: Tensor, ab_unit: Tensor) -> Tensor:
            return (slope * direction * ab_unit).sum(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)

        found = gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE)
        assert float(found.detach()) == pytest.approx(expected, abs=1e-5)

    def test_several_outputs_count_by_their_mean(self) -> None:
        def critic(l_unit: Tensor, ab_unit: Tensor) -> Tensor:
            return ab_unit[:, :1]

        # The gradient of a mean of 16 is 1/16 in 16 places: its length is 1/4.
        found = gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE)
        assert float(found.detach()) == pytest.approx((1 / 4 - 1) ** 2)

    def test_looks_between_true_and_generated_colours(self) -> None:
        seen = []

        def critic(l_unit: Tensor, ab_unit: Tensor) -> Tensor:
            seen.append(ab_unit.detach())
            return ab_unit.mean(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)

        gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE)
        shares = (seen[0] - self.FAKE) / (self.REAL - self.FAKE)
        for picture in shares.flatten(1):
            assert 0 <= picture[0] <= 1
            torch.testing.assert_close(picture, picture[0].expand_as(picture), rtol=0, atol=1e-3)
        # Another place for each picture.
        assert len({round(float(picture[0, 0, 0]), 3) for picture in shares}) == 3

    def test_lightness_that_was_generated_varies_too(self) -> None:
        def critic(l_unit: Tensor, ab_unit: Tensor) -> Tensor:
            return l_unit * 3 + ab_unit[:, :1] * 4

        # A mean over 16 places: the gradient is 5/16 in 16 places, of length 5/4.
        fake_l_unit = torch.full_like(self.L_UNIT, 0.5)
        found = gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE, fake_l_unit)
        assert float(found.detach()) == pytest.approx((5 / 4 - 1) ** 2)
        held = gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE)
        assert float(held.detach()) == pytest.approx((4 / 4 - 1) ** 2, abs=1e-9)

    def test_teaches_the_critic(self) -> None:
        slope = torch.tensor(3.0, requires_grad=True)

        def critic(l_unit: Tensor, ab_unit: Tensor) -> Tensor:
            return slope * ab_unit[:, :1].mean(dim=(2, 3), keepdim=True) * 4

        gradient_penalty(critic, self.L_UNIT, self.REAL, self.FAKE).backward()
        assert slope.grad is not None
        # (s - 1)^2 at 3.
        assert float(slope.grad) == pytest.approx(4.0)


class TestClassification:
    AB_UNIT = torch.rand(2, 2, 8, 8, generator=torch.Generator().manual_seed(3)) - 0.5
    EVEN = torch.ones(NUM_BINS)

    @pytest.mark.parametrize("side", [8, 4, 2])
    def test_is_the_logarithm_of_the_number_of_bins_when_all_are_as_probable(
        self, side: int
    ) -> None:
        loss = classification(torch.zeros(2, NUM_BINS, side, side), self.AB_UNIT, self.EVEN)
        assert float(loss) == pytest.approx(math.log(NUM_BINS), rel=1e-5)

    def test_is_lowest_at_the_truth(self) -> None:
        truth, _ = soft_encode(F.avg_pool2d(self.AB_UNIT, 4))
        right = truth.clamp(min=1e-9).log()
        lowest = classification(right, self.AB_UNIT, self.EVEN)
        entropy = -(truth * right).sum(dim=1).mean()
        torch.testing.assert_close(lowest, entropy, rtol=1e-4, atol=1e-5)
        noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
        assert classification(right + noise, self.AB_UNIT, self.EVEN) > lowest

    def test_a_pixel_weighs_as_its_nearest_bin(self) -> None:
        ab_unit = torch.zeros(1, 2, 1, 2)
        ab_unit[0, :, 0, 1] = torch.tensor([50.0, 30.0]) / AB_SCALE
        _, nearest = soft_encode(ab_unit)
        weights = torch.ones(NUM_BINS)
        weights[nearest[0, 0, 1]] = 5.0
        logits = torch.zeros(1, NUM_BINS, 1, 2, dtype=torch.bfloat16)
        loss = classification(logits, ab_unit, weights)
        assert loss.dtype == torch.float32
        assert float(loss) == pytest.approx((1 + 5) / 2 * math.log(NUM_BINS), rel=1e-5)
