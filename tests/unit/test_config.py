import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raycolor.config import (
    EvaluationConfig,
    TrialConfig,
    flattened,
    generator_depth,
    generator_stride,
    has_game,
    has_schedule,
    nested,
)
from tests.toy import TinyConfig

KEYS = st.text(st.characters(exclude_characters="."), min_size=1, max_size=3)
LEAVES = st.one_of(st.integers(), st.booleans(), st.none(), st.lists(st.integers(), max_size=2))
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda below: st.dictionaries(KEYS, below, min_size=1, max_size=3), max_leaves=6
    ),
    max_size=4,
)


@given(TREES)
def test_nested_undoes_flattened(tree: dict[str, Any]) -> None:
    assert nested(flattened(tree)) == tree


def test_flattened_names_every_setting_by_its_path() -> None:
    paths = flattened(TrialConfig().model_dump())
    assert paths["optimizers.generator.learning_rate"] == 2e-4
    assert paths["seed"] == 0
    assert TrialConfig.model_validate(nested(paths)) == TrialConfig()


@pytest.mark.parametrize(
    ("size", "depth"), [(16, 4), (32, 5), (64, 6), (256, 8), (512, 8), (96, 5), (48, 4), (20, 2)]
)
def test_depth_is_as_many_halvings_as_the_size_allows(
    tiny_config: TinyConfig, size: int, depth: int
) -> None:
    config = tiny_config({"data.size": size})
    assert generator_depth(config) == depth
    assert generator_stride(config) == 2**depth


def test_depth_that_is_given_is_taken(tiny_config: TinyConfig) -> None:
    config = tiny_config({"data.size": 48, "generator.depth": 3})
    assert generator_depth(config) == 3
    assert generator_stride(config) == 8


