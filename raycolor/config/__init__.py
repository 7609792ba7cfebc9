"""`TrialConfig`: everything that one training run needs, as one tree of pydantic models.

The field docstrings are the manual: `python -m raycolor.search --keys` and the README's table are
made from them. All lengths of training are counted in images, since batch sizes differ between
trials; sizes are in pixels.

This package imports neither torch nor ray, so that a plan is checked in a fraction of a second.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from raycolor.config.clashes import Clash, ClashError, clashes, multiples, network_clashes
from raycolor.config.sections import (
    BudgetConfig,
    DataConfig,
    DiscriminatorConfig,
    EvaluationConfig,
    GeneratorConfig,
    LossConfig,
    OptimizerConfig,
    OptimizersConfig,
    PretrainingConfig,
    TrialSettings,
)
from raycolor.config.traits import (
    classifies,
    encoder_of,
    generator_depth,
    generator_stride,
    has_game,
    has_schedule,
)
from raycolor.config.values import (
    ADVERSARIAL,
    BACKBONE,
    BATCH,
    BUDGET,
    CLASSIFYING,
    DENSE_STRIDES,
    ENCODER_STRIDE,
    ENOUGH,
    EXTRACTOR,
    EXTRACTOR_SIZES,
    FROZEN,
    GAN_STRIDES,
    LABELLED,
    LOSS_KIND,
    OF_TIMM,
    PREDICTS,
    PRETRAINING,
    REPORT,
    SIZE,
    SMOOTHING,
    WEIGHTS,
    WITH_GAME,
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
    Text,
    Weights,
)

__all__ = [
    "ADVERSARIAL",
    "BACKBONE",
    "BATCH",
    "BUDGET",
    "CLASSIFYING",
    "DENSE_STRIDES",
    "ENCODER_STRIDE",
    "ENOUGH",
    "EXTRACTOR",
    "EXTRACTOR_SIZES",
    "FROZEN",
    "GAN_STRIDES",
    "LABELLED",
    "LOSS_KIND",
    "OF_TIMM",
    "PREDICTS",
    "PRETRAINING",
    "REPORT",
    "SIZE",
    "SMOOTHING",
    "WEIGHTS",
    "WITH_GAME",
    "AdversarialName",
    "BinsAt",
    "BudgetConfig",
    "Clash",
    "ClashError",
    "DataConfig",
    "Decoder",
    "Determinism",
    "DiscriminatorConfig",
    "DiscriminatorKind",
    "DiscriminatorNorm",
    "EvaluationConfig",
    "Extractor",
    "FilePath",
    "GeneratorConfig",
    "GeneratorKind",
    "GeneratorNorm",
    "LearningRate",
    "LossConfig",
    "LossKind",
    "OptimizerConfig",
    "OptimizersConfig",
    "PositiveInt",
    "Precision",
    "Predicts",
    "PretrainingConfig",
    "Schedule",
    "Sight",
    "Text",
    "TrialConfig",
    "TrialSettings",
    "Weights",
    "clashes",
    "classifies",
    "default_settings",
    "encoder_of",
    "flattened",
    "generator_depth",
    "generator_stride",
    "has_game",
    "has_schedule",
    "multiples",
    "nested",
    "network_clashes",
]


class TrialConfig(TrialSettings):
    """One training run."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrialConfig":
        if found := list(clashes(self)):
            raise ClashError(found)
        return self


def default_settings() -> dict[str, Any]:
    """Every setting's default by its dotted path.

    A setting that a study or a checkpoint of an earlier raycolor does not name had this value.
    """
    return flattened(TrialConfig().model_dump(mode="json"))


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
