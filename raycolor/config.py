"""`TrialConfig`: everything that one training run needs, as one tree of pydantic models.

The field docstrings are the manual: `docs/keys.md` is made from them. All lengths of training are
counted in images, since batch sizes differ between trials; sizes are in pixels.

This module imports neither torch nor ray, so that a plan is checked in a fraction of a second.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Backbone = Literal["scratch", "efficientnet_lite0"]
AdversarialName = Literal["vanilla"]
Extractor = Literal["efficientnet_lite0"]
Precision = Literal["auto", "float32", "bfloat16"]
Determinism = Literal["exact", "fast"]

PositiveInt = Annotated[int, Field(ge=1)]
LearningRate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]

ENCODER_STRIDE = 32
"""A pretrained encoder halves its input five times, so sizes are multiples of this."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, strict=False
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
    """The network that predicts a and b from L."""

    backbone: Backbone = "efficientnet_lite0"
    """`scratch` is the U-Net of pix2pix; the others are U-Nets on an encoder pretrained on
    ImageNet."""
    width: Annotated[int, Field(ge=4, le=256)] = 64
    """`scratch`: channels after the first convolution; they double at each level, up to 8 times
    the width."""
    depth: Annotated[int, Field(ge=2, le=10)] | None = None
    """`scratch`: number of halvings; null takes as many as the size allows, at most 8."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """`scratch`: dropout in the innermost decoder levels, as in pix2pix."""
    decoder_width: Annotated[int, Field(ge=8, le=512)] = 128
    """Pretrained backbones: channels of the deepest decoder level; they halve at each level up to
    the picture, down to an eighth of it."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = 0.995
    """Decay a step of the moving average of the generator that is evaluated and kept
    (Yazici et al. 2018); null evaluates the generator itself."""


class DiscriminatorConfig(_Section):
    """The patch discriminator of pix2pix, on L, a and b."""

    width: Annotated[int, Field(ge=4, le=256)] = 64
    """Channels after the first convolution; they double at each level up to 8 x width."""
    downs: Annotated[int, Field(ge=1, le=5)] = 3
    """Halvings: 1, 2, 3, 4, 5 give receptive fields of 16, 34, 70, 142, 286 pixels."""


class LossConfig(_Section):
    """What the adversarial stage minimises."""

    adversarial: AdversarialName = "vanilla"
    """`vanilla`: binary cross-entropy with logits (Goodfellow et al. 2014, non-saturating)."""
    l1_lambda: Annotated[float, Field(ge=0, le=10_000)] = 100.0
    """Weight of the mean absolute error of a and b against the adversarial loss (pix2pix: 100)."""


class OptimizerConfig(_Section):
    """Adam for one network."""

    learning_rate: LearningRate = 2e-4
    """Step size of Adam in the adversarial stage."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Decay of Adam's first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of Adam's second moment."""


class OptimizersConfig(_Section):
    """One Adam for each network."""

    generator: OptimizerConfig = OptimizerConfig()
    """The generator's Adam in the adversarial stage."""
    discriminator: OptimizerConfig = OptimizerConfig()
    """The discriminator's Adam."""


class PretrainingConfig(_Section):
    """The generator alone, with L1, before the adversarial stage."""

    images: Annotated[int, Field(ge=0)] = 0
    """Length in training images, a multiple of the batch size; 0 for none."""
    learning_rate: LearningRate = 1e-3
    """Step size of Adam in pretraining."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the generator's initial weights and of this stage, shared by a study's trials."""


class EvaluationConfig(_Section):
    """How a report is measured."""

    images: Annotated[int, Field(ge=2)] = 96
    """Validation crops that are coloured for a report: the first of a fixed list; fewer if the data
    set has fewer. Distances over different numbers of crops cannot be compared."""
    extractor: Extractor = "efficientnet_lite0"
    """Network whose features the Fréchet distance compares."""
    extractor_size: Annotated[int, Field(ge=32, le=1024)] = 128
    """Side in pixels to which crops are resized for the extractor."""
    batch_size: PositiveInt = 32
    """Crops coloured and compared at once; has no influence on the values."""


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
        problems = list(_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def fid_key(self) -> str:
        """Name of the Fréchet distance in reports."""
        return f"fd_{self.evaluation.extractor}"


def generator_depth(config: TrialConfig) -> int:
    """Number of halvings of the scratch U-Net."""
    if config.generator.depth is not None:
        return config.generator.depth
    halvings = 0
    while halvings < 8 and config.data.size % 2 ** (halvings + 1) == 0:
        halvings += 1
    return halvings


def generator_stride(config: TrialConfig) -> int:
    """Pictures given to the generator must have sides that are multiples of this."""
    if config.generator.backbone == "scratch":
        return int(2 ** generator_depth(config))
    return ENCODER_STRIDE


def _problems(config: TrialConfig) -> Iterator[str]:
    """Yield one sentence for each combination of settings that cannot work."""
    size, batch = config.data.size, config.budget.batch_size
    stride = generator_stride(config)
    if stride < 4 and config.generator.backbone == "scratch":
        yield f"data.size: {size} can be halved fewer than twice; take a multiple of 4"
    elif size % stride:
        low = size // stride * stride
        nearest = f"{low} or {low + stride}" if low else f"{stride}"
        yield (
            f"data.size: {size} is no multiple of {stride}, which generator.backbone: "
            f"{config.generator.backbone} needs; take {nearest}"
        )
    elif batch == 1 and size == stride and config.generator.backbone != "scratch":
        yield (
            f"budget.batch_size: 1 is too few for data.size: {size} with generator.backbone: "
            f"{config.generator.backbone}, whose batch norm would see a single pixel; take at "
            "least 2, or a larger size"
        )
    smallest = 4 * 2**config.discriminator.downs
    if size < smallest:
        yield (
            f"discriminator.downs: {config.discriminator.downs} needs data.size of at least "
            f"{smallest}, not {size}; take fewer downs or a larger size"
        )
    lengths = {
        "budget.report_every": config.budget.report_every,
        "budget.images": config.budget.images,
        "pretraining.images": config.pretraining.images,
    }
    for path, length in lengths.items():
        if length % batch:
            low = length // batch * batch
            nearest = f"{low} or {low + batch}" if low else f"{batch}"
            yield f"{path}: {length} is no multiple of budget.batch_size: {batch}; take {nearest}"
    if config.budget.images % config.budget.report_every:
        every = config.budget.report_every
        low = config.budget.images // every * every
        nearest = f"{low} or {low + every}" if low else f"{every}"
        yield (
            f"budget.images: {config.budget.images} is no multiple of budget.report_every: "
            f"{every}; take {nearest}"
        )
    if config.pretraining.images > config.budget.images:
        yield (
            f"pretraining.images: {config.pretraining.images} is longer than the whole run "
            f"(budget.images: {config.budget.images}); shorten it"
        )


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
