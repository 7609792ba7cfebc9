"""What all tests of shared pretraining have."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from raycolor import evaluation, trial
from raycolor.crops import training_batch
from raycolor.metrics.extractor import build_extractor
from raycolor.stages.store import StageStore
from tests.unit.stages.prefixes import PLENTY


@pytest.fixture(autouse=True)
def _one_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)


_extractor = functools.cache(build_extractor)


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "stages", most_bytes=PLENTY)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Image counts before each step that was trained."""
    steps: list[int] = []

    def batch(*args: Any, images_seen: int, **more: Any) -> torch.Tensor:
        steps.append(images_seen)
        return training_batch(*args, images_seen=images_seen, **more)

    monkeypatch.setattr(trial, "training_batch", batch)
    return steps
