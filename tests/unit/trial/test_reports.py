"""What a trial reports: when, which values, and of which generator."""

import math
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from raycolor import trial
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError
from raycolor.evaluation import Evaluator
from raycolor.networks.build import build_generator
from raycolor.steps import StepLosses
from raycolor.trial import best_key, train
from tests.toy import TinyConfig
from tests.unit.trial.runs import (
    ADVERSARIAL_ONLY,
    CPU,
    EACH_REPORT,
    KEY,
    TIMES,
    all_state,
    assert_same_folder,
    run,
    swing,
    timeless_all,
)


class TestReports:
    @pytest.mark.parametrize("pretraining", [0, 24, 32, 40, 96])
    def test_come_at_equal_distances_and_name_their_stage(
        self, tiny_config: TinyConfig, prepared: PreparedData, pretraining: int
    ) -> None:
        config = tiny_config({"pretraining.images": pretraining, "budget.images": 96})
        reports = run(config, prepared)
        assert [report.images_seen for report in reports] == [32, 64, 96]
        for report in reports:
            ended = report.images_seen > pretraining
            assert report.stage == ("adversarial" if ended else "pretraining")
            wanted = EACH_REPORT | ADVERSARIAL_ONLY if ended else EACH_REPORT
            assert report.metrics.keys() == wanted
            assert report.references.keys() == {"gray", "truth"}
            assert report.references["gray"].keys() == {
                KEY,
                f"{KEY}_disjoint",
                "psnr",
                "ssim",
                "colorfulness",
                "evaluation_images",
                "disjoint_images",
                "crops",
            }

    def test_losses_are_means_over_the_steps_of_their_stage(
        self, tiny_config: TinyConfig, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        losses: dict[str, list[StepLosses]] = {"pretraining": [], "adversarial": []}

        def watch(stage: str) -> None:
            step = getattr(trial, f"{stage}_step")

            def watched(*args: Any) -> StepLosses:
                result: StepLosses = step(*args)
                losses[stage].append(result)
                return result

            monkeypatch.setattr(trial, f"{stage}_step", watched)

        watch("pretraining")
        watch("adversarial")
        config = tiny_config({"pretraining.images": 24, "losses.l1_lambda": 3.0})
        first, second = run(config, prepared)
        assert len(losses["pretraining"]) == 3
        assert len(losses["adversarial"]) == 5
        # The report at 32 is of the one step that was adversarial, the one at 64 of the other four.
        for report, steps in (
            (first, losses["adversarial"][:1]),
            (second, losses["adversarial"][1:]),
        ):
            for name in ("generator_loss", "generator_l1_loss", "discriminator_loss"):
                expected = sum(float(getattr(step, name)) for step in steps) / len(steps)
                assert report.metrics[name] == pytest.approx(expected, rel=1e-12)
            halves = (
                report.metrics["discriminator_accuracy_real"]
                + report.metrics["discriminator_accuracy_fake"]
            )
            assert report.metrics["discriminator_accuracy"] == pytest.approx(halves / 2)

    def test_a_loss_without_a_threshold_reports_no_accuracy(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        settings = {"losses.adversarial": "wgan_gp", "discriminator.norm": "instance"}
        report = next(train(tiny_config(settings), prepared, device=CPU))
        assert report.stage == "adversarial"
        assert math.isfinite(report.metrics["discriminator_loss"])
        assert not [name for name in report.metrics if "accuracy" in name]

    @pytest.mark.parametrize(
        ("settings", "own"),
        [
            ({"losses.kind": "l1"}, set()),
            ({"losses.kind": "classification"}, {"generator_classification_loss"}),
            ({"generator.predicts": "rgb", "losses.kind": "l1"}, {"generator_lightness_loss"}),
        ],
    )
    def test_without_a_game_both_stages_report_the_same_losses(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        settings: dict[str, Any],
        own: set[str],
    ) -> None:
        first, second = run(tiny_config({"pretraining.images": 32, **settings}), prepared)
        assert (first.stage, second.stage) == ("pretraining", "alone")
        for report in (first, second):
            assert report.metrics.keys() == EACH_REPORT | own
            for name in own:
                assert 0 < report.metrics[name] < 10
        assert second.metrics["generator_loss"] < first.metrics["generator_loss"]

    def test_colours_are_counted_once_for_all_trials_of_a_machine(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
        config = tiny_config({"losses.kind": "classification"})
        first = next(train(config, prepared, device=CPU, cache=tmp_path))
        (kept,) = (tmp_path / "cache" / "bins").iterdir()
        before = kept.stat().st_mtime_ns
        second = next(train(config, prepared, device=CPU, cache=tmp_path))
        assert kept.stat().st_mtime_ns == before
        assert second.metrics["generator_loss"] == first.metrics["generator_loss"]

    def test_without_l1_pretraining_reports_the_l1_that_it_trains_with(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        settings = {"losses.l1_lambda": 0, "pretraining.images": 32}
        first, second = (report.metrics for report in run(tiny_config(settings), prepared))
        assert first["generator_loss"] == first["generator_l1_loss"] > 0
        assert second["generator_loss"] == pytest.approx(second["generator_adversarial_loss"])

    def test_a_run_with_schedules_goes_on_as_if_it_had_not_stopped(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        config = tiny_config(
            {
                "pretraining.images": 16,
                "budget.images": 96,
                "generator.kind": "gan_32",
                "discriminator.kind": "gan_32",
                "optimizers.generator.schedule": "cosine",
                "optimizers.discriminator.schedule": "linear",
            }
        )
        whole = run(config, prepared, tmp_path / "whole")
        list(islice(train(config, prepared, folder=tmp_path / "halves", device=CPU), 1))
        halves = run(config, prepared, tmp_path / "halves")
        assert timeless_all(halves) == timeless_all(whole)
        assert_same_folder(tmp_path / "whole", tmp_path / "halves")
        # A longer run would have had other rates from the start.
        longer = config.model_copy(
            update={"budget": config.budget.model_copy(update={"images": 128})}
        )
        with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
            run(longer, prepared, tmp_path / "halves")

    def test_best_is_the_lowest_distance_so_far(
        self, tiny_config: TinyConfig, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swing(monkeypatch)
        config = tiny_config({"budget.images": 160})
        reports = run(config, prepared)
        first, second, third, fourth, fifth = (report.metrics[KEY] for report in reports)
        assert fourth < second < min(first, third, fifth)
        best = [report.metrics[best_key(config)] for report in reports]
        assert best == [first, second, second, fourth, fourth]

    def test_costs_only_grow(self, tiny_config: TinyConfig, prepared: PreparedData) -> None:
        reports = run(tiny_config({"budget.images": 96}), prepared)
        for name in ("train_seconds", "evaluate_seconds"):
            assert reports[0].metrics[name] > 0
            for earlier, later in pairwise(reports):
                assert earlier.metrics[name] < later.metrics[name]
        spent = 0.0
        for report in reports:
            spent += 32 / report.metrics["images_per_second"]
            assert report.metrics["train_seconds"] == pytest.approx(spent)

    @pytest.mark.parametrize(("ema_decay", "start"), [(0.9, "average/"), (None, "generator/")])
    def test_scores_are_of_the_judged_generator_in_evaluation_mode(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        ema_decay: float | None,
        start: str,
    ) -> None:
        config = tiny_config({"generator.ema_decay": ema_decay})
        reports = run(config, prepared, tmp_path)
        state, _ = all_state(tmp_path)
        generator = build_generator(config).eval()
        generator.load_state_dict(
            {k.removeprefix(start): value for k, value in state.items() if k.startswith(start)}
        )
        with torch.no_grad():
            found = Evaluator(config, prepared, device=CPU).evaluate(generator)
        assert found.scores[KEY] == pytest.approx(reports[-1].metrics[KEY], rel=1e-6)

    def test_scores_do_not_depend_on_the_evaluations_batch_size(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        whole = run(tiny_config({"evaluation.batch_size": 4}), prepared)
        parts = run(tiny_config({"evaluation.batch_size": 3}), prepared)
        for first, second in zip(whole, parts, strict=True):
            assert second.metrics.keys() == first.metrics.keys()
            for name in first.metrics.keys() - TIMES:
                assert second.metrics[name] == pytest.approx(first.metrics[name], rel=1e-4), name
