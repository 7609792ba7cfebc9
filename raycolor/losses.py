"""The losses of both stages, all computed in float32.

Those of discriminators are means over true and generated pictures, halved where their authors or
pix2pix halve them. Axis letters: b batch, c channels, h height, w width, p q rows and columns of
outputs, r s rows and columns of a map of bins, n bins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from raycolor.bins import soft_encode
from raycolor.config import LossConfig


@runtime_checkable
class AdversarialLoss(Protocol):
    """A pair of losses over outputs of a discriminator, and what belongs to them."""

    @property
    def threshold(self) -> float | None:
        """Outputs above it say real; None where there is no such threshold."""
        ...

    @property
    def penalty(self) -> float | None:
        """Weight of the gradient penalty in the discriminator's loss; None for a loss without."""
        ...

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the discriminator minimises."""
        ...

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises."""
        ...


@dataclass(frozen=True, slots=True)
class Vanilla:
    """Binary cross-entropy with logits, the generator's in its non-saturating form.

    Discriminator: -(E[log s(D(real))] + E[log(1 - s(D(fake)))]) / 2; generator:
    -E[log s(D(fake))], with s the logistic function. Source: Goodfellow et al. 2014, equation 1
    and section 3; the half is pix2pix's (section 3.3), which slows the discriminator.

    With smoothing e the first term is (1 - e) log s(D(real)) + e log(1 - s(D(real))); the labels of
    generated pictures and the generator's loss stay. Source: Salimans et al. 2016, section 3.4.
    """

    smoothing: float = 0.0
    """How far the label of true pictures is below 1."""
    threshold: float | None = 0.0
    """Logits above it say real."""
    penalty: float | None = None

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the discriminator minimises; log 2 at chance."""
        for_real = F.softplus(-real.float()).mean()
        if self.smoothing:
            # log(1 - s(x)) = log s(x) - x.
            for_real = for_real + self.smoothing * real.float().mean()
        return (for_real + F.softplus(fake.float()).mean()) / 2

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises; near 0 when it fools the discriminator wholly."""
        return F.softplus(-fake.float()).mean()


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """Least squares with the labels 1 for real and 0 for fake.

    Discriminator: E[(D(real) - (1 - e))^2] / 2 + E[D(fake)^2] / 2, with smoothing e; generator:
    E[(D(fake) - 1)^2] / 2. Source: Mao et al. 2017, equation 9 with a = 0, b = c = 1. pix2pix's
    code has no half in the generator's loss, so the same lambda weighs double here.
    """

    smoothing: float = 0.0
    """How far the label of true pictures is below 1."""
    threshold: float | None = 0.5
    """Outputs nearer to 1 than to 0 say real."""
    penalty: float | None = None

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the discriminator minimises; 1/4 where all outputs are 1/2."""
        label = 1.0 - self.smoothing
        return ((real.float() - label).square().mean() + fake.float().square().mean()) / 2

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises; 0 when it fools the discriminator wholly."""
        return (fake.float() - 1.0).square().mean() / 2


@dataclass(frozen=True, slots=True)
class Hinge:
    """Outputs of at least 1 for real and at most -1 for fake cost nothing more.

    Discriminator: (E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))]) / 2; generator: -E[D(fake)].
    Source: Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17. The half is not theirs: it
    makes the loss comparable with the others, and Adam does not see it.
    """

    threshold: float | None = 0.0
    """Outputs above it say real."""
    penalty: float | None = None

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the discriminator minimises; 1 where all outputs are 0."""
        return (F.relu(1.0 - real.float()).mean() + F.relu(1.0 + fake.float()).mean()) / 2

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises; of either sign, without a lowest value."""
        return -fake.float().mean()


@dataclass(frozen=True, slots=True)
class Wasserstein:
    """The critic's estimate of a Wasserstein distance, with gradient penalty.

    Discriminator: E[D(fake)] - E[D(real)] + weight x penalty; generator: -E[D(fake)]. Source:
    Gulrajani et al. 2017, equation 3 and algorithm 1; they train the critic five times a step of
    the generator, here `discriminator.steps` says how often. Outputs have no threshold between real
    and fake, so there is no accuracy.
    """

    penalty: float | None = 10.0
    threshold: float | None = None

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the critic minimises, without the penalty; the distance with a minus."""
        return fake.float().mean() - real.float().mean()

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises; of either sign, without a lowest value."""
        return -fake.float().mean()


