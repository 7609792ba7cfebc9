"""What a generator's answer is, and the colours that it stands for.

All that reads an answer does it here: training, evaluation, scoring and `colorize`. Axis letters:
b batch, c channels, h height, w width, p and r rows and columns of an answer.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from raycolor import color
from raycolor.bins import NUM_BINS, annealed_mean
from raycolor.config import BinsAt, TrialConfig, classifies

REDUCTIONS: dict[BinsAt, int] = {"full": 1, "half": 2, "quarter": 4}


@dataclass(frozen=True, slots=True)
class Answer:
    """The form of a generator's output."""

    channels: int
    reduction: int
    """How many times smaller than the picture it is."""
    bounded: bool
    """Whether it ends in tanh, for values in (-1, 1)."""


COLORS = Answer(channels=2, reduction=1, bounded=True)
"""a and b."""
PIXELS = Answer(channels=3, reduction=1, bounded=True)
"""Red, green and blue."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a generator's answer looks like; with its graph."""

    l_unit: Float[Tensor, "b 1 h w"]
    """L* / 50 - 1: as it was given, where the generator does not predict it."""
    ab_unit: Float[Tensor, "b 2 h w"]
    """(a*, b*) / 110."""


def answer_of(config: TrialConfig) -> Answer:
    """Return the form of the answers of a configuration's generator."""
    if classifies(config):
        return Answer(channels=NUM_BINS, reduction=reduction(config), bounded=False)
    return PIXELS if config.generator.predicts == "rgb" else COLORS


def reduction(config: TrialConfig) -> int:
    """How many times smaller than the picture a map of bins is."""
    return REDUCTIONS[config.generator.bins_at]


def read_answer(
    answer: Float[Tensor, "b c p r"], l_unit: Float[Tensor, "b 1 h w"], config: TrialConfig
) -> Seen:
    """Read an answer as a picture.

    Args:
        answer: a and b, or sRGB in [-1, 1], or logits of bins.
        l_unit: the grey picture that was answered to.
        config: of the generator.
    """
    if classifies(config):
        ab_unit = annealed_mean(answer, config.generator.temperature)
        if (times := reduction(config)) > 1:
            ab_unit = F.interpolate(ab_unit, scale_factor=times, mode="bilinear")
        return Seen(l_unit, ab_unit)
    if config.generator.predicts == "rgb":
        return Seen(*color.pixels_to_unit(answer))
    return Seen(l_unit, answer)


def full_size_head(channels: int, answer: Answer) -> nn.Conv2d:
    """Build the last layer of a decoder whose features are as large as the picture.

    Args:
        channels: of the features.
        answer: the form of the output. A smaller one sees each square of pixels that it stands for.
    """
    if answer.reduction == 1:
        return nn.Conv2d(channels, answer.channels, 3, padding=1)
    return nn.Conv2d(channels, answer.channels, answer.reduction, stride=answer.reduction)


class Painter(nn.Module):
    """A generator whose answers are read as a and b."""

    def __init__(self, generator: nn.Module, config: TrialConfig) -> None:
        """Wrap a generator.

        Args:
            generator: from `l_unit` to answers.
            config: that it was built from.
        """
        super().__init__()
        self.generator = generator
        self._config = config

    def forward(self, l_unit: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 h w"]:
        """Predict a and b; a lightness that was predicted too is left out."""
        return read_answer(self.generator(l_unit), l_unit, self._config).ab_unit
