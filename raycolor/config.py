"""`TrialConfig`: everything that one training run needs, as one tree of pydantic models.

The field docstrings are the manual: `python -m raycolor.search --keys` and the README's table are
made from them. All lengths of training are counted in images, since batch sizes differ between
trials; sizes are in pixels.

This module imports neither torch nor ray, so that a plan is checked in a fraction of a second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from raycolor.backbones import ENCODERS, Backbone, Encoder
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


@dataclass(frozen=True, slots=True)
class Clash:
    """A setting that cannot stand with the others."""

    path: str
    value: int | float | str
    reason: str
    """What stands against it, to be read after path and value."""
    remedy: str
    divisor: int | None = None
    """The batch size, where that is what does not divide it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.value} {self.reason}; {self.remedy}"


class ClashError(ValueError):
    """All clashes of a configuration; pydantic hands it on in the context of its own error."""

    def __init__(self, found: list[Clash]) -> None:
        super().__init__("\n".join(map(str, found)))
        self.found = found


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class DataConfig(_Section):
    """What the networks see."""

    size: Annotated[int, Field(ge=16, le=1024)] = 64
    """Side of the square crops that the networks see, in pixels."""
    smallest_crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Smallest side of a random training crop, as a share of the stored picture's side. Crops are
    never smaller than `size`, so a data set stored at `size` is used whole."""
    flip: bool = True
    """Mirror half of the training crops."""


class GeneratorConfig(_Section):
    """The network that predicts colours from L."""

    kind: GeneratorKind = "unet"
    """`unet`: on a backbone; `gan_32` and `gan_256`: the encoder-decoders of GAN_Colorizer (2018),
    made for 32 and 256 pixels, which take any multiple of 4 and of 8 and have no other settings
    than `ema_decay`."""
    backbone: Backbone = "efficientnet_lite0"
    """`unet`: `scratch` is the U-Net of pix2pix; the others are U-Nets on an encoder of that name
    in timm (`efficientnet_lite0` is its `tf_efficientnet_lite0`)."""
    weights: Weights = "imagenet"
    """Encoders: what they start with. `imagenet` is fetched once and kept in
    `~/.cache/raycolor/weights` (or below `RAYCOLOR_CACHE`); `none` draws weights at random; a path
    names a file of weights for this encoder. The regnets of some sizes, resnest, res2net, gernet
    and skresnet have no published file of known content, so they take `none` or a path."""
    width: Annotated[int, Field(ge=4, le=256)] = 64
    """`scratch`: channels after the first convolution; they double at each level, up to 8 times
    the width."""
    depth: Annotated[int, Field(ge=2, le=10)] | None = None
    """`scratch`: number of halvings; null takes as many as the size allows, at most 8."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """`scratch`: dropout in the innermost decoder levels, as in pix2pix."""
    norm: GeneratorNorm = "batch"
    """`scratch`: normalisation after the inner convolutions; `instance` as in pix2pix, without
    weights and running statistics."""
    decoder: Decoder = "transposed"
    """`scratch`: how the decoder enlarges. `transposed` convolutions as in pix2pix; `resize` by
    nearest neighbour, then a 3x3 convolution, against checkerboards (Odena et al. 2016), as
    pretrained backbones do anyway."""
    decoder_width: Annotated[int, Field(ge=8, le=512)] = 128
    """Encoders: channels of the deepest decoder level; they halve at each level up to
    the picture, down to an eighth of it."""
    predicts: Predicts = "ab"
    """What it answers with: `ab`, the two channels that it is asked for; `rgb`, three channels, so
    that it has to find the lightness again that it was given. Losses and discriminator see all that
    it predicted, in Lab; scores and `colorize` take its a and b beside the given lightness."""
    bins_at: BinsAt = "quarter"
    """`losses.kind` with classification: size of the map of bins against the picture, a quarter in
    Zhang et al. 2016. Colours are enlarged from it; memory and time of the last layer grow with its
    area (313 numbers a pixel)."""
    temperature: Annotated[float, Field(gt=0, le=1)] = 0.38
    """`losses.kind` with classification: T of the annealed mean that makes one colour of a
    distribution (Zhang et al. 2016: 0.38); 1 is the mean, towards 0 the most probable bin."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = 0.995
    """Decay a step of the moving average of the generator that is evaluated and kept
    (Yazici et al. 2018); null evaluates the generator itself."""