def test_pretrained_backbones_halve_five_times(tiny_config: TinyConfig) -> None:
    assert generator_stride(tiny_config({"generator.backbone": "efficientnet_lite0"})) == 32


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"data.size": 72, "generator.backbone": "efficientnet_lite0"},
            r"data\.size: 72 is no multiple of 32, .*efficientnet_lite0 needs; take 64 or 96",
        ),
        (
            {"data.size": 40, "generator.depth": 4},
            r"data\.size: 40 is no multiple of 16, .*depth: 4 needs; take 32 or 48",
        ),
        (
            {"data.size": 32, "generator.depth": 6},
            r"data\.size: 32 is no multiple of 64, .*; take 64",
        ),
        ({"data.size": 17}, r"data\.size: 17 can be halved fewer than twice; take 16 or 20"),
        ({"data.size": 18}, r"data\.size: 18 can be halved fewer than twice; take 16 or 20"),
        (
            {"data.size": 16, "discriminator.downs": 3},
            r"discriminator\.downs: 3 needs data\.size of at least 32, not 16; take at most 2,",
        ),
        (
            {"budget.report_every": 36, "budget.images": 72},
            r"budget\.report_every: 36 is no multiple of budget\.batch_size: 8; take 32 or 40",
        ),
        (
            {"pretraining.images": 3},
            r"pretraining\.images: 3 is no multiple of budget\.batch_size: 8; take 0 or 8",
        ),
        (
            {"budget.images": 80},
            r"budget\.images: 80 is no multiple of budget\.report_every: 32; take 64 or 96",
        ),
        (
            {"budget.images": 16},
            r"budget\.images: 16 is no multiple of budget\.report_every: 32; take 32",
        ),
        (
            {"pretraining.images": 72},
            r"pretraining\.images: 72 is longer than .* \(budget\.images: 64\); take at most 64",
        ),
        (
            {"generator.backbone": "efficientnet_lite0", "budget.batch_size": 1},
            r"budget\.batch_size: 1 is too few for data\.size: 32 .*; take at least 2",
        ),
        (
            {
                "data.size": 96,
                "generator.backbone": "skresnet18",
                "generator.weights": "none",
                "budget.batch_size": 1,
            },
            r"budget\.batch_size: 1 is too few for .*skresnet18.* a single value; take at least 2 ",
        ),
        (
            {"generator.backbone": "resnest14d"},
            r"generator\.weights: imagenet has no file whose hash .*: resnest14d; take none, or",
        ),
        (
            {"pretraining.frozen_images": 20},
            r"pretraining\.frozen_images: 20 is no multiple of .*batch_size: 8; take 16 or 24",
        ),
    ],
)
def test_impossible_combination_says_what_to_do(
    tiny_config: TinyConfig, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny_config(overrides)


@pytest.mark.parametrize(
    ("kind", "stride", "sizes"), [("gan_32", 4, (16, 20, 32, 1000)), ("gan_256", 8, (16, 24, 256))]
)
def test_old_generators_take_any_multiple_of_their_strides(
    tiny_config: TinyConfig, kind: str, stride: int, sizes: tuple[int, ...]
) -> None:
    for size in sizes:
        config = tiny_config({"generator.kind": kind, "data.size": size})
        assert generator_stride(config) == stride
    # Settings of a backbone that is not there clash with nothing.
    other = {"generator.backbone": "efficientnet_lite0", "generator.depth": 9}
    assert generator_stride(tiny_config({"generator.kind": kind, **other})) == stride


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"generator.kind": "gan_256", "data.size": 36},
            r"data\.size: 36 is no multiple of 8, .*kind: gan_256 needs; take 32 or 40",
        ),
        (
            {"discriminator.kind": "gan_32", "data.size": 20},
            r"data\.size: 20 is no multiple of 8, .*gan_32 needs; take 16 or 24",
        ),
        (
            {"discriminator.kind": "gan_256", "data.size": 40},
            r"data\.size: 40 is no multiple of 16, .*gan_256 needs; take 32 or 48",
        ),
        (
            {"discriminator.kind": "gan_256", "data.size": 16},
            r"data\.size: 16 is less than 32, .*gan_256 needs; take 32$",
        ),
        (
            {"losses.adversarial": "hinge", "losses.label_smoothing": 0.1},
            r"losses\.label_smoothing: 0\.1 smooths labels, .*hinge has none; take 0, or vanilla",
        ),
        (
            {"losses.adversarial": "wgan_gp"},
            r"losses\.adversarial: wgan_gp penalises .* \(discriminator\.norm: batch\); take the",
        ),
        (
            {
                "losses.adversarial": "wgan_gp",
                "discriminator.norm": "none",
                "discriminator.enough_accuracy": 0.8,
            },
            r"discriminator\.enough_accuracy: 0\.8 looks at an accuracy, .*; take null, or another",
        ),
        (
            {
                "losses.adversarial": "wgan_gp",
                "discriminator.kind": "gan_32",
                "discriminator.norm": "none",
            },
            r"losses\.adversarial: wgan_gp .* \(discriminator\.kind: gan_32 has it\); take another",
        ),
    ],
)
def test_what_the_systems_cannot_do_is_told(
    tiny_config: TinyConfig, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        tiny_config(overrides)
    (problem,) = caught.value.errors()
    assert re.search(message, problem["msg"])


def test_only_a_patch_discriminator_can_be_too_deep(tiny_config: TinyConfig) -> None:
    for kind in ("pixel", "image", "gan_32"):
        config = {"discriminator.kind": kind, "discriminator.downs": 5, "data.size": 16}
        tiny_config(config)


def test_a_schedule_of_either_network_is_one(tiny_config: TinyConfig) -> None:
    assert not has_schedule(tiny_config())
    for network in ("generator", "discriminator"):
        assert has_schedule(tiny_config({f"optimizers.{network}.schedule": "linear"}))


def test_sizes_that_a_message_names_are_accepted(tiny_config: TinyConfig) -> None:
    for size in (64, 96):
        tiny_config({"data.size": size, "generator.backbone": "efficientnet_lite0"})


def test_all_problems_are_reported_at_once(tiny_config: TinyConfig) -> None:
    with pytest.raises(ValidationError) as caught:
        tiny_config({"data.size": 17, "discriminator.downs": 5, "pretraining.images": 72})
    for path in ("data.size: 17", "discriminator.downs: 5", "pretraining.images: 72"):
        assert path in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.sise", 32),
        ("evaluation.images", 1),
        ("optimizers.generator.learning_rate", 0.0),
        ("optimizers.generator.learning_rate", float("nan")),
        ("generator.dropout", 1.0),
        ("data.smallest_crop", float("nan")),
        ("losses.l1_lambda", float("inf")),
        ("seed", -1),
        ("losses.adversarial", "no_such_loss"),
        ("generator.backbone", "resnet19"),
        ("pretraining.frozen_images", -8),
    ],
)
def test_impossible_value_is_refused_under_its_path(
    tiny_config: TinyConfig, path: str, value: object
) -> None:
    with pytest.raises(ValidationError) as caught:
        tiny_config({path: value})
    (problem,) = caught.value.errors()
    assert ".".join(map(str, problem["loc"])) == path


