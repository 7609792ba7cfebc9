"""Names of trials: number and telling values, the same everywhere."""

from collections.abc import Mapping

from raycolor.spaces.domains import Scalar

SHORT = {
    "efficientnet_lite0": "lite0",
    **{f"tf_efficientnet_lite{number}": f"lite{number}" for number in range(1, 5)},
}
"""Short forms of long values, for names and tables."""


def trial_name(number: int, chosen: Mapping[str, Scalar]) -> str:
    """Name a trial, as `007_lite0_lambda84`; fit for a folder.

    Args:
        number: the trial's.
        chosen: its searched values.
    """
    parts = [f"{number:03d}"]
    kind = chosen.get("generator.kind", "unet")
    if kind != "unet":
        # It has no backbone, even where one was chosen beside it.
        parts.append(str(kind))
    elif "generator.backbone" in chosen:
        backbone = str(chosen["generator.backbone"])
        parts.append(SHORT.get(backbone, backbone))
    elif "generator.kind" in chosen:
        parts.append(str(kind))
    for path in ("losses.kind", "generator.predicts"):
        if path in chosen:
            parts.append(str(chosen[path]))
    if "losses.adversarial" in chosen:
        parts.append(str(chosen["losses.adversarial"]))
    weight = chosen.get("losses.l1_lambda")
    if isinstance(weight, int | float):
        parts.append(f"lambda{weight:.3g}".replace("+", ""))
    return "_".join(parts)


def short_path(path: str) -> str:
    """Shorten a dotted path to what tells it from the others, for tables."""
    return {
        "losses.l1_lambda": "lambda",
        "optimizers.generator.learning_rate": "lr G",
        "optimizers.discriminator.learning_rate": "lr D",
        "optimizers.generator.schedule": "schedule G",
        "optimizers.discriminator.schedule": "schedule D",
        "generator.backbone": "backbone",
        "generator.kind": "generator",
        "generator.norm": "norm G",
        "generator.decoder": "decoder",
        "generator.predicts": "predicts",
        "generator.bins_at": "bins at",
        "generator.temperature": "temperature",
        "discriminator.kind": "discriminator",
        "discriminator.norm": "norm D",
        "discriminator.sees": "D sees",
        "discriminator.downs": "downs",
        "losses.kind": "losses",
        "losses.classification_weight": "weight",
        "losses.adversarial": "loss",
        "losses.label_smoothing": "smoothing",
        "generator.weights": "weights",
        "pretraining.images": "pretraining",
        "pretraining.frozen_images": "frozen",
        "pretraining.learning_rate": "lr pre",
    }.get(path, path)


def value_text(value: object) -> str:
    """Write a setting's value for people, with four digits where it has more."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
