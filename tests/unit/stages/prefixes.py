"""Runs whose pretraining is shared, in small."""

from pathlib import Path
from typing import Any

import torch

from raycolor.stages.store import StageStore
from raycolor.trial import Report

CPU = torch.device("cpu")
PLENTY = 2**30
LONG: dict[str, Any] = {
    "pretraining.images": 48,
    "budget.images": 80,
    "budget.report_every": 16,
    "generator.ema_decay": 0.9,
}
"""Steps of 8 images; reports at 16, 32 and 48 in pretraining, at 64 and 80 after it."""
OTHER: dict[str, Any] = {
    "losses.l1_lambda": 7.3,
    "losses.classification_weight": 3.1,
    "optimizers.generator.learning_rate": 3e-3,
    "seed": 11,
}
"""What another run of the same pretraining may have."""


def inherited(reports: list[Report]) -> list[int]:
    return [int(report.metrics["images_inherited"]) for report in reports]


def files(store: StageStore) -> list[Path]:
    return sorted(store._folder.iterdir())