@pytest.mark.parametrize("value", ["imagenet", "none", "mine.pth", "../a b.pt", "x.safetensors"])
def test_weights_are_a_word_or_a_file(tiny_config: TinyConfig, value: str) -> None:
    config = tiny_config({"generator.backbone": "resnet18", "generator.weights": value})
    assert config.generator.weights == value


@pytest.mark.parametrize("value", ["", "imagnet", "pth", "weights.zip", "weights.pth ", None, 3])
def test_other_words_are_no_weights(tiny_config: TinyConfig, value: object) -> None:
    with pytest.raises(ValidationError, match=r"generator\.weights"):
        tiny_config({"generator.weights": value})


def test_a_length_of_freezing_clashes_with_no_length_of_pretraining(
    tiny_config: TinyConfig,
) -> None:
    for images in (0, 8, 64):
        tiny_config({"pretraining.images": images, "pretraining.frozen_images": 32})


@pytest.mark.parametrize(
    ("extractor", "key"),
    [
        ("efficientnet_lite0", "fd_efficientnet_lite0"),
        ("inception_v3", "fid"),
        ("resnet50", "fd_resnet50"),
        ("resnet50.a1_in1k", "fd_resnet50.a1_in1k"),
    ],
)
def test_fid_key_names_the_extractor(tiny_config: TinyConfig, extractor: str, key: str) -> None:
    config = tiny_config({"evaluation.extractor": extractor, "evaluation.extractor_size": None})
    assert (config.fid_key, config.disjoint_key) == (key, f"{key}_disjoint")


def test_extractors_size_is_settled_where_it_can_be() -> None:
    sizes = {
        extractor: EvaluationConfig(extractor=extractor).extractor_size
        for extractor in ("efficientnet_lite0", "inception_v3", "resnet50")
    }
    assert sizes == {"efficientnet_lite0": 128, "inception_v3": 299, "resnet50": None}
    assert EvaluationConfig().extractor_size == 128
    assert EvaluationConfig(extractor_size=64).extractor_size == 64


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"evaluation.extractor": "inception_v3", "evaluation.extractor_size": 128},
            r"evaluation\.extractor_size: 128 is not the side .* FID; take 299, or null",
        ),
        (
            {"evaluation.extractor_weights": "some.pth"},
            r"extractor_weights: some\.pth has no use .* come with raycolor; take null",
        ),
        ({"evaluation.extractor": "resnet5o"}, "'resnet5o' is no network of timm"),
    ],
)
def test_extractors_that_cannot_be(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrialConfig.model_validate(nested(values))


def test_configuration_and_data_are_checked_without_torch() -> None:
    command = (
        "import sys, raycolor.config, raycolor.data, raycolor.weights;"
        "print(sorted({'torch', 'ray', 'optuna', 'kornia', 'timm'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["classification", "classification_gan"])
def test_bins_and_rgb_exclude_each_other(tiny_config: TinyConfig, kind: str) -> None:
    with pytest.raises(ValidationError, match=r"generator\.predicts: rgb .* take ab, or"):
        tiny_config({"losses.kind": kind, "generator.predicts": "rgb"})
    assert tiny_config({"losses.kind": "l1", "generator.predicts": "rgb"})


@pytest.mark.parametrize("kind", ["l1", "classification"])
def test_a_discriminator_that_is_not_built_clashes_with_nothing(
    tiny_config: TinyConfig, kind: str
) -> None:
    for settings in (
        {"discriminator.kind": "gan_256", "data.size": 24, "generator.depth": 3},
        {"discriminator.downs": 5},
        {"losses.adversarial": "wgan_gp", "discriminator.norm": "batch"},
        {"losses.adversarial": "hinge", "losses.label_smoothing": 0.1},
        {"losses.adversarial": "wgan_gp", "discriminator.enough_accuracy": 0.8},
    ):
        assert not has_game(tiny_config({"losses.kind": kind, **settings}))
        with pytest.raises(ValidationError):
            tiny_config(settings)
