"""What follows from settings: which networks and stages a run has."""

from raycolor.backbones import ENCODERS, Encoder
from raycolor.config.sections import TrialSettings
from raycolor.config.values import CLASSIFYING, ENCODER_STRIDE, GAN_STRIDES, WITH_GAME


def generator_depth(config: TrialSettings) -> int:
    """Number of halvings of the scratch U-Net."""
    if config.generator.depth is not None:
        return config.generator.depth
    halvings = 0
    while halvings < 8 and config.data.size % 2 ** (halvings + 1) == 0:
        halvings += 1
    return halvings


def encoder_of(config: TrialSettings) -> Encoder | None:
    """Return the encoder that the generator stands on; None where it is trained from scratch."""
    if config.generator.kind != "unet":
        return None
    return ENCODERS.get(config.generator.backbone)


def has_game(config: TrialSettings) -> bool:
    """Tell whether there is an adversarial stage, and with it a discriminator."""
    return config.losses.kind in WITH_GAME


def classifies(config: TrialSettings) -> bool:
    """Tell whether the generator answers with a distribution over bins of colours."""
    return config.losses.kind in CLASSIFYING


def has_schedule(config: TrialSettings) -> bool:
    """Tell whether a learning rate follows from the length of the whole run."""
    optimizers = config.optimizers
    return {optimizers.generator.schedule, optimizers.discriminator.schedule} != {"constant"}


def generator_stride(config: TrialSettings) -> int:
    """Pictures given to the generator must have sides that are multiples of this."""
    if config.generator.kind != "unet":
        return GAN_STRIDES[config.generator.kind]
    if config.generator.backbone == "scratch":
        return int(2 ** generator_depth(config))
    return ENCODER_STRIDE
