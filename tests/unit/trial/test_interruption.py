"""A trial that is interrupted anywhere goes on as if it had never been."""

import functools
from itertools import islice
from pathlib import Path

import pytest

from raycolor import trial
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError
from raycolor.run_folder import CHECKPOINT
from raycolor.storage import Patience
from raycolor.trial import Report, train
from tests.toy import TinyConfig
from tests.unit.trial.runs import (
    CPU,
    STAGES,
    assert_same_folder,
    interrupted,
    kill_before,
    kill_in_evaluation,
    run,
    timeless,
    timeless_all,
)


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
