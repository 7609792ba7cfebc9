"""Kinds of values that settings take, and the names of settings that rules speak of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raycolor.timm_names import is_timm_name, timm_names

GeneratorKind = Literal["unet", "gan_32", "gan_256"]
GeneratorNorm = Literal["batch", "instance", "none"]
Decoder = Literal["transposed", "resize"]
DiscriminatorKind = Literal["patch", "pixel", "image", "gan_32", "gan_256"]
DiscriminatorNorm = Literal["batch", "instance", "none", "spectral"]
Sight = Literal["lab", "ab"]
Predicts = Literal["ab", "rgb"]
BinsAt = Literal["full", "half", "quarter"]
LossKind = Literal["l1_gan", "l1", "classification", "classification_gan"]
AdversarialName = Literal["vanilla", "lsgan", "hinge", "wgan_gp"]
Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]
Determinism = Literal["exact", "fast"]

PositiveInt = Annotated[int, Field(ge=1, lt=2**62)]
"""Sums of two still fit into 64 bits, which numpy and Arrow count in."""
LearningRate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Text:
    """Marks a setting that takes text of its own beside some words."""

    noun: str
    """What it is, to stand after `take`."""
    names: Callable[[], frozenset[str]] | None = None
    """All texts that are possible; None for any."""
    takes: Callable[[str], bool] | None = None
    """Tells whether a text is possible, where there are more than `names` lists."""
    pattern: str | None = None
    """What every possible text matches, for editors."""


OF_TIMM = Text("the name of a network of timm", timm_names, is_timm_name)


def _of_timm(name: str) -> str:
    if not is_timm_name(name):
        raise ValueError(f"{name!r} is no network of timm; take {OF_TIMM.noun}")
    return name


Extractor = (
    Literal["efficientnet_lite0", "inception_v3"]
    | Annotated[str, OF_TIMM, AfterValidator(_of_timm)]
)
FilePath = Annotated[str, Text("the path of a file"), Field(min_length=1)]


def _is_weights_file(name: str) -> bool:
    return name.endswith((".pth", ".pt", ".safetensors"))


Weights = (
    Literal["imagenet", "none"]
    | Annotated[
        str,
        Field(pattern=r".\.(pth|pt|safetensors)$"),
        Text(
            "the path of a file that ends in .pth, .pt or .safetensors",
            takes=_is_weights_file,
            pattern=r".\.(pth|pt|safetensors)$",
        ),
    ]
)

EXTRACTOR_SIZES = {"efficientnet_lite0": 128, "inception_v3": 299}
"""Sides in pixels where none is given."""
ENCODER_STRIDE = 32
"""A pretrained encoder halves its input five times, so sizes are multiples of this."""
GAN_STRIDES: dict[GeneratorKind, int] = {"gan_32": 4, "gan_256": 8}
"""These generators are convolutional throughout: sides are any multiples of this."""
DENSE_STRIDES: dict[DiscriminatorKind, int] = {"gan_32": 8, "gan_256": 16}
"""These discriminators halve so often before their dense layer, which fixes the size of a run."""
LABELLED: tuple[AdversarialName, ...] = ("vanilla", "lsgan")
"""Adversarial losses that compare outputs with labels, which can be smoothed."""
WITH_GAME: tuple[LossKind, ...] = ("l1_gan", "classification_gan")
"""Kinds of losses with an adversarial stage; the others build no discriminator."""
CLASSIFYING: tuple[LossKind, ...] = ("classification", "classification_gan")
"""Kinds of losses for which the generator answers with a distribution over bins."""


SIZE, BATCH, PRETRAINING = "data.size", "budget.batch_size", "pretraining.images"
FROZEN, BACKBONE, WEIGHTS = "pretraining.frozen_images", "generator.backbone", "generator.weights"
BUDGET, REPORT = "budget.images", "budget.report_every"
ADVERSARIAL, SMOOTHING = "losses.adversarial", "losses.label_smoothing"
ENOUGH = "discriminator.enough_accuracy"
EXTRACTOR = "evaluation.extractor"
LOSS_KIND, PREDICTS = "losses.kind", "generator.predicts"
