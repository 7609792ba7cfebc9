"""The settings of a training run, a model for each group of them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raycolor.backbones import Backbone
from raycolor.config.values import (
    EXTRACTOR_SIZES,
    AdversarialName,
    BinsAt,
    Decoder,
    Determinism,
    DiscriminatorKind,
    DiscriminatorNorm,
    Extractor,
    FilePath,
    GeneratorKind,
    GeneratorNorm,
    LearningRate,
    LossKind,
    PositiveInt,
    Precision,
    Predicts,
    Schedule,
    Sight,
    Weights,
)


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
    names a file of weights for this encoder. For resnest, res2net, gernet, skresnet and the regnets
    of some sizes no file whose address names its hash is known to raycolor, so they take `none` or
    a path."""
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
    """No further of its `steps` once it has this accuracy on the batch, true and generated pictures
    together; null takes all of them. GAN_Colorizer looks at generated ones alone, in the first half
    of a run: below 0.8 it trains on, up to 0.9."""


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


class TrialSettings(_Section):
    """One training run, before it is known whether its settings go together."""

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

    @property
    def fid_key(self) -> str:
        """Name of the Fréchet distance in reports."""
        extractor = self.evaluation.extractor
        return "fid" if extractor == "inception_v3" else f"fd_{extractor}"

    @property
    def disjoint_key(self) -> str:
        """Name of the Fréchet distance from the truth of other pictures."""
        return f"{self.fid_key}_disjoint"
