import json
from typing import Any

import pytest
import torch
from torch import Tensor

from raycolor.crops import Residents
from raycolor.data import PHOTOS
from raycolor.pace import READY, _Pace, paces
from raycolor.steps import Networks, adversarial_step
from raycolor.trial import Run
from tests.toy import TinyConfig


def test_says_how_many_images_its_steps_took(tiny_config: TinyConfig) -> None:
    config = tiny_config()
    first = {"config": config.model_dump(mode="json"), "data": str(PHOTOS)}
    asked = [
        {"threads": 1, "seconds": 0.0, "gpus": 0.0},
        {"threads": 2, "seconds": 0.05, "gpus": 0.0},
    ]
    answers = paces(json.dumps(line) for line in (first, *asked))
    assert next(answers) == READY
    short = json.loads(next(answers))
    assert short["images"] == config.budget.batch_size  # a step at least
    assert torch.get_num_threads() == 1
    longer = json.loads(next(answers))
    assert torch.get_num_threads() == 2
    assert longer["seconds"] >= 0.05
    assert longer["images"] % config.budget.batch_size == 0
    assert longer["gpu_share"] == 0.0 or torch.cuda.is_available()
    with pytest.raises(StopIteration):
        next(answers)


def test_steps_are_a_trial_s_own_after_pretraining(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(
        {"pretraining.images": 32, "generator.ema_decay": 0.9, "budget.report_every": 32}
    )
    seen: list[int] = []
    averaged: list[int] = []
    known: set[str] = set()
    advance, play = Run.advance, adversarial_step

    def noted(run: Run, sums: dict[str, Tensor]) -> None:
        seen.append(run.progress.images_seen)
        advance(run, sums)
        known.update(sums)
        average = run.networks.average
        assert average is not None
        monkeypatch.setattr(average, "update", lambda network, step: averaged.append(step))

    def played(networks: Networks, *args: Any) -> Any:
        # Rates never leave the budget, however long it is measured.
        assert networks.generator_adam.param_groups[0]["lr"] > 0
        return play(networks, *args)

    monkeypatch.setattr(Run, "advance", noted)
    monkeypatch.setattr("raycolor.trial.adversarial_step", played)
    first = {"config": config.model_dump(mode="json"), "data": str(PHOTOS)}
    asked = [{"threads": 1, "seconds": 0.0, "gpus": 0.0}] * 5
    assert len(list(paces(json.dumps(line) for line in (first, *asked)))) == 6
    assert seen == [32, 40, 48, 56, 32, 40]
    assert averaged == [step // 8 for step in seen[1:]]
    assert {"generator_l1_loss", "discriminator_loss"} <= known


def test_a_run_of_nothing_but_pretraining_has_a_pace(tiny_config: TinyConfig) -> None:
    config = tiny_config({"pretraining.images": 64})
    first = {"config": config.model_dump(mode="json"), "data": str(PHOTOS)}
    asked = {"threads": 1, "seconds": 0.0, "gpus": 0.0}
    _, answer = paces(json.dumps(line) for line in (first, asked))
    assert json.loads(answer)["images"] == 8


class Card:
    """A GPU that is made up beside the CPU that works: what was asked of it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
            monkeypatch.setattr(torch.cuda, name, lambda name=name: self.asked.append(name))
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", self.asked.append)


def test_a_gpu_is_waited_for_at_both_ends_alone(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(monkeypatch)
    asked = {"config": tiny_config().model_dump(mode="json"), "data": str(PHOTOS)}
    pace = _Pace(asked, None)
    advance = Run.advance

    def noted(run: Run, sums: dict[str, Tensor]) -> None:
        card.asked.append("step")
        advance(run, sums)

    monkeypatch.setattr(Run, "advance", noted)
    monkeypatch.setattr("raycolor.pace.perf_counter", map(float, range(99)).__next__)
    moved: list[str] = []
    monkeypatch.setattr(Residents, "of", lambda self, data, split, device: moved.append(split))
    pace._device = torch.device("cuda")
    source = pace._run.source
    pace.keep_to(0.25)
    assert moved == ["train"]
    pace._run.source = source
    pace.train(2.5)
    assert card.asked == [
        0.25,
        "empty_cache",
        "reset_peak_memory_stats",
        "synchronize",
        "step",
        "step",
        "step",
        "synchronize",
    ]
