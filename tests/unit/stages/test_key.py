"""What names a prefix: every setting acts on pretraining, or is shown not to."""

import functools
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from raycolor import evaluation
from raycolor.checkpoint import load_tensors
from raycolor.config import TrialConfig, classifies
from raycolor.data import PreparedData
from raycolor.metrics.extractor import build_extractor
from raycolor.rebalancing import class_weights
from raycolor.spaces.keys import trial_keys
from raycolor.stages import key as key_module
from raycolor.stages.key import Pretraining, pretraining_of
from raycolor.stages.settings import LEFT_OUT
from raycolor.stages.store import StageStore
from raycolor.steps import build_networks
from raycolor.trial import train
from raycolor.weights import efficientnet_lite0_path
from tests.toy import TinyConfig
from tests.unit.trial.runs import same_bits

CPU = torch.device("cpu")
BASE: dict[str, Any] = {"pretraining.images": 16, "budget.report_every": 16}
ENCODER = {
    "generator.backbone": "efficientnet_lite0",
    "generator.weights": "none",
    "generator.decoder_width": 16,
}
CLASSES = {"losses.kind": "classification_gan"}
OTHERS: Mapping[str, Any] = {
    "data.size": 16,
    "data.smallest_crop": 0.7,
    "data.flip": False,
    "generator.kind": "gan_32",
    "generator.backbone": "efficientnet_lite0",
    "generator.weights": str(efficientnet_lite0_path()),
    "generator.width": 5,
    "generator.depth": 3,
    "generator.dropout": 0.25,
    "generator.norm": "instance",
    "generator.decoder": "resize",
    "generator.decoder_width": 24,
    "generator.predicts": "rgb",
    "generator.bins_at": "full",
    "generator.temperature": 0.5,
    "generator.ema_decay": None,
    "discriminator.kind": "pixel",
    "discriminator.width": 8,
    "discriminator.downs": 2,
    "discriminator.sees": "ab",
    "discriminator.norm": "spectral",
    "discriminator.steps": 2,
    "discriminator.enough_accuracy": 0.8,
    "losses.kind": "l1",
    "losses.adversarial": "lsgan",
    "losses.l1_lambda": 7.3,
    "losses.classification_weight": 3.1,
    "losses.label_smoothing": 0.1,
    "losses.gradient_penalty": 3.0,
    "optimizers.generator.learning_rate": 3e-3,
    "optimizers.generator.beta1": 0.7,
    "optimizers.generator.beta2": 0.99,
    "optimizers.generator.schedule": "linear",
    "optimizers.discriminator.learning_rate": 3e-3,
    "optimizers.discriminator.beta1": 0.7,
    "optimizers.discriminator.beta2": 0.99,
    "optimizers.discriminator.schedule": "cosine",
    "pretraining.images": 32,
    "pretraining.learning_rate": 2e-3,
    "pretraining.frozen_images": 8,
    "pretraining.seed": 1,
    "evaluation.images": 5,
    "evaluation.extractor": "resnet18",
    "evaluation.extractor_size": 40,
    "evaluation.extractor_weights": "weights.pth",
    "evaluation.batch_size": 2,
    "budget.images": 96,
    "budget.report_every": 8,
    "budget.batch_size": 16,
    "budget.checkpoint_seconds": 1e-9,
    "precision": "bfloat16",
    "determinism": "fast",
    "seed": 3,
}
"""Of each setting a value that differs from the default and from `BASE`."""
BESIDE: Mapping[str, Mapping[str, Any]] = {
    "generator.weights": ENCODER | {"generator.weights": "imagenet"},
    "generator.decoder_width": ENCODER,
    "pretraining.frozen_images": ENCODER,
    "generator.bins_at": CLASSES,
    "generator.temperature": CLASSES,
    "losses.classification_weight": CLASSES,
    "evaluation.extractor_weights": {"evaluation.extractor": "resnet18"},
}
"""Settings beside which one has a meaning."""


@pytest.fixture(autouse=True)
def _one_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)
    # Weights of a network that is nowhere fetched in a test.
    monkeypatch.setattr(key_module, "fingerprint", lambda evaluation: "of the extractor")


_extractor = functools.cache(build_extractor)


def pretraining(config: TrialConfig, prepared: PreparedData) -> Pretraining:
    weights = class_weights(prepared, config) if classifies(config) else None
    networks = build_networks(config, CPU, None, weights)
    return pretraining_of(config, networks, prepared, CPU)


def name(config: TrialConfig, prepared: PreparedData) -> str:
    return pretraining(config, prepared).point(16).name


def test_every_setting_is_tried_here() -> None:
    """One that is new is in the key; whoever adds it here says so, or names it in `LEFT_OUT`."""
    assert OTHERS.keys() == trial_keys().keys()
    assert LEFT_OUT.keys() <= trial_keys().keys()


