"""A run that takes pretraining over is the run that trained it, bit for bit."""

import dataclasses
import functools
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from raycolor import run_folder
from raycolor.data import PreparedData
from raycolor.stages.store import StageStore
from raycolor.trial import train
from tests.toy import TinyConfig
from tests.unit.stages.prefixes import CPU, LONG, OTHER, files, inherited
from tests.unit.trial.runs import assert_same_folder, interrupted, kill_before, run, timeless_all


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"generator.ema_decay": None, "generator.norm": "instance"},
        {"losses.kind": "l1", "generator.predicts": "rgb"},
        {"losses.kind": "classification", "budget.images": 64},
        {"losses.kind": "classification_gan", "budget.images": 64},
        {"generator.kind": "gan_32", "discriminator.kind": "gan_32"},
        {"losses.adversarial": "wgan_gp", "discriminator.norm": "spectral"},
        pytest.param(
            {
                "generator.backbone": "efficientnet_lite0",
                "generator.decoder_width": 16,
                "pretraining.frozen_images": 24,
                "pretraining.images": 32,
                "budget.images": 48,
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_is_as_if_it_had_trained(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    store: StageStore,
    trained: list[int],
    settings: dict[str, Any],
) -> None:
    config = tiny_config(LONG | settings)
    pretraining, every = config.pretraining.images, config.budget.report_every
    whole = run(config, prepared, tmp_path / "whole", pictures_at={every})
    # Another run has published it, with other settings of what comes after.
    other = tiny_config(LONG | settings | OTHER)
    first = list(islice(train(other, prepared, device=CPU, stages=store), pretraining // every))
    assert inherited(first) == [0] * (pretraining // every)
    trained.clear()
    folder = tmp_path / "shared"
    reports = run(config, prepared, folder, stages=store, pictures_at={every})
    assert trained == list(range(pretraining, config.budget.images, 8))
    assert timeless_all(reports) == timeless_all(whole)
    assert_same_folder(folder, tmp_path / "whole")
    samples = f"samples_{every}.png"
    assert (folder / samples).read_bytes() == (tmp_path / "whole" / samples).read_bytes()
    count = len(range(0, config.budget.images, every))
    assert inherited(reports) == [min(every * n, pretraining) for n in range(1, count + 1)]
    for report in reports:
        taken = report.images_seen <= pretraining
        assert ("images_per_second" in report.metrics) == (not taken)
        if taken:
            assert report.metrics["train_seconds"] == report.metrics["evaluate_seconds"] == 0
    assert reports[-1].metrics["seconds_inherited"] == pytest.approx(
        sum(first[-1].metrics[name] for name in ("train_seconds", "evaluate_seconds"))
    )


def test_the_length_of_pretraining_does_not_matter(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    store: StageStore,
    trained: list[int],
) -> None:
    short = tiny_config(LONG | {"pretraining.images": 32})
    run(short, prepared, stages=store)
    assert len(files(store)) == 2
    for length, images in ((40, 80), (48, 80), (80, 96)):
        config = tiny_config(LONG | {"pretraining.images": length, "budget.images": images})
        whole = run(config, prepared, tmp_path / f"whole_{length}")
        trained.clear()
        reports = run(config, prepared, tmp_path / f"shared_{length}", stages=store)
        assert timeless_all(reports) == timeless_all(whole)
        assert_same_folder(tmp_path / f"shared_{length}", tmp_path / f"whole_{length}")
    # The last one took over what those before it had added, and added the rest.
    assert trained[0] == 48
    assert len(files(store)) == 5


def test_frozen_images_beyond_a_prefix_do_not_matter(
    tiny_config: TinyConfig, prepared: PreparedData, store: StageStore, trained: list[int]
) -> None:
    settings = LONG | {
        "generator.backbone": "efficientnet_lite0",
        "generator.decoder_width": 8,
        "generator.weights": "none",
        "budget.report_every": 8,
        "budget.images": 24,
        "pretraining.images": 24,
    }
    first = {"pretraining.frozen_images": 8}
    run(tiny_config(settings | first), prepared, stages=store)
    trained.clear()
    second = tiny_config(settings | {"pretraining.frozen_images": 16})
    reports = run(second, prepared, stages=store)
    assert trained == [8, 16]
    assert timeless_all(reports) == timeless_all(run(second, prepared))


def test_takes_what_was_published_since_it_started(
    tiny_config: TinyConfig, prepared: PreparedData, store: StageStore, trained: list[int]
) -> None:
    config = tiny_config(LONG)
    slow = train(config, prepared, device=CPU, stages=store)
    reports = list(islice(slow, 1))
    list(islice(train(tiny_config(LONG | OTHER), prepared, device=CPU, stages=store), 3))
    trained.clear()
    reports += slow
    assert inherited(reports) == [0, 16, 32, 32, 32]
    assert trained[0] == 48
    assert timeless_all(reports) == timeless_all(run(config, prepared))


def test_a_hole_is_filled(
    tiny_config: TinyConfig, prepared: PreparedData, store: StageStore, trained: list[int]
) -> None:
    whole = run(tiny_config(LONG), prepared, stages=store)
    second = files(store)[1]
    content = second.read_bytes()
    second.unlink()
    trained.clear()
    reports = run(tiny_config(LONG), prepared, stages=store)
    assert trained[:3] == [16, 24, 48]
    assert inherited(reports) == [16, 16, 32, 32, 32]
    assert timeless_all(reports) == timeless_all(whole)
    assert len(second.read_bytes()) == len(content)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_entry_is_set_aside_and_trained_again(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    store: StageStore,
    trained: list[int],
    damage: str,
) -> None:
    whole = run(tiny_config(LONG), prepared, stages=store)
    first, second, _ = files(store)
    content = bytearray(first.read_bytes())
    match damage:
        case "cut":
            first.write_bytes(content[: len(content) // 2])
        case "flip":
            content[-1] ^= 1
            first.write_bytes(content)
        case "empty":
            first.write_bytes(b"")
        case "other":
            first.write_bytes(second.read_bytes())
    trained.clear()
    reports = run(tiny_config(LONG), prepared, stages=store)
    assert trained[:3] == [0, 8, 48]
    assert timeless_all(reports) == timeless_all(whole)
    aside = [path.name for path in files(store) if path.name.endswith(".damaged")]
    assert aside == [f"{first.name}.damaged"]


def test_one_that_is_removed_between_looking_and_reading_is_trained(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    store: StageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = run(tiny_config(LONG), prepared, stages=store)
    original = store.has

    def has(point: Any) -> bool:
        found = original(point)
        for path in files(store) if point.images == 32 else ():
            path.unlink()
        return found

    monkeypatch.setattr(store, "has", has)
    reports = run(tiny_config(LONG), prepared, stages=store)
    assert inherited(reports)[:2] == [16, 16]
    assert timeless_all(reports) == timeless_all(whole)


def test_nothing_is_shared_without_a_report_in_pretraining(
    tiny_config: TinyConfig, prepared: PreparedData, store: StageStore
) -> None:
    for length in (0, 8):
        run(tiny_config(LONG | {"pretraining.images": length}), prepared, stages=store)
    assert not store._folder.exists()


def test_sums_of_an_earlier_raycolor_are_told_right_and_not_published(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, store: StageStore
) -> None:
    """Its checkpoints within an interval have the loss multiplied at each step."""
    config = tiny_config(LONG | {"budget.checkpoint_seconds": 1e-9})
    whole = run(config, prepared)
    with pytest.MonkeyPatch.context() as patch:
        original = run_folder.save

        def save(folder: Path, networks: Any, progress: Any, owner: str) -> None:
            sums = dict(progress.sums)
            if content := sums.pop("content_loss", None):
                sums["generator_loss"] = config.losses.l1_lambda * content
            original(folder, networks, dataclasses.replace(progress, sums=sums), owner)

        patch.setattr(run_folder, "save", save)
        interrupted(config, prepared, tmp_path, functools.partial(kill_before, images=8))
    report = next(train(config, prepared, folder=tmp_path, device=CPU, stages=store))
    expected = whole[0].metrics["generator_loss"]
    assert report.metrics["generator_loss"] == pytest.approx(expected, rel=1e-6)
    assert not store._folder.exists()
