"""Combinations of settings that cannot work, and what to take instead."""

from collections.abc import Iterator
from dataclasses import dataclass

from raycolor.config.sections import EvaluationConfig, TrialSettings
from raycolor.config.traits import classifies, encoder_of, generator_stride, has_game
from raycolor.config.values import (
    ADVERSARIAL,
    BACKBONE,
    BATCH,
    BUDGET,
    DENSE_STRIDES,
    ENOUGH,
    EXTRACTOR,
    EXTRACTOR_SIZES,
    FROZEN,
    LABELLED,
    LOSS_KIND,
    PREDICTS,
    PRETRAINING,
    REPORT,
    SIZE,
    SMOOTHING,
    WEIGHTS,
)


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


def clashes(config: TrialSettings) -> Iterator[Clash]:
    """Yield the combinations of settings that cannot work."""
    yield from network_clashes(config)
    yield from _loss_clashes(config)
    yield from _weights_clashes(config)
    yield from _length_clashes(config)
    yield from _extractor_clashes(config.evaluation)


def network_clashes(config: TrialSettings) -> Iterator[Clash]:
    """Yield the clashes between the crops' size and the networks."""
    yield from _generator_clashes(config)
    if has_game(config):
        yield from _discriminator_clashes(config)


def _generator_clashes(config: TrialSettings) -> Iterator[Clash]:
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


def _discriminator_clashes(config: TrialSettings) -> Iterator[Clash]:
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


def _loss_clashes(config: TrialSettings) -> Iterator[Clash]:
    if classifies(config) and config.generator.predicts != "ab":
        reason = f"has no bins of colours, which {LOSS_KIND}: {config.losses.kind} needs"
        yield Clash(
            PREDICTS, config.generator.predicts, reason, "take ab, or the loss l1_gan or l1"
        )
    if has_game(config):
        yield from _game_clashes(config)


def _game_clashes(config: TrialSettings) -> Iterator[Clash]:
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


def _weights_clashes(config: TrialSettings) -> Iterator[Clash]:
    encoder = encoder_of(config)
    if config.generator.weights == "imagenet" and encoder and not encoder.has_imagenet:
        reason = (
            f"has no file whose hash raycolor knows for {BACKBONE}: {config.generator.backbone}"
        )
        yield Clash(WEIGHTS, "imagenet", reason, "take none, or the path of a file of weights")


def _length_clashes(config: TrialSettings) -> Iterator[Clash]:
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
