"""The losses of both stages.

Axis letters: b batch, h height, w width, p q rows and columns of patches.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from raycolor.config import AdversarialName


class AdversarialLoss(Protocol):
    """A pair of losses over patch outputs, and the threshold between real and fake."""

    @property
    def threshold(self) -> float | None:
        """Outputs above it say real; None where there is no such threshold."""
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
    """

    threshold: float | None = 0.0
    """Logits above it say real."""

    def discriminator(
        self, real: Float[Tensor, "b 1 p q"], fake: Float[Tensor, "b 1 p q"]
    ) -> Float[Tensor, ""]:
        """Loss that the discriminator minimises; log 2 at chance."""
        return (F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()) / 2

    def generator(self, fake: Float[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
        """Loss that the generator minimises; near 0 when it fools the discriminator wholly."""
        return F.softplus(-fake.float()).mean()


ADVERSARIAL: dict[AdversarialName, AdversarialLoss] = {"vanilla": Vanilla()}


def l1(predicted: Float[Tensor, "b 2 h w"], truth: Float[Tensor, "b 2 h w"]) -> Float[Tensor, ""]:
    """Mean absolute error of a and b in network units (110 Lab units are 1)."""
    return F.l1_loss(predicted.float(), truth)


def share(right: Bool[Tensor, "b 1 p q"]) -> Float[Tensor, ""]:
    """Share of patch outputs on the right side of the threshold."""
    return right.to(torch.float32).mean()