class DiscriminatorConfig(_Section):
    """The network that tells true from generated colours."""

    kind: DiscriminatorKind = "patch"
    """`patch`: one output for each overlapping patch (pix2pix); `pixel`: one for each pixel, by 1x1
    convolutions (pix2pix); `image`: one for the whole picture (DCGAN, Radford et al. 2016);
    `gan_32` and `gan_256`: those of GAN_Colorizer (2018), one output from a and b alone, for sizes
    that are multiples of 8 and of 16, without other settings."""
    width: Annotated[int, Field(ge=4, le=256)] = 64
    """`patch`, `pixel`, `image`: channels after the first convolution; they double at each level up
    to 8 x width."""
    downs: Annotated[int, Field(ge=1, le=5)] = 3
    """`patch`: halvings; 1, 2, 3, 4, 5 give receptive fields of 16, 34, 70, 142, 286 pixels."""
    sees: Sight = "lab"
    """`patch`, `pixel`, `image`: whether it sees the grey picture beside a and b, as in pix2pix, or
    a and b alone."""
    norm: DiscriminatorNorm = "batch"
    """`patch`, `pixel`, `image`: normalisation after the inner convolutions, or `spectral` of the
    weights of all convolutions instead (Miyato et al. 2018)."""
    steps: Annotated[int, Field(ge=1, le=20)] = 1
    """Most steps of the discriminator for one of the generator, on the same batch (Gulrajani et al.
    2017: 5, on new ones); losses and accuracy are reported of the first."""
    enough_accuracy: Annotated[float, Field(gt=0.5, le=1)] | None = None
    """No further of its `steps` once it has this accuracy on the batch (GAN_Colorizer trains on
    below 0.8); null takes all of them."""


class LossConfig(_Section):
    """What training minimises."""

    kind: LossKind = "l1_gan"
    """`l1_gan`: adversarial loss and L1 (pix2pix); `l1`: L1 alone, without a discriminator;
    `classification`: cross-entropy over bins of colours, rare ones weighing more (Zhang et al.
    2016), without a discriminator; `classification_gan`: this in place of L1, and the discriminator
    sees the colours that the distribution stands for. Pretraining takes L1 or cross-entropy
    alike."""
    adversarial: AdversarialName = "vanilla"
    """`vanilla`: binary cross-entropy with logits (Goodfellow et al. 2014, non-saturating);
    `lsgan`: least squares (Mao et al. 2017); `hinge` (Lim and Ye 2017); `wgan_gp`: Wasserstein
    distance with gradient penalty (Gulrajani et al. 2017), which has no accuracy and takes a
    discriminator without batch norm."""
    l1_lambda: Annotated[float, Field(ge=0, le=10_000)] = 100.0
    """Weight of the mean absolute error of a and b against the adversarial loss (pix2pix: 100);
    0 trains with the adversarial loss alone. Pretraining is with L1 whatever it is."""
    classification_weight: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    """`classification_gan`: weight of the cross-entropy against the adversarial loss; 0 trains with
    the adversarial loss alone, but for pretraining."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """`vanilla`, `lsgan`: the discriminator's label of true pictures is 1 less this (one-sided,
    Salimans et al. 2016: 0.1)."""
    gradient_penalty: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    """`wgan_gp`: weight of the gradient penalty (Gulrajani et al. 2017: 10)."""


class OptimizerConfig(_Section):
    """Adam for one network."""

    learning_rate: LearningRate = 2e-4
    """Step size of Adam in the adversarial stage."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Decay of Adam's first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of Adam's second moment."""
    schedule: Schedule = "constant"
    """Learning rate over the images of the adversarial stage: `constant`, or from its value down to
    0 along a line (`linear`) or half a wave (`cosine`, Loshchilov and Hutter 2017). It is stretched
    over `budget.images`, so such a run cannot be made longer later. Pretraining's is constant."""


class OptimizersConfig(_Section):
    """One Adam for each network."""

    generator: OptimizerConfig = OptimizerConfig()
    """The generator's Adam in the adversarial stage."""
    discriminator: OptimizerConfig = OptimizerConfig()
    """The discriminator's Adam."""