@pytest.mark.parametrize("path", OTHERS)
def test_a_setting_names_other_prefixes_unless_it_is_left_out(
    tiny_config: TinyConfig, prepared: PreparedData, path: str
) -> None:
    beside = BASE | dict(BESIDE.get(path, {}))
    config = tiny_config(beside)
    changed = tiny_config(beside | {path: OTHERS[path]})
    assert changed != config
    same = name(changed, prepared) == name(config, prepared)
    # Of this one, only as much counts as lies in the prefix.
    acts = path not in LEFT_OUT or path == "pretraining.frozen_images"
    assert same != acts


def test_classification_and_other_weights_of_classes_name_other_prefixes(
    tiny_config: TinyConfig, prepared: PreparedData, prepared_large: PreparedData
) -> None:
    names = {
        name(tiny_config(BASE | settings), data)
        for settings in ({}, CLASSES)
        for data in (prepared, prepared_large)
    }
    assert len(names) == 4
    kinds = {
        kind: name(tiny_config(BASE | {"losses.kind": kind}), prepared)
        for kind in ("l1", "l1_gan", "classification", "classification_gan")
    }
    assert kinds["l1"] == kinds["l1_gan"] != kinds["classification"]
    assert kinds["classification"] == kinds["classification_gan"]


@pytest.mark.parametrize(
    "beside", [{}, CLASSES, {"losses.kind": "l1", "generator.predicts": "rgb"}], ids=str
)
def test_what_is_left_out_does_not_act(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, beside: dict[str, Any]
) -> None:
    """All of it at once: the same state and the same reports, bit for bit."""
    skipped = ("losses.kind", "generator.weights", "evaluation.extractor_weights")
    changed = {path: OTHERS[path] for path in LEFT_OUT if path not in skipped}
    # They go with other discriminators.
    changed |= {"discriminator.enough_accuracy": None, "pretraining.frozen_images": 0}
    entries = []
    runs: list[dict[str, Any]] = [{}, changed]
    for number, settings in enumerate(runs):
        config = tiny_config(BASE | beside | settings)
        store = StageStore(tmp_path / str(number), most_bytes=2**30)
        list(islice(train(config, prepared, device=CPU, stages=store), 1))
        (path,) = (tmp_path / str(number)).iterdir()
        entries.append((path.name, *load_tensors(path)))
    (one_name, one, told), (two_name, two, told_two) = entries
    assert one_name == two_name
    assert same_bits(one, two)
    for about in (told, told_two):
        assert about["report"].pop("seconds") > 0
    assert told == told_two


def test_each_kind_of_discriminator_leaves_pretraining_alone(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path
) -> None:
    contents = []
    discriminators: list[dict[str, Any]] = [
        {"losses.kind": "l1"},
        {"discriminator.kind": "gan_32"},
        {"losses.adversarial": "wgan_gp", "discriminator.norm": "none"},
        {"discriminator.steps": 2, "discriminator.enough_accuracy": 0.8},
    ]
    for number, settings in enumerate(discriminators):
        store = StageStore(tmp_path / str(number), most_bytes=2**30)
        config = tiny_config(BASE | settings)
        list(islice(train(config, prepared, device=CPU, stages=store), 1))
        (path,) = (tmp_path / str(number)).iterdir()
        contents.append(load_tensors(path)[0])
    for content in contents[1:]:
        assert same_bits(content, contents[0])


class TestMachine:
    @pytest.mark.parametrize("change", ["threads", "exact", "variable", "code", "torch"])
    def test_another_one_names_other_prefixes(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        monkeypatch: pytest.MonkeyPatch,
        change: str,
    ) -> None:
        config = tiny_config(BASE)
        before = name(config, prepared)
        match change:
            case "threads":
                monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
            case "exact":
                torch.use_deterministic_algorithms(True)
            case "variable":
                monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
            case "code":
                monkeypatch.setattr(key_module, "code_fingerprint", lambda: "other")
            case "torch":
                monkeypatch.setattr(torch, "__version__", "1.0")
        assert name(config, prepared) != before


@pytest.mark.parametrize(
    "variable",
    [
        "MKL_CBWR",
        "OPENBLAS_CORETYPE",
        "TORCH_BLAS_PREFER_CUBLASLT",
        "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
        "TORCH_LINALG_PREFER_CUSOLVER",
    ],
)
def test_what_chooses_other_kernels_names_other_prefixes(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    config = tiny_config(BASE)
    monkeypatch.delenv(variable, raising=False)
    before = name(config, prepared)
    monkeypatch.setenv(variable, "1")
    assert name(config, prepared) != before


def test_prefixes_of_one_pretraining_begin_alike_and_sort_by_length(
    tiny_config: TinyConfig, prepared: PreparedData
) -> None:
    found = pretraining(tiny_config(BASE), prepared)
    names = [found.point(images).name for images in (16, 32, 1_000_000)]
    assert names == sorted(names)
    assert len({name.partition("-")[0] for name in names}) == 1
    assert len({found.point(images).key for images in (16, 32)}) == 2


def test_the_code_is_hashed_whole() -> None:
    root = Path(key_module.__file__).parents[1]
    assert len(list(root.rglob("*.py"))) > 100
    assert key_module.code_fingerprint() == key_module.code_fingerprint.__wrapped__()
