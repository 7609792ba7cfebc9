"""How far an answer is from the truth: what a generator learns beside the adversarial game.

Axis letters: b batch, c channels, h height, w width, p and r rows and columns of an answer, q bins.
"""

from dataclasses import dataclass
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from raycolor import losses
from raycolor.config import TrialConfig, classifies
from raycolor.networks.answers import Seen, read_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Scalars about one batch of answers, float32."""

    loss: Tensor
    """What is minimised, before it is multiplied; with its graph."""
    l1: Tensor
    """Mean absolute error of a and b, whatever is minimised."""
    lightness: Tensor | None = None
    """Mean absolute error of L, where it is predicted."""
    classification: Tensor | None = None
    """Cross-entropy over bins, where they are predicted."""


def content_of(
    answer: Float[Tensor, "b c p r"],
    l_unit: Float[Tensor, "b 1 h w"],
    ab_unit: Float[Tensor, "b 2 h w"],
    config: TrialConfig,
    *,
    class_weights: Float[Tensor, " q"] | None,
    seen: Seen | None = None,
) -> Content:
    """Compare answers with the truth.

    What is minimised is the L1 of all channels that were predicted: a and b, or of red, green and
    blue L, a and b; or the cross-entropy of bins.

    Args:
        answer: the generator's, with its graph.
        l_unit: the grey pictures.
        ab_unit: their true colours.
        config: of the run.
        class_weights: of the bins; None where there are none.
        seen: what the answer looks like, if that is known already.
    """
    if classifies(config):
        assert class_weights is not None
        # Colours are for the record here, so nothing is learned through them.
        looks = seen or read_answer(answer.detach(), l_unit, config)
        loss = losses.classification(answer, ab_unit, class_weights)
        return Content(
            loss=loss,
            l1=losses.l1(looks.ab_unit.detach(), ab_unit),
            classification=loss.detach(),
        )
    looks = seen or read_answer(answer, l_unit, config)
    l1 = losses.l1(looks.ab_unit, ab_unit)
    if config.generator.predicts == "ab":
        return Content(loss=l1, l1=l1.detach())
    lightness = losses.l1(looks.l_unit, l_unit)
    return Content(loss=(lightness + 2 * l1) / 3, l1=l1.detach(), lightness=lightness.detach())


def content_weight(config: TrialConfig) -> float:
    """Return what the content's loss is multiplied by, beside the adversarial one."""
    match config.losses.kind:
        case "l1_gan":
            return config.losses.l1_lambda
        case "classification_gan":
            return config.losses.classification_weight
        case "l1" | "classification":
            return 1.0
        case _:
            assert_never(config.losses.kind)
