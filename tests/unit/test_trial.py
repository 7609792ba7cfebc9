import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raycolor import evaluation, trial
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError, DataError, Diverged
from raycolor.evaluation import Evaluator
from raycolor.metrics.extractor import build_extractor
from raycolor.networks.build import build_generator
from raycolor.photographs.read import read_photograph
from raycolor.run_folder import CHECKPOINT, PREVIOUS
from raycolor.sheet import GAP
from raycolor.steps import Networks, StepLosses, adversarial_step
from raycolor.storage import Patience
from raycolor.trial import Report, best_key, train
from tests.toy import TinyConfig

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


@pytest.fixture(autouse=True)
def _one_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    # It is frozen, so all runs may share it.
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)


_extractor = functools.cache(build_extractor)


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


class TestInterruption:
    """An interrupted run that goes on gives the same bits as one that never stopped."""

    @pytest.fixture(scope="class")
    @classmethod
    def config(cls, tiny_config: TinyConfig) -> TrialConfig:
        return tiny_config(STAGES)

    @pytest.fixture(scope="class")
    @classmethod
    def often(cls, tiny_config: TinyConfig) -> TrialConfig:
        """The same run with a checkpoint after every step."""
        return tiny_config(STAGES | {"budget.checkpoint_seconds": 1e-9})

    @pytest.fixture(scope="class")
    @classmethod
    def whole(
        cls,
        config: TrialConfig,
        prepared_large: PreparedData,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> tuple[list[Report], Path]:
        """The run that never stopped."""
        folder = tmp_path_factory.mktemp("whole")
        return timeless_all(run(config, prepared_large, folder)), folder

    @pytest.mark.parametrize("images", range(8, 64, 8))
    def test_with_a_checkpoint_after_each_step(
        self,
        often: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
        images: int,
    ) -> None:
        reports, folder = whole
        before = interrupted(often, prepared_large, tmp_path, lambda m: kill_before(m, images))
        progress = load_tensors(tmp_path / CHECKPOINT)[1]["progress"]
        assert progress["images_seen"] == images
        # Only what comes after the checkpoint is trained again.
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_before(monkeypatch, images - 8)
            after = run(often, prepared_large, tmp_path)
        reported = {report.images_seen: report for report in timeless_all(before + after)}
        assert list(reported.values()) == reports
        assert_same_folder(tmp_path, folder)

    @pytest.mark.parametrize("images", [16, 24, 32, 48])
    def test_with_checkpoints_at_reports_only(
        self,
        config: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
        images: int,
    ) -> None:
        reports, folder = whole
        before = interrupted(config, prepared_large, tmp_path, lambda m: kill_before(m, images))
        assert timeless_all(before) == reports[: images // 32]
        after = run(config, prepared_large, tmp_path)
        # It begins with the report of its checkpoint, if there was one.
        assert timeless_all(after) == reports
        if before:
            assert after[0] == before[0]
        assert_same_folder(tmp_path, folder)

    @pytest.mark.parametrize("evaluation_number", [1, 2])
    def test_in_an_evaluation(
        self,
        often: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
        evaluation_number: int,
    ) -> None:
        # A checkpoint of exactly a report's image count without its report would skip the report.
        reports, folder = whole
        before = interrupted(
            often, prepared_large, tmp_path, lambda m: kill_in_evaluation(m, evaluation_number)
        )
        assert len(before) == evaluation_number - 1
        after = run(often, prepared_large, tmp_path)
        reported = {report.images_seen: report for report in timeless_all(before + after)}
        assert list(reported.values()) == reports
        assert_same_folder(tmp_path, folder)

    def test_after_every_report(
        self,
        config: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
    ) -> None:
        reports, folder = whole
        for i, expected in enumerate(reports):
            # The first report repeats the last of the run before.
            running = train(config, prepared_large, folder=tmp_path, device=CPU)
            taken = list(islice(running, 2 if i else 1))
            assert timeless(taken[-1]) == expected
        assert_same_folder(tmp_path, folder)

    def test_that_comes_again_and_again(
        self,
        often: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
    ) -> None:
        reports, folder = whole
        reported: dict[int, Report] = {}
        for images in (8, 24, 40, 56):
            part = interrupted(
                often, prepared_large, tmp_path, functools.partial(kill_before, images=images)
            )
            reported |= {report.images_seen: report for report in timeless_all(part)}
        for report in timeless_all(run(often, prepared_large, tmp_path)):
            reported[report.images_seen] = report
        assert list(reported.values()) == reports
        assert_same_folder(tmp_path, folder)

    def test_of_a_run_without_average(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        # Its generator itself is evaluated, and has to go back to training afterwards.
        config = tiny_config({"generator.ema_decay": None})
        whole = run(config, prepared, tmp_path / "whole")
        folder = tmp_path / "parts"
        interrupted(config, prepared, folder, lambda m: kill_before(m, 40))
        assert timeless_all(run(config, prepared, folder)) == timeless_all(whole)
        assert_same_folder(folder, tmp_path / "whole")

    def test_finished_run_repeats_its_last_report_and_nothing_else(
        self,
        config: TrialConfig,
        prepared_large: PreparedData,
        whole: tuple[list[Report], Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        reports, folder = whole
        monkeypatch.delattr(trial, "training_batch")
        assert timeless_all(run(config, prepared_large, folder)) == reports[-1:]

    def test_that_damaged_the_checkpoint_goes_on_from_the_one_before(
        self,
        config: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
    ) -> None:
        reports, folder = whole
        run(config, prepared_large, tmp_path)
        path = tmp_path / CHECKPOINT
        contents = bytearray(path.read_bytes())
        contents[-3] ^= 1
        path.write_bytes(contents)
        assert timeless_all(run(config, prepared_large, tmp_path)) == reports
        assert_same_folder(tmp_path, folder)
        assert (tmp_path / f"{CHECKPOINT}.damaged").read_bytes() == contents

    def test_without_room_for_a_checkpoint_loses_nothing_older(
        self,
        config: TrialConfig,
        prepared_large: PreparedData,
        tmp_path: Path,
        whole: tuple[list[Report], Path],
    ) -> None:
        reports, folder = whole

        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError(28, "No space left on device")

        with pytest.MonkeyPatch.context() as monkeypatch:
            running = train(config, prepared_large, folder=tmp_path, device=CPU)
            next(running)
            monkeypatch.setattr("raycolor.checkpoint.save_file", refuse)
            monkeypatch.setattr("raycolor.storage.PATIENCE", Patience(waits_s=()))
            with pytest.raises(CheckpointError, match="No space left on device"):
                next(running)
        assert timeless_all(run(config, prepared_large, tmp_path)) == reports
        assert_same_folder(tmp_path, folder)

    def test_of_a_run_with_other_settings_is_not_taken_up(
        self,
        tiny_config: TinyConfig,
        prepared_large: PreparedData,
        whole: tuple[list[Report], Path],
    ) -> None:
        _, folder = whole
        other = tiny_config(STAGES | {"losses.l1_lambda": 10.0})
        with pytest.raises(CheckpointError, match="other settings or other data"):
            run(other, prepared_large, folder)

    def test_of_a_run_on_other_data_is_not_taken_up(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        prepared_large: PreparedData,
        tmp_path: Path,
    ) -> None:
        run(tiny_config({"budget.images": 32}), prepared, tmp_path)
        with pytest.raises(CheckpointError, match="other settings or other data"):
            run(tiny_config({"budget.images": 32}), prepared_large, tmp_path)

    @pytest.mark.slow
    def test_of_a_pretrained_generator(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        config = tiny_config(
            {
                "generator.backbone": "efficientnet_lite0",
                "generator.decoder_width": 8,
                "pretraining.images": 8,
                "budget.images": 24,
                "budget.report_every": 24,
                "budget.checkpoint_seconds": 1e-9,
            }
        )
        whole = run(config, prepared, tmp_path / "whole")
        folder = tmp_path / "parts"
        interrupted(config, prepared, folder, lambda m: kill_before(m, 16))
        assert timeless_all(run(config, prepared, folder)) == timeless_all(whole)
        assert_same_folder(folder, tmp_path / "whole")


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


class TestFolder:
    @pytest.fixture(scope="class")
    @classmethod
    def config(cls, tiny_config: TinyConfig) -> TrialConfig:
        return tiny_config({"budget.images": 160})

    @pytest.fixture(scope="class")
    @classmethod
    def ran(
        cls,
        config: TrialConfig,
        prepared: PreparedData,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> tuple[list[Report], Path]:
        folder = tmp_path_factory.mktemp("ran")
        with pytest.MonkeyPatch.context() as monkeypatch:
            swing(monkeypatch)
            return run(config, prepared, folder, pictures_at=(64, 96)), folder

    def test_best_generator_is_the_one_of_the_lowest_distance(
        self, config: TrialConfig, prepared: PreparedData, ran: tuple[list[Report], Path]
    ) -> None:
        reports, folder = ran
        best = min(reports, key=lambda report: report.metrics[KEY])
        assert best.images_seen == 128
        tensors, about = load_tensors(folder / "best_128.safetensors")
        assert about["images_seen"] == 128
        assert TrialConfig.model_validate(about["config"]) == config
        generator = build_generator(config).eval()
        generator.load_state_dict(tensors)
        with torch.no_grad():
            found = Evaluator(config, prepared, device=CPU).evaluate(generator)
        for name, score in found.scores.items():
            assert score == pytest.approx(best.metrics[name], rel=1e-6)

    def test_holds_no_more_than_it_needs(self, ran: tuple[list[Report], Path]) -> None:
        _, folder = ran
        assert {path.name for path in folder.iterdir()} == {
            CHECKPOINT,
            PREVIOUS,
            "best_64.safetensors",  # a study that was killed may not have heard of the one at 128
            "best_64.png",
            "best_128.safetensors",
            "best_128.png",
            "samples_64.png",
            "samples_96.png",
        }

    def test_pictures_show_gray_predicted_and_truth(
        self, config: TrialConfig, prepared: PreparedData, ran: tuple[list[Report], Path]
    ) -> None:
        _, folder = ran
        evaluator = Evaluator(config, prepared, device=CPU)
        sheet = read_photograph(folder / "samples_96.png", name="samples").rgb_u8
        rows, side = len(evaluator.truth_shown()), config.data.size
        assert sheet.shape == (rows * (side + GAP) - GAP, 3 * (side + GAP) - GAP, 3)
        columns = [sheet[:, i * (side + GAP) :][:, :side] for i in range(3)]
        for column, pictures in (
            (columns[0], evaluator.gray_shown()),
            (columns[2], evaluator.truth_shown()),
        ):
            for row, picture in enumerate(pictures):
                shown = column[row * (side + GAP) :][:side]
                np.testing.assert_array_equal(shown, picture.permute(1, 2, 0).numpy())
        assert not np.array_equal(columns[1], columns[0])
        assert not np.array_equal(columns[1], columns[2])

    def test_pictures_of_the_best_are_those_of_its_report(
        self, ran: tuple[list[Report], Path]
    ) -> None:
        _, folder = ran
        best = (folder / "best_64.png").read_bytes()
        assert best == (folder / "samples_64.png").read_bytes()
        assert best != (folder / "best_128.png").read_bytes()

    def test_has_no_influence_on_the_reports(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        plain = timeless_all(run(tiny_config(), prepared))
        for name in ("first", "second"):
            kept = run(tiny_config(), prepared, tmp_path / name, cache=tmp_path / "cache")
            assert timeless_all(kept) == plain


def test_crops_larger_than_the_pictures_are_refused_before_anything_else(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"data\.size: 64 is larger"):
        run(tiny_config({"data.size": 64}), prepared, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("exact", [True, False])
def test_determinism_is_as_configured(
    tiny_config: TinyConfig, prepared: PreparedData, exact: bool
) -> None:
    config = tiny_config({"determinism": "exact" if exact else "fast"})
    next(train(config, prepared, device=CPU))
    assert torch.are_deterministic_algorithms_enabled() is exact


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
