import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raycolor import evaluation
from raycolor.color import rgb_to_unit, unit_to_rgb
from raycolor.config import EvaluationConfig, TrialConfig
from raycolor.crops import fixed_crops
from raycolor.data import PreparedData, write_prepared
from raycolor.errors import DataError
from raycolor.evaluation import NUM_SHOWN, Colorizer, Evaluator, Evaluators, gray
from raycolor.metrics.extractor import FeatureExtractor, build_extractor
from raycolor.metrics.frechet import feature_statistics, frechet_distance
from raycolor.metrics.pixels import colorfulness, psnr, ssim
from tests.toy import TinyConfig, smooth_picture, toy_splits

CPU = torch.device("cpu")
KEY = "fd_efficientnet_lite0"


def warm(l_unit: Tensor) -> Tensor:
    """A colorizer that gives everything one tint."""
    return torch.full_like(l_unit, 0.2).expand(-1, 2, -1, -1)


def oracle(evaluator: Evaluator) -> Colorizer:
    """A colorizer that knows the truth."""
    colors = iter(rgb_to_unit(evaluator.truth)[1])

    def colorize(l_unit: Tensor) -> Tensor:
        return torch.stack([next(colors) for _ in l_unit])

    return colorize


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of pictures whose features are computed."""
    counts: list[int] = []
    forward = FeatureExtractor.forward

    def counting(self: FeatureExtractor, rgb_u8: Tensor) -> Tensor:
        counts.append(len(rgb_u8))
        return forward(self, rgb_u8)

    monkeypatch.setattr(FeatureExtractor, "forward", counting)
    return counts


def test_scores_are_the_metrics_of_colored_and_true_crops(
    tiny_config: TinyConfig, prepared: PreparedData
) -> None:
    config = tiny_config({"evaluation.images": 6})
    evaluator = Evaluator(config, prepared, device=CPU)
    truth, sources = fixed_crops(prepared.pictures("validation"), config.data, number=6)
    assert torch.equal(evaluator.truth, truth)
    assert evaluator.sources == sources
    found = evaluator.evaluate(warm)
    l_unit, _ = rgb_to_unit(truth)
    colored = unit_to_rgb(l_unit, warm(l_unit))
    extractor = build_extractor(EvaluationConfig(extractor_size=32))
    others, names = fixed_crops(prepared.pictures("train"), config.data, number=6)
    assert all(name.startswith("train") for name in names)
    of_colored, of_truth, of_others = (
        feature_statistics(extractor(crops)) for crops in (colored, truth, others)
    )
    assert found.scores == {
        KEY: pytest.approx(frechet_distance(of_colored, of_truth), rel=1e-6),
        f"{KEY}_disjoint": pytest.approx(frechet_distance(of_colored, of_others), rel=1e-6),
        "psnr": pytest.approx(float(psnr(colored, truth).mean())),
        "ssim": pytest.approx(float(ssim(colored, truth).mean())),
        "colorfulness": pytest.approx(float(colorfulness(colored).mean())),
        "evaluation_images": 6.0,
        "disjoint_images": 6.0,
    }
    truth_scores = evaluator.references["truth"]
    assert truth_scores[f"{KEY}_disjoint"] == pytest.approx(
        frechet_distance(of_truth, of_others), rel=1e-6
    )
    assert found.seconds > 0


def test_scores_do_not_depend_on_the_batch_size(
    tiny_config: TinyConfig, prepared: PreparedData
) -> None:
    def scores(batch_size: int) -> dict[str, float]:
        config = tiny_config({"evaluation.images": 6, "evaluation.batch_size": batch_size})
        evaluator = Evaluator(config, prepared, device=CPU)
        found = evaluator.evaluate(warm).scores
        return found | {f"gray_{name}": x for name, x in evaluator.references["gray"].items()}

    whole = scores(6)
    for batch_size in (1, 4, 32):
        assert scores(batch_size) == pytest.approx(whole, rel=1e-4)


def test_truth_is_perfect(tiny_config: TinyConfig, prepared: PreparedData) -> None:
    evaluator = Evaluator(tiny_config(), prepared, device=CPU)
    perfect = evaluator.evaluate(oracle(evaluator)).scores
    reference = evaluator.references["truth"]
    assert perfect[KEY] == pytest.approx(reference[KEY], abs=1e-6)
    assert perfect["colorfulness"] == pytest.approx(reference["colorfulness"])
    assert math.isnan(perfect["psnr"])  # infinite for every picture, so there is no mean


def test_gray_is_what_a_colorizer_without_an_answer_gets(
    tiny_config: TinyConfig, prepared: PreparedData
) -> None:
    evaluator = Evaluator(tiny_config(), prepared, device=CPU)
    reference = evaluator.references["gray"]
    assert evaluator.evaluate(gray).scores | {"crops": 4.0} == reference
    assert reference["colorfulness"] < 0.5
    assert reference[KEY] > 0


def test_better_colors_score_better(tiny_config: TinyConfig, prepared: PreparedData) -> None:
    evaluator = Evaluator(tiny_config(), prepared, device=CPU)

    def halfway(share: float) -> dict[str, float]:
        colorize = oracle(evaluator)
        return evaluator.evaluate(lambda l_unit: share * colorize(l_unit)).scores

    distances = [halfway(share)[KEY] for share in (0.0, 0.5, 0.9)]
    assert distances == sorted(distances, reverse=True)
    decibels = [halfway(share)["psnr"] for share in (0.0, 0.5, 0.9)]
    assert decibels == sorted(decibels)


def test_split_is_the_one_that_was_asked_for(
    tiny_config: TinyConfig, prepared: PreparedData
) -> None:
    evaluator = Evaluator(tiny_config(), prepared, split="test", device=CPU)
    assert all(source.startswith("test") for source in evaluator.sources)


def test_single_crop_is_refused(tiny_config: TinyConfig, tmp_path: Path) -> None:
    splits = toy_splits(32, counts={"train": 2, "validation": 1, "test": 2})
    data = write_prepared(tmp_path, splits, name="toy", source="drawn")
    with pytest.raises(DataError, match=r"validation gives 1 crop, .* at least 2"):
        Evaluator(tiny_config(), data, device=CPU)


class TestShown:
    def shown_of(
        self, tiny_config: TinyConfig, folder: Path, names: list[str], images: int
    ) -> tuple[Evaluator, list[str]]:
        rng = np.random.default_rng(0)
        splits = toy_splits(32)
        splits["validation"] = [(name, smooth_picture(rng, 32)) for name in names]
        data = write_prepared(folder, splits, name="toy", source="drawn")
        evaluator = Evaluator(tiny_config({"evaluation.images": images}), data, device=CPU)
        truth = [crop.numpy().tobytes() for crop in evaluator.truth]
        places = [truth.index(crop.numpy().tobytes()) for crop in evaluator.truth_shown()]
        return evaluator, [evaluator.sources[place] for place in places]

    def test_different_photographs_from_first_to_last(
        self, tiny_config: TinyConfig, tmp_path: Path
    ) -> None:
        names = [f"{i:02}.png#{tile}" for i in range(12) for tile in range(2)]
        _, shown = self.shown_of(tiny_config, tmp_path, names, images=24)
        assert len(shown) == NUM_SHOWN
        assert shown[0] == "00.png#0"
        assert shown[-1] == "11.png#0"
        assert len({name.partition("#")[0] for name in shown}) == NUM_SHOWN

    def test_fewer_where_there_are_fewer(self, tiny_config: TinyConfig, tmp_path: Path) -> None:
        names = ["a.png#0", "a.png#1", "b.png#0"]
        _, shown = self.shown_of(tiny_config, tmp_path, names, images=3)
        assert shown == ["a.png#0", "b.png#0"]

    def test_three_views_of_the_same_pictures(
        self, tiny_config: TinyConfig, tmp_path: Path
    ) -> None:
        names = [f"{i}.png" for i in range(5)]
        evaluator, _ = self.shown_of(tiny_config, tmp_path, names, images=5)
        assert torch.equal(evaluator.evaluate(oracle(evaluator)).shown, evaluator.truth_shown())
        assert torch.equal(evaluator.evaluate(gray).shown, evaluator.gray_shown())
        assert (colorfulness(evaluator.gray_shown()) < 0.5).all()


class TestCache:
    def test_features_are_computed_once(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        extracted: list[int],
    ) -> None:
        first = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        assert sum(extracted) == 12  # truth, truth of others, and grey
        second = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        assert sum(extracted) == 12
        assert second.references == first.references
        assert second.evaluate(warm).scores == first.evaluate(warm).scores

    @pytest.mark.parametrize(
        ("overrides", "computed"),
        [
            ({"evaluation.images": 5}, True),
            ({"evaluation.extractor_size": 64}, True),
            ({"data.size": 16, "generator.depth": 4}, True),
            # Sums in another order have other last bits.
            ({"evaluation.batch_size": 3}, True),
            # What has no influence on the features shares them.
            ({"seed": 5, "losses.l1_lambda": 1.0, "generator.width": 8}, False),
        ],
    )
    def test_features_are_shared_where_they_are_the_same(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        extracted: list[int],
        overrides: Mapping[str, Any],
        computed: bool,
    ) -> None:
        Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        extracted.clear()
        Evaluator(tiny_config(overrides), prepared, device=CPU, cache=tmp_path)
        assert bool(extracted) == computed

    @pytest.mark.parametrize("other", ["data", "extractor", "weights"])
    def test_features_of_something_else_are_not_taken(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        extracted: list[int],
        monkeypatch: pytest.MonkeyPatch,
        other: str,
    ) -> None:
        """Each of them alone is another one: nothing else that the key has differs."""
        extractor = build_extractor(EvaluationConfig(extractor_size=32))
        monkeypatch.setattr(evaluation, "build_extractor", lambda chosen: extractor)
        monkeypatch.setattr(evaluation, "fingerprint", lambda chosen: "0" * 64)
        cache = tmp_path / "cache"
        first = Evaluator(tiny_config(), prepared, device=CPU, cache=cache)
        extracted.clear()
        config, data = tiny_config(), prepared
        match other:
            case "data":
                pictures = toy_splits(32, seed=1)
                data = write_prepared(tmp_path, pictures, name="toy", source="drawn")
            case "extractor":
                config = tiny_config({"evaluation.extractor": "resnet18"})
            case "weights":
                monkeypatch.setattr(evaluation, "fingerprint", lambda chosen: "1" * 64)
        second = Evaluator(config, data, device=CPU, cache=cache)
        assert sum(extracted) == 12
        assert config.fid_key in second.references["gray"]
        assert (second.references == first.references) == (other == "weights")

    def test_splits_have_their_own(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        config: TrialConfig = tiny_config()
        validation = Evaluator(config, prepared, device=CPU, cache=tmp_path)
        test = Evaluator(config, prepared, split="test", device=CPU, cache=tmp_path)
        assert test.references != validation.references

    def test_test_and_validation_share_the_truth_of_others(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        extracted: list[int],
    ) -> None:
        config: TrialConfig = tiny_config()
        Evaluator(config, prepared, device=CPU, cache=tmp_path)
        extracted.clear()
        Evaluator(config, prepared, split="test", device=CPU, cache=tmp_path)
        assert sum(extracted) == 8  # truth and grey

    def test_scores_have_the_same_bits_with_and_without(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
    ) -> None:
        plain = Evaluator(tiny_config(), prepared, device=CPU)
        Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        kept = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        assert kept.references == plain.references
        assert kept.evaluate(warm).scores == plain.evaluate(warm).scores

    @pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
    def test_damaged_features_are_computed_again(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        extracted: list[int],
        damage: str,
    ) -> None:
        first = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert len(whole) == 3
        for path, content in whole.items():
            flipped = bytearray(content)
            flipped[-1] ^= 1
            damaged = {"flip": bytes(flipped), "cut": content[:-1], "empty": b""}
            path.write_bytes(damaged[damage])
        extracted.clear()
        second = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        assert second.references == first.references
        assert sum(extracted) == 12
        assert set(tmp_path.iterdir()) == set(whole)
        extracted.clear()
        third = Evaluator(tiny_config(), prepared, device=CPU, cache=tmp_path)
        assert third.references == first.references
        assert not extracted


class TestEvaluators:
    def test_the_next_trial_finds_the_evaluator(
        self, tiny_config: TinyConfig, prepared: PreparedData, extracted: list[int]
    ) -> None:
        evaluators = Evaluators()
        first = evaluators.of(tiny_config(), prepared, device=CPU, cache=None)
        extracted.clear()
        other = tiny_config({"seed": 5, "losses.l1_lambda": 1.0, "generator.width": 8})
        assert evaluators.of(other, prepared, device=CPU, cache=None) is first
        assert not extracted

    def test_what_it_measures_has_the_same_bits(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        evaluators = Evaluators()
        for _ in range(2):
            kept = evaluators.of(tiny_config(), prepared, device=CPU, cache=None)
            found = kept.evaluate(warm)
        fresh = Evaluator(tiny_config(), prepared, device=CPU)
        expected = fresh.evaluate(warm)
        assert found.scores == expected.scores
        assert torch.equal(found.shown, expected.shown)
        assert kept.references == fresh.references

    @pytest.mark.parametrize(
        "overrides",
        [
            {"evaluation.images": 5},
            {"evaluation.extractor_size": 64},
            {"data.size": 16, "generator.depth": 4},
        ],
    )
    def test_other_settings_get_another(
        self, tiny_config: TinyConfig, prepared: PreparedData, overrides: Mapping[str, Any]
    ) -> None:
        evaluators = Evaluators()
        first = evaluators.of(tiny_config(), prepared, device=CPU, cache=None)
        config = tiny_config(overrides)
        second = evaluators.of(config, prepared, device=CPU, cache=None)
        assert second is not first
        expected = Evaluator(config, prepared, device=CPU).references
        assert second.references == expected

    def test_what_changes_last_bits_gets_another(
        self, tiny_config: TinyConfig, prepared: PreparedData
    ) -> None:
        evaluators = Evaluators()
        first = evaluators.of(tiny_config(), prepared, device=CPU, cache=None)
        torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())
        assert evaluators.of(tiny_config(), prepared, device=CPU, cache=None) is not first


def test_distance_from_others_needs_others(tiny_config: TinyConfig, tmp_path: Path) -> None:
    splits = toy_splits(32, counts={"train": 1, "validation": 4, "test": 2})
    data = write_prepared(tmp_path, splits, name="toy", source="drawn")
    evaluator = Evaluator(tiny_config(), data, device=CPU)
    scores = evaluator.evaluate(warm).scores
    for found in (scores, *evaluator.references.values()):
        assert not [name for name in found if "disjoint" in name]
        assert found["evaluation_images"] == 4.0


def test_inception_gives_the_fid(
    tiny_config: TinyConfig, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_: EvaluationConfig) -> FeatureExtractor:
        # The weights are a download; what is tested is under which names its distances stand.
        return FeatureExtractor(torch.nn.Flatten(), size=4)

    monkeypatch.setattr(evaluation, "build_extractor", build)
    monkeypatch.setattr(evaluation, "fingerprint", lambda _: "0" * 64)
    config = tiny_config(
        {"evaluation.extractor": "inception_v3", "evaluation.extractor_size": None}
    )
    scores = Evaluator(config, prepared, device=CPU).evaluate(warm).scores
    assert {name for name in scores if name.startswith(("fid", "fd_"))} == {"fid", "fid_disjoint"}
