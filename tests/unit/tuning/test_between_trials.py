"""What a worker keeps from one trial for the next; no Ray runs here."""

from pathlib import Path
from typing import Any

import pytest

from raycolor.data import PHOTOS
from raycolor.tuning import trainable
from raycolor.tuning.trainable import Assignment, Outcome, StudyTrainable
from tests.toy import TinyConfig


@pytest.fixture
def assignment(tiny_config: TinyConfig, tmp_path: Path) -> dict[str, Any]:
    return {
        "number": 0,
        "name": "000",
        "config": tiny_config().model_dump(mode="json"),
        "data": str(PHOTOS),
        "folder": str(tmp_path / "000"),
        "address": None,
        "study": None,
        "mark": "",
        "rungs": (),
        "threads": 1,
        "gpus": 0.0,
        "alone": False,
        "share_pretraining": False,
        "publish_pretraining": False,
        "silence_seconds": None,
    }


def outcome_of(worker: StudyTrainable) -> Outcome:
    outcome: Outcome = worker.step()["outcome"]
    assert outcome.fault is None
    return outcome


def test_the_next_trial_keeps_the_evaluator_and_nothing_else(
    assignment: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    trainable._evaluators.cache_clear()
    Assignment(**assignment)  # the names above are its own
    worker = object.__new__(StudyTrainable)
    worker.setup(assignment)
    first = outcome_of(worker)
    kept = trainable._evaluators()._last
    assert kept is not None
    assert worker.reset_config(assignment | {"folder": str(tmp_path / "001")})
    second = outcome_of(worker)
    assert trainable._evaluators()._last is kept
    timed = {name for name in first.metrics if name.endswith("second") or "seconds" in name}
    assert {k: v for k, v in first.metrics.items() if k not in timed} == {
        k: v for k, v in second.metrics.items() if k not in timed
    }
    assert first.references == second.references
    trainable._evaluators.cache_clear()
