"""What a trial leaves in its folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.errors import DataError
from raycolor.evaluation import Evaluator
from raycolor.networks.build import build_generator
from raycolor.photographs.read import read_photograph
from raycolor.run_folder import CHECKPOINT, PREVIOUS
from raycolor.sheet import GAP
from raycolor.trial import Report
from tests.toy import TinyConfig
from tests.unit.trial.runs import CPU, KEY, run, swing, timeless_all


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