class PretrainingConfig(_Section):
    """The generator alone, with L1 or classification, before the stage that follows."""

    images: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """Length in training images, a multiple of the batch size; 0 for none."""
    learning_rate: LearningRate = 1e-3
    """Step size of Adam in pretraining."""
    frozen_images: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """Encoders: length in training images, from the start of pretraining, in which the encoder is
    left as it is and only the decoder learns; a multiple of the batch size. The encoder's batch
    norm keeps its statistics meanwhile. It ends with pretraining at the latest; 0 for never."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the generator's initial weights and of this stage, shared by a study's trials."""


class EvaluationConfig(_Section):
    """How a report is measured."""

    images: Annotated[int, Field(ge=2, lt=2**62)] = 96
    """Validation crops that are coloured for a report: the first of a fixed list; fewer if the data
    set has fewer. Distances over different numbers of crops cannot be compared."""
    extractor: Extractor = "efficientnet_lite0"
    """Network whose features the Fréchet distance compares. With `inception_v3` and its weights of
    2015-12-05 the distance is the FID, and is reported as `fid`; with another network its name
    says so, as in `fd_resnet50`."""
    extractor_size: Annotated[int, Field(ge=32, le=1024)] | None = None
    """Side in pixels to which crops are resized for the extractor; null takes 128 for
    `efficientnet_lite0`, 299 for `inception_v3`, which takes nothing else, and for a network of
    timm what it was trained with."""
    extractor_weights: FilePath | None = None
    """File with the extractor's weights; null takes those that come with raycolor
    (`efficientnet_lite0`), or that are fetched once and kept in its cache folder."""
    batch_size: PositiveInt = 32
    """Crops coloured and compared at once; has no influence on the values."""

    @model_validator(mode="before")
    @classmethod
    def _settle_size(cls, values: Any) -> Any:
        """Give the size its number where the extractor settles it: records then say it."""
        if not isinstance(values, dict) or values.get("extractor_size") is not None:
            return values
        extractor = values.get("extractor", cls.model_fields["extractor"].default)
        size = EXTRACTOR_SIZES.get(extractor) if isinstance(extractor, str) else None
        return values if size is None else {**values, "extractor_size": size}


class BudgetConfig(_Section):
    """How long a run trains, and how often it reports."""

    images: PositiveInt = 9216
    """Training images of a whole run, pretraining included."""
    report_every: PositiveInt = 1024
    """Images between two reports."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    """Images a training step."""
    checkpoint_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """Longest time between two checkpoints; there is one at every report besides."""


class TrialConfig(_Section):
    """One training run."""

    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    losses: LossConfig = LossConfig()
    optimizers: OptimizersConfig = OptimizersConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    budget: BudgetConfig = BudgetConfig()
    precision: Precision = "auto"
    """`auto` takes bfloat16 where the processor computes it natively and the network gains by it,
    else float32. Colour conversion, losses and optimiser state are float32 always."""
    determinism: Determinism = "exact"
    """`exact`: the same bits again on the same machine with the same number of threads."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the discriminator's initial weights and of the adversarial stage."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrialConfig":
        if found := list(clashes(self)):
            raise ClashError(found)
        return self

    @property
    def fid_key(self) -> str:
        """Name of the Fréchet distance in reports."""
        extractor = self.evaluation.extractor
        return "fid" if extractor == "inception_v3" else f"fd_{extractor}"

    @property
    def disjoint_key(self) -> str:
        """Name of the Fréchet distance from the truth of other pictures."""
        return f"{self.fid_key}_disjoint"


def default_settings() -> dict[str, Any]:
    """Every setting's default by its dotted path.

    A setting that a study or a checkpoint of an earlier raycolor does not name had this value.
    """
    return flattened(TrialConfig().model_dump(mode="json"))


def generator_depth(config: TrialConfig) -> int:
    """Number of halvings of the scratch U-Net."""
    if config.generator.depth is not None:
        return config.generator.depth
    halvings = 0
    while halvings < 8 and config.data.size % 2 ** (halvings + 1) == 0:
        halvings += 1
    return halvings


def encoder_of(config: TrialConfig) -> Encoder | None:
    """Return the encoder that the generator stands on; None where it is trained from scratch."""
    if config.generator.kind != "unet":
        return None
    return ENCODERS.get(config.generator.backbone)


