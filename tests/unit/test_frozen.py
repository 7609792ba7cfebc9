"""Pretraining whose first part leaves the encoder as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raycolor import evaluation
from raycolor.checkpoint import load_tensors
from raycolor.config import EvaluationConfig, TrialConfig
from raycolor.data import PreparedData
from raycolor.metrics.extractor import build_extractor
from raycolor.run_folder import CHECKPOINT
from raycolor.steps import prepare_generator
from raycolor.trial import train
from tests.toy import TinyConfig

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "generator.backbone": "mobilenetv3_small_050",
    "generator.weights": "none",
    "generator.decoder_width": 8,
    "pretraining.images": 32,
    "pretraining.frozen_images": 16,
    "budget.images": 48,
    "budget.report_every": 16,
}
"""Steps of 8 images: two with the encoder frozen, two of the whole generator, two adversarial."""


@pytest.fixture(autouse=True, scope="module")
def _one_extractor() -> Any:
    # It is frozen, so all runs may share it.
    shared = build_extractor(EvaluationConfig(extractor_size=32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "build_extractor", lambda config: shared)
        yield


def states(config: TrialConfig, data: PreparedData, folder: Path) -> list[dict[str, Tensor]]:
    """All tensors of the checkpoint at each report."""
    return [
        load_tensors(folder / CHECKPOINT)[0] for _ in train(config, data, folder=folder, device=CPU)
    ]


def encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = ("generator/unet.encoder.", "average/unet.encoder.")
    return {name: value for name, value in state.items() if name.startswith(parts)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def test_the_encoder_stays_until_it_is_let_go(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
) -> None:
    at16, at32, at48 = states(tiny_config(SMALL), prepared, tmp_path / "run")
    # Its initial weights come from the seed of pretraining, whatever is frozen.
    longer = tiny_config({**SMALL, "pretraining.frozen_images": 32})
    also16, also32, then48 = states(longer, prepared, tmp_path / "longer")
    assert same(at16, also16)
    assert same(encoder(also32), encoder(at16))
    assert not same(encoder(at32), encoder(at16))
    # Parameters and batch norm's statistics alike; the decoder learns all the time.
    statistics = [name for name in encoder(at16) if name.endswith("running_mean")]
    assert any(not at32[name].equal(at16[name]) for name in statistics)
    head = "generator/unet.segmentation_head.0.weight"
    assert not also32[head].equal(also16[head])
    # In the adversarial game all of it learns.
    assert not same(encoder(then48), encoder(also32))
    assert not same(encoder(at48), encoder(at32))


@pytest.mark.parametrize("length", [16, 32])
def test_freezing_ends_with_pretraining_and_the_prefix_does_not_know_its_length(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, length: int
) -> None:
    frozen = {**SMALL, "pretraining.frozen_images": 32}
    short = tiny_config({**frozen, "pretraining.images": length})
    long = tiny_config({**frozen, "pretraining.images": 48})
    first, second = (
        states(config, prepared, tmp_path / name) for config, name in ((short, "a"), (long, "b"))
    )
    assert all(same(first[number], second[number]) for number in range(length // 16))
    assert not same(encoder(first[-1]), encoder(first[0]))
    assert same(encoder(second[1]), encoder(second[0]))


@pytest.mark.parametrize("stop", [8, 16, 24])
def test_a_run_that_stopped_goes_on_with_the_same_bits(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    # A checkpoint after every step.
    config = tiny_config({**SMALL, "budget.checkpoint_seconds": 1e-9})
    (*_, whole) = states(config, prepared, tmp_path / "whole")

    class Stopped(Exception):  # noqa: N818  (not an error)
        pass

    real = prepare_generator

    def stopping(networks: Any, config: TrialConfig, images_seen: int) -> None:
        if images_seen == stop:
            raise Stopped
        real(networks, config, images_seen)

    with monkeypatch.context() as patch:
        patch.setattr("raycolor.trial.prepare_generator", stopping)
        with pytest.raises(Stopped):
            states(config, prepared, tmp_path / "parts")
    (*_, resumed) = states(config, prepared, tmp_path / "parts")
    assert same(resumed, whole)


def test_scratch_has_no_encoder_to_freeze(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
) -> None:
    settings = {**SMALL, "generator.backbone": "scratch", "budget.images": 32}
    (*_, first) = states(tiny_config(settings), prepared, tmp_path / "first")
    never = tiny_config({**settings, "pretraining.frozen_images": 0})
    (*_, second) = states(never, prepared, tmp_path / "second")
    assert same(first, second)
