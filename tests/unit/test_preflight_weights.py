"""Weights that encoders and extractors start with are found before the first trial."""

import hashlib
from pathlib import Path

import pytest
import timm
import torch

from raycolor.backbones import ENCODERS as BACKBONES
from raycolor.data import PreparedData
from raycolor.errors import ConfigError, WeightsError
from raycolor.preflight import check_before_trials, find_pretrained
from raycolor.spaces.samples import possible_weights
from tests.unit.fitting import make


def of_random(folder: Path, backbone: str) -> Path:
    """A file of weights that fit an encoder."""
    path = folder / f"{backbone}.pth"
    torch.save(timm.create_model(backbone).state_dict(), path)
    return path


def test_weights_of_all_encoders_of_a_space_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_random(tmp_path, "mobilenetv3_small_050")
    text = f"""
search:
  generator.backbone:
    {{kind: choice, values: [scratch, efficientnet_lite0, mobilenetv3_small_050]}}
  generator.weights:
    {{kind: choice, values: [none, {path}], when: {{generator.backbone: [mobilenetv3_small_050]}}}}
"""
    plan = make(tmp_path, text)
    assert set(possible_weights(plan.space)) == {
        ("efficientnet_lite0", "imagenet"),
        ("mobilenetv3_small_050", str(path)),
    }
    fingerprints, contents = find_pretrained(plan)
    # The package's are on every worker already.
    assert contents == {str(path): path.read_bytes()}
    assert fingerprints == {
        "efficientnet_lite0": fingerprints["efficientnet_lite0"],
        str(path): hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_the_default_space_needs_no_other_weights(tmp_path: Path) -> None:
    fingerprints, contents = find_pretrained(make(tmp_path, space="quickstart"))
    assert (list(fingerprints), contents) == (["efficientnet_lite0"], {})


def test_weights_of_another_network_end_the_study_before_it_begins(tmp_path: Path) -> None:
    path = of_random(tmp_path, "mobilenetv3_small_050")
    text = f"""
fixed: {{generator.weights: {path}}}
search: {{generator.backbone: {{kind: choice, values: [resnet18, mobilenetv3_small_075]}}}}
"""
    with pytest.raises(WeightsError) as caught:
        find_pretrained(make(tmp_path, text))
    first, second = str(caught.value).splitlines()
    place = f"generator.weights: {path} for generator.backbone:"
    assert first.startswith(f"{place} resnet18: is of another network: ")
    assert second.startswith(f"{place} mobilenetv3_small_075: is of another network: ")


def test_more_than_sixteen_encoders_are_all_looked_for(tmp_path: Path) -> None:
    names = [name for name, encoder in BACKBONES.items() if encoder.url][:30]
    text = f"""
search:
  generator.backbone: {{kind: choice, values: [{", ".join(names)}]}}
  generator.weights: {{kind: choice, values: [imagenet, none]}}
"""
    wanted = possible_weights(make(tmp_path, text).space)
    assert set(wanted) == {(name, "imagenet") for name in names}


def test_weights_of_an_extractor_are_found_before_the_first_trial(
    tmp_path: Path, prepared: PreparedData
) -> None:
    fixed = (
        "fixed: {data.size: 32, budget.batch_size: 8, evaluation.extractor: %s, "
        "evaluation.extractor_weights: %s}"
    )
    missing = tmp_path / "none.pth"
    for extractor in ("inception_v3", "test_resnet"):
        plan = make(tmp_path, fixed % (extractor, missing), data=prepared.path)
        with pytest.raises(WeightsError, match=r"extractor_weights: .*none\.pth: there is no such"):
            check_before_trials(plan)
    # A network whose weights nobody vouches for is built once, on the driver.
    missing.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"none\.pth: holds no weights of test_resnet"):
        check_before_trials(plan)


def test_extractor_that_is_mistyped_is_told_with_the_plan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:1: .*'resnet5o'.* did you mean resnet50\?"):
        make(tmp_path, "fixed: {evaluation.extractor: resnet5o}")


def test_all_trials_have_one_extractor(tmp_path: Path) -> None:
    domain = "{kind: choice, values: [efficientnet_lite0, inception_v3]}"
    with pytest.raises(ConfigError, match="must be the same in all trials"):
        make(tmp_path, f"search: {{evaluation.extractor: {domain}}}")
