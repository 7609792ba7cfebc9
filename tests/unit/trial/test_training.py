"""What training depends on, what it comes to, and how it diverges."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raycolor import trial
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.errors import Diverged
from raycolor.run_folder import CHECKPOINT
from raycolor.steps import Networks, StepLosses, adversarial_step
from raycolor.trial import Report, train
from tests.toy import TinyConfig
from tests.unit.trial.runs import (
    BACKBONES,
    CPU,
    STAGES,
    assert_same_folder,
    run,
    timeless,
    timeless_all,
)


class TestSeeds:
    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_same_seed_same_bits(
        self, tiny_config: TinyConfig, prepared_large: PreparedData, tmp_path: Path, backbone: str
    ) -> None:
        overrides = STAGES | {
            "generator.backbone": backbone,
            "generator.decoder_width": 8,
            "budget.report_every": 16,
            "budget.images": 32,
        }
        config = tiny_config(overrides)
        first = run(config, prepared_large, tmp_path / "first")
        torch.rand(3)  # what else the process draws has no influence
        second = run(config, prepared_large, tmp_path / "second")
        assert timeless_all(first) == timeless_all(second)
        assert_same_folder(tmp_path / "first", tmp_path / "second")

    def test_seed_changes_the_adversarial_stage_alone(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        def reports(seed: int, pretraining_seed: int) -> list[Report]:
            config = tiny_config(
                {
                    "seed": seed,
                    "pretraining.seed": pretraining_seed,
                    "pretraining.images": 32,
                }
            )
            return timeless_all(run(config, prepared))

        own = reports(0, 0)
        other = reports(1, 0)
        assert other[0] == own[0]
        assert other[1].metrics != own[1].metrics
        pretrained_otherwise = reports(0, 1)
        assert pretrained_otherwise[0].metrics != own[0].metrics

    def test_pretraining_does_not_know_what_comes_after(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        def first(overrides: Mapping[str, Any]) -> Report:
            config = tiny_config({"pretraining.images": 32, **overrides})
            return timeless(next(train(config, prepared, device=CPU)))

        own = first({})
        for overrides in (
            {"discriminator.width": 8},
            {"optimizers.discriminator.learning_rate": 0.01},
            {"optimizers.generator.learning_rate": 0.01},
            {"optimizers.generator.schedule": "cosine"},
            {"discriminator.kind": "pixel", "losses.adversarial": "hinge"},
            {"budget.images": 320},
        ):
            assert first(overrides) == own

    def test_longer_run_begins_like_a_shorter_one(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        longer = run(tiny_config({"budget.images": 96}), prepared, tmp_path / "longer")
        shorter = run(tiny_config({"budget.images": 64}), prepared, tmp_path / "shorter")
        assert timeless_all(longer[:2]) == timeless_all(shorter)
        # A finished run goes on where it is given more.
        extended = run(tiny_config({"budget.images": 96}), prepared, tmp_path / "shorter")
        assert timeless_all(extended) == timeless_all(longer[1:])
        assert_same_folder(tmp_path / "longer", tmp_path / "shorter")


class TestDivergence:
    @pytest.mark.parametrize("value", [math.nan, math.inf])
    @pytest.mark.parametrize("name", ["generator_l1_loss", "discriminator_loss"])
    def test_ends_the_run_at_the_next_report(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        value: float,
    ) -> None:
        calls = [0]

        def sick(networks: Networks, config: TrialConfig, rgb_u8: Tensor) -> StepLosses:
            losses = adversarial_step(networks, config, rgb_u8)
            calls[0] += 1
            return (
                dataclasses.replace(losses, **{name: torch.tensor(value)})
                if calls[0] == 6
                else losses
            )

        monkeypatch.setattr(trial, "adversarial_step", sick)
        reports: list[Report] = []
        with pytest.raises(Diverged, match=r"diverged after 64 images: .*(nan|inf)") as caught:
            reports.extend(train(tiny_config(), prepared, folder=tmp_path, device=CPU))
        assert [report.images_seen for report in reports] == [32]
        assert caught.value.images_seen == 64
        assert not math.isfinite(caught.value.losses[name])
        assert math.isfinite(caught.value.losses["generator_adversarial_loss"])
        # What was good before is still there.
        assert load_tensors(tmp_path / CHECKPOINT)[1]["progress"]["images_seen"] == 32

    def test_of_the_weights_shows_in_the_losses(
        self, tiny_config: TinyConfig, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def poisoned(networks: Networks, config: TrialConfig, rgb_u8: Tensor) -> StepLosses:
            with torch.no_grad():
                next(networks.generator.parameters()).fill_(math.nan)
            return adversarial_step(networks, config, rgb_u8)

        monkeypatch.setattr(trial, "adversarial_step", poisoned)
        with pytest.raises(Diverged) as caught:
            run(tiny_config(), prepared)
        assert math.isnan(caught.value.losses["generator_loss"])


@pytest.mark.parametrize("exact", [True, False])
def test_determinism_is_as_configured(
    tiny_config: TinyConfig, prepared: PreparedData, exact: bool
) -> None:
    config = tiny_config({"determinism": "exact" if exact else "fast"})
    with torch.backends.cudnn.flags(benchmark=exact, allow_tf32=False):
        next(train(config, prepared, device=CPU))
        assert torch.are_deterministic_algorithms_enabled() is exact
        assert torch.backends.cudnn.benchmark is not exact
        assert torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_generators_learn_the_toy_pictures(
    tiny_config: TinyConfig, prepared: PreparedData, backbone: str
) -> None:
    config = tiny_config(
        {
            "generator.backbone": backbone,
            "generator.decoder_width": 16,
            "pretraining.images": 128,
            "budget.images": 128,
            "budget.report_every": 64,
            "pretraining.learning_rate": 0.01,
        }
    )
    first, second = run(config, prepared)
    assert second.metrics["generator_l1_loss"] < first.metrics["generator_l1_loss"]
