"""Runs of the smallest trial, killed where a test wishes, and what two of them have in common."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raycolor import evaluation, trial
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.evaluation import Evaluator
from raycolor.run_folder import CHECKPOINT
from raycolor.trial import Report, train

CPU = torch.device("cpu")
KEY = "fd_efficientnet_lite0"
TIMES = {
    "images_per_second",
    "images_inherited",
    "seconds_inherited",
    "train_seconds",
    "evaluate_seconds",
    "checkpoint_seconds",
}
"""What a run cost; the rest does not depend on who trained it."""

EACH_REPORT = {
    "generator_loss",
    "generator_l1_loss",
    KEY,
    f"{KEY}_best",
    f"{KEY}_disjoint",
    "psnr",
    "ssim",
    "colorfulness",
    "evaluation_images",
    "disjoint_images",
    *TIMES,
}
ADVERSARIAL_ONLY = {
    "generator_adversarial_loss",
    "discriminator_loss",
    "discriminator_accuracy",
    "discriminator_accuracy_real",
    "discriminator_accuracy_fake",
}

STAGES = {
    "data.size": 64,  # six halvings, so that there is dropout
    "generator.dropout": 0.5,
    "pretraining.images": 24,
    "budget.images": 64,
}
"""Steps of 8 images: three of pretraining, one to the report at 32, four to the report at 64."""

SWING = (500.0, 100.0, 400.0, 0.0, 200.0)
"""What is added to the distances of five reports; far more than they differ by."""

BACKBONES = ["scratch", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)]


def run(
    config: TrialConfig, data: PreparedData, folder: Path | None = None, **more: Any
) -> list[Report]:
    return list(train(config, data, folder=folder, device=CPU, **more))


def timeless(report: Report) -> Report:
    """A report without the values that the clock gives."""
    metrics = {name: x for name, x in report.metrics.items() if name not in TIMES}
    return dataclasses.replace(report, metrics=metrics)


def timeless_all(reports: list[Report]) -> list[Report]:
    return [timeless(report) for report in reports]


def all_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything of a checkpoint that neither comes from the clock nor from who trained it."""
    tensors, about = load_tensors(folder / CHECKPOINT)
    progress = about["progress"]
    for name in (
        "train_seconds",
        "evaluate_seconds",
        "saving_seconds",
        "reported_seconds",
        "images_inherited",
        "seconds_inherited",
        "pretrained_as",
    ):
        del progress[name]
    for name in TIMES if progress["report"] else ():
        progress["report"]["metrics"].pop(name, None)
    return tensors, about


def same_bits(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def assert_same_folder(first: Path, second: Path) -> None:
    """Same checkpoint and same best generator, bit for bit."""
    tensors, about = all_state(first)
    other_tensors, other_about = all_state(second)
    assert about == other_about
    assert same_bits(tensors, other_tensors)
    best = f"best_{about['progress']['best_images']}"
    kept, described = load_tensors(first / f"{best}.safetensors")
    other_kept, other_described = load_tensors(second / f"{best}.safetensors")
    assert described["images_seen"] == other_described["images_seen"]
    assert same_bits(kept, other_kept)
    assert (first / f"{best}.png").read_bytes() == (second / f"{best}.png").read_bytes()


def kill_before(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """End the process when the step after so many images begins."""

    def batch(*args: Any, images_seen: int, **more: Any) -> Tensor:
        if images_seen == images:
            raise KeyboardInterrupt
        return training_batch(*args, images_seen=images_seen, **more)

    monkeypatch.setattr(trial, "training_batch", batch)


def kill_in_evaluation(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the process in an evaluation of the run (from 1)."""
    left = [number]

    def evaluate(self: Evaluator, colorize: evaluation.Colorizer) -> evaluation.Evaluation:
        if colorize is not evaluation.gray:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        return original(self, colorize)

    original = Evaluator.evaluate
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)


def swing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the distance fall and rise: the best of five reports is the fourth, the second before."""
    left = list(SWING)

    def evaluate(self: Evaluator, colorize: evaluation.Colorizer) -> evaluation.Evaluation:
        found = original(self, colorize)
        if colorize is evaluation.gray:
            return found
        return dataclasses.replace(
            found, scores=found.scores | {KEY: found.scores[KEY] + left.pop(0)}
        )

    original = Evaluator.evaluate
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)


def interrupted(
    config: TrialConfig,
    data: PreparedData,
    folder: Path,
    kill: Callable[[pytest.MonkeyPatch], None],
) -> list[Report]:
    """The reports of a run up to its sudden end."""
    reports: list[Report] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill(monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            reports.extend(train(config, data, folder=folder, device=CPU))
    return reports