def has_game(config: TrialConfig) -> bool:
    """Tell whether there is an adversarial stage, and with it a discriminator."""
    return config.losses.kind in WITH_GAME


def classifies(config: TrialConfig) -> bool:
    """Tell whether the generator answers with a distribution over bins of colours."""
    return config.losses.kind in CLASSIFYING


def has_schedule(config: TrialConfig) -> bool:
    """Tell whether a learning rate follows from the length of the whole run."""
    optimizers = config.optimizers
    return {optimizers.generator.schedule, optimizers.discriminator.schedule} != {"constant"}


def generator_stride(config: TrialConfig) -> int:
    """Pictures given to the generator must have sides that are multiples of this."""
    if config.generator.kind != "unet":
        return GAN_STRIDES[config.generator.kind]
    if config.generator.backbone == "scratch":
        return int(2 ** generator_depth(config))
    return ENCODER_STRIDE


def clashes(config: TrialConfig) -> Iterator[Clash]:
    """Yield the combinations of settings that cannot work."""
    yield from network_clashes(config)
    yield from _loss_clashes(config)
    yield from _weights_clashes(config)
    yield from _length_clashes(config)
    yield from _extractor_clashes(config.evaluation)


def network_clashes(config: TrialConfig) -> Iterator[Clash]:
    """Yield the clashes between the crops' size and the networks."""
    yield from _generator_clashes(config)
    if has_game(config):
        yield from _discriminator_clashes(config)


def _generator_clashes(config: TrialConfig) -> Iterator[Clash]:
    size, stride = config.data.size, generator_stride(config)
    encoder = encoder_of(config)
    if config.generator.kind != "unet":
        needs = f"generator.kind: {config.generator.kind}"
    elif encoder is not None:
        needs = f"{BACKBONE}: {config.generator.backbone}"
    else:
        needs = f"generator.depth: {config.generator.depth}"
    if stride < 4:
        reason = "can be halved fewer than twice"
        yield Clash(SIZE, size, reason, f"take {multiples(size, 4)}")
    elif size % stride:
        reason = f"is no multiple of {stride}, which {needs} needs"
        yield Clash(SIZE, size, reason, f"take {multiples(size, stride)}")
    elif config.budget.batch_size == 1 and encoder is not None and encoder.normalizes_means:
        reason = f"is too few for {needs}, whose batch norm would see a single value"
        yield Clash(BATCH, 1, reason, "take at least 2")
    elif config.budget.batch_size == 1 and encoder is not None and size == stride:
        reason = (
            f"is too few for data.size: {size} with {needs}, whose batch norm would see a single "
            "pixel"
        )
        yield Clash(BATCH, 1, reason, "take at least 2, or a larger size")