def adversarial_loss(config: LossConfig) -> AdversarialLoss:
    """Return the adversarial loss that a configuration names."""
    match config.adversarial:
        case "vanilla":
            return Vanilla(smoothing=config.label_smoothing)
        case "lsgan":
            return LeastSquares(smoothing=config.label_smoothing)
        case "hinge":
            return Hinge()
        case "wgan_gp":
            return Wasserstein(penalty=config.gradient_penalty)
        case _:
            assert_never(config.adversarial)


def gradient_penalty(
    critic: Callable[[Tensor, Tensor], Tensor],
    l_unit: Float[Tensor, "b 1 h w"],
    real_ab_unit: Float[Tensor, "b 2 h w"],
    fake_ab_unit: Float[Tensor, "b 2 h w"],
    fake_l_unit: Float[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean of (|gradient of D| - 1)^2 between true and generated colours.

    The gradient is that of a picture's mean output by a and b, at one random point of the line
    between the picture's true and generated colours. Lightness is the same at both ends, so it is
    held fixed; where it was generated too, the gradient is by L, a and b. Draws from torch's global
    generator.

    Args:
        critic: the discriminator; a picture's outputs depend on this picture alone.
        l_unit: the grey pictures.
        real_ab_unit: their true colours.
        fake_ab_unit: generated ones, without graph.
        fake_l_unit: generated lightness, without graph; None where it is the true one.

    Source: Gulrajani et al. 2017, equation 3. Of several outputs a picture the mean counts, since
    the loss takes it too; pix2pix's code takes their sum.
    """
    share_of_real = torch.rand(len(l_unit), 1, 1, 1, device=l_unit.device)
    between = torch.lerp(fake_ab_unit.float(), real_ab_unit, share_of_real).requires_grad_()
    with torch.autocast(l_unit.device.type, enabled=False):
        varied = [between]
        if fake_l_unit is not None:
            l_unit = torch.lerp(fake_l_unit.float(), l_unit, share_of_real).requires_grad_()
            varied.append(l_unit)
        outputs = critic(l_unit, between).flatten(1).mean(dim=1)
        # A critic that sees a and b alone has no gradient by L.
        gradients = torch.autograd.grad(
            outputs.sum(), varied, create_graph=True, materialize_grads=True
        )
    gradient = torch.cat([part.flatten(1) for part in gradients], dim=1)
    lengths: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (lengths - 1.0).square().mean()


def l1(predicted: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean absolute error in network units (110 Lab units of a and b are 1, 50 of L)."""
    return F.l1_loss(predicted.float(), truth)


def classification(
    logits: Float[Tensor, "b n r s"],
    ab_unit: Float[Tensor, "b 2 h w"],
    class_weights: Float[Tensor, " n"],
) -> Float[Tensor, ""]:
    """Return the cross-entropy of predicted bins with the true colours, rare ones weighing more.

    -v(Z) sum_q Z_q log Z'_q, with Z the true colour spread over its five nearest bins, Z' the
    prediction, and v the weight of the nearest bin. The mean over pixels is taken, where the paper
    has the sum, so that the loss does not grow with the picture.

    Args:
        logits: of the bins; a map that is smaller than the picture by a whole number.
        ab_unit: (a*, b*) / 110 of the truth, whose mean over each square of pixels counts.
        class_weights: of the bins, with mean 1 over the colours of the data set.

    Source: Zhang et al. 2016, equations 2 and 3.
    """
    truth, nearest = soft_encode(F.avg_pool2d(ab_unit, ab_unit.shape[-1] // logits.shape[-1]))
    entropy = F.cross_entropy(logits.float(), truth, reduction="none")
    return (class_weights[nearest] * entropy).mean()


def share(right: Bool[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
    """Share of outputs on the right side of the threshold."""
    return right.to(torch.float32).mean()
