import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from raycolor.config import AdversarialName
from raycolor.losses import ADVERSARIAL, Vanilla, l1, share

VANILLA = Vanilla()


@pytest.fixture(params=[1.0, 30.0])
def patches(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    """Patch outputs for real and fake pictures, moderate and extreme."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 4, 1, 6, 6, generator=generator) * request.param
    return real, fake


def test_every_name_has_its_loss() -> None:
    assert set(ADVERSARIAL) == set(get_args(AdversarialName))


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


def test_losses_of_low_precision_are_float32() -> None:
    low = torch.randn(2, 1, 3, 3, dtype=torch.bfloat16)
    assert VANILLA.discriminator(low, low).dtype == torch.float32
    assert VANILLA.generator(low).dtype == torch.float32
    assert l1(low.expand(-1, 2, -1, -1), torch.zeros(2, 2, 3, 3)).dtype == torch.float32


def test_l1_is_the_mean_absolute_error() -> None:
    predicted = torch.tensor([0.5, -0.5, 0.0, 1.0]).reshape(1, 2, 1, 2)
    truth = torch.tensor([0.0, 0.5, 0.0, 0.5]).reshape(1, 2, 1, 2)
    assert float(l1(predicted, truth)) == pytest.approx((0.5 + 1.0 + 0.0 + 0.5) / 4)
    assert float(l1(truth, truth)) == 0.0


def test_share_counts() -> None:
    right = torch.tensor([True, False, True, True]).reshape(1, 1, 2, 2)
    assert float(share(right)) == 0.75
