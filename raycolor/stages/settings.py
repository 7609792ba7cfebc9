"""Which settings do not act on pretraining, and why; without torch, so that a driver may ask."""

from collections.abc import Mapping

_OF_ADVERSARIAL_STAGE = "acts in the stage after pretraining only"
LEFT_OUT: Mapping[str, str] = {
    **{
        f"discriminator.{name}": "pretraining has no discriminator"
        for name in ("kind", "width", "downs", "sees", "norm", "steps", "enough_accuracy")
    },
    **{
        f"losses.{name}": _OF_ADVERSARIAL_STAGE
        for name in ("adversarial", "label_smoothing", "gradient_penalty")
    },
    **{
        f"optimizers.{name}": _OF_ADVERSARIAL_STAGE
        for name in (
            "generator.learning_rate",
            "generator.schedule",
            "discriminator.learning_rate",
            "discriminator.beta1",
            "discriminator.beta2",
            "discriminator.schedule",
        )
    },
    "losses.kind": "acts by whether colours are classified, which is in the key",
    "losses.l1_lambda": "multiplies what is reported, not what is trained",
    "losses.classification_weight": "multiplies what is reported, not what is trained",
    "generator.weights": "the weights that the generator starts with are in the key",
    "evaluation.extractor_weights": "their hash is in the key",
    "pretraining.images": "a longer pretraining begins like a shorter one",
    "pretraining.frozen_images": "acts by how much of the prefix is frozen, which is in the key",
    "budget.images": "a longer run begins like a shorter one",
    "budget.checkpoint_seconds": "a run that goes on has the same bits",
    "seed": _OF_ADVERSARIAL_STAGE,
}
"""Settings that do not determine a prefix, each with the reason."""