def _discriminator_clashes(config: TrialConfig) -> Iterator[Clash]:
    size, kind = config.data.size, config.discriminator.kind
    if kind in DENSE_STRIDES:
        # Twice, so that batch norm sees more than one pixel.
        stride, smallest = DENSE_STRIDES[kind], 2 * DENSE_STRIDES[kind]
        needs = f"discriminator.kind: {kind} needs"
        if size < smallest:
            yield Clash(SIZE, size, f"is less than {smallest}, which {needs}", f"take {smallest}")
        elif size % stride:
            reason = f"is no multiple of {stride}, which {needs}"
            yield Clash(SIZE, size, reason, f"take {multiples(size, stride)}")
    downs = config.discriminator.downs
    smallest = 4 * 2**downs
    if kind == "patch" and size < smallest:
        deepest = (size // 4).bit_length() - 1
        yield Clash(
            "discriminator.downs",
            downs,
            f"needs data.size of at least {smallest}, not {size}",
            f"take at most {deepest}, or a larger size",
        )


def _loss_clashes(config: TrialConfig) -> Iterator[Clash]:
    if classifies(config) and config.generator.predicts != "ab":
        reason = f"has no bins of colours, which {LOSS_KIND}: {config.losses.kind} needs"
        yield Clash(
            PREDICTS, config.generator.predicts, reason, "take ab, or the loss l1_gan or l1"
        )
    if has_game(config):
        yield from _game_clashes(config)


def _game_clashes(config: TrialConfig) -> Iterator[Clash]:
    losses, discriminator = config.losses, config.discriminator
    if losses.label_smoothing and losses.adversarial not in LABELLED:
        reason = f"smooths labels, and {ADVERSARIAL}: {losses.adversarial} has none"
        yield Clash(
            SMOOTHING, losses.label_smoothing, reason, f"take 0, or {' or '.join(LABELLED)}"
        )
    if losses.adversarial == "wgan_gp":
        if discriminator.enough_accuracy is not None:
            reason = f"looks at an accuracy, which {ADVERSARIAL}: wgan_gp has not"
            remedy = "take null, or another loss"
            yield Clash(ENOUGH, discriminator.enough_accuracy, reason, remedy)
        reason = "penalises gradients picture by picture, which batch norm mixes"
        if discriminator.kind in DENSE_STRIDES:
            reason += f" (discriminator.kind: {discriminator.kind} has it)"
            yield Clash(ADVERSARIAL, "wgan_gp", reason, "take another kind, or another loss")
        elif discriminator.norm == "batch":
            reason += " (discriminator.norm: batch)"
            yield Clash(ADVERSARIAL, "wgan_gp", reason, "take the norm instance, spectral or none")


def _weights_clashes(config: TrialConfig) -> Iterator[Clash]:
    encoder = encoder_of(config)
    if config.generator.weights == "imagenet" and encoder and not encoder.has_imagenet:
        reason = (
            f"has no published file of known content for {BACKBONE}: {config.generator.backbone}"
        )
        yield Clash(WEIGHTS, "imagenet", reason, "take none, or the path of a file of weights")


def _length_clashes(config: TrialConfig) -> Iterator[Clash]:
    budget, pretraining = config.budget, config.pretraining.images
    lengths = {REPORT: budget.report_every, BUDGET: budget.images, PRETRAINING: pretraining}
    lengths[FROZEN] = config.pretraining.frozen_images
    for path, length in lengths.items():
        if length % budget.batch_size:
            lowest = 0 if path in (PRETRAINING, FROZEN) else 1
            yield Clash(
                path,
                length,
                f"is no multiple of {BATCH}: {budget.batch_size}",
                f"take {multiples(length, budget.batch_size, lowest=lowest)}",
                divisor=budget.batch_size,
            )
    if budget.images % budget.report_every:
        reason = f"is no multiple of {REPORT}: {budget.report_every}"
        remedy = f"take {multiples(budget.images, budget.report_every)}"
        yield Clash(BUDGET, budget.images, reason, remedy)
    if pretraining > budget.images:
        reason = f"is longer than the whole run ({BUDGET}: {budget.images})"
        yield Clash(PRETRAINING, pretraining, reason, f"take at most {budget.images}")


def _extractor_clashes(evaluation: EvaluationConfig) -> Iterator[Clash]:
    extractor, size = evaluation.extractor, evaluation.extractor_size
    if extractor == "inception_v3" and size is not None and size != EXTRACTOR_SIZES[extractor]:
        reason = f"is not the side with which {EXTRACTOR}: {extractor} gives an FID"
        yield Clash(f"{EXTRACTOR}_size", size, reason, "take 299, or null")
    if extractor == "efficientnet_lite0" and evaluation.extractor_weights is not None:
        yield Clash(
            f"{EXTRACTOR}_weights",
            evaluation.extractor_weights,
            f"has no use with {EXTRACTOR}: {extractor}, whose weights come with raycolor",
            f"take null, or {EXTRACTOR}: tf_efficientnet_lite0",
        )


def multiples(number: int, divisor: int, *, lowest: int = 1) -> str:
    """Name the multiples of `divisor` around a number that is none: `480 or 528`.

    Args:
        number: what is no multiple.
        divisor: of what it should be one.
        lowest: the smallest multiple that is allowed.
    """
    low = number // divisor * divisor
    return f"{low} or {low + divisor}" if low >= lowest else f"{low + divisor}"


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"a.b": 1}` into `{"a": {"b": 1}}`."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn `{"a": {"b": 1}}` into `{"a.b": 1}`; the inverse of `nested`."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            values.update(flattened(value, f"{path}."))
        else:
            values[path] = value
    return values
