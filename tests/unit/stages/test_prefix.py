"""A run that takes pretraining over is the run that trained it, bit for bit."""

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from raycolor import evaluation, run_folder, trial
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.metrics.extractor import build_extractor
from raycolor.run_folder import CHECKPOINT
from raycolor.stages import key
from raycolor.stages.store import StageStore
from raycolor.trial import Report, train
from tests.toy import TinyConfig
from tests.unit.test_trial import (
    assert_same_folder,
    interrupted,
    kill_before,
    run,
    timeless_all,
)

CPU = torch.device("cpu")
PLENTY = 2**30
LONG: dict[str, Any] = {
    "pretraining.images": 48,
    "budget.images": 80,
    "budget.report_every": 16,
    "generator.ema_decay": 0.9,
}
"""Steps of 8 images; reports at 16, 32 and 48 in pretraining, at 64 and 80 after it."""
OTHER: dict[str, Any] = {
    "losses.l1_lambda": 7.3,
    "losses.classification_weight": 3.1,
    "optimizers.generator.learning_rate": 3e-3,
    "seed": 11,
}
"""What another run of the same pretraining may have."""


@pytest.fixture(autouse=True)
def _one_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)


_extractor = functools.cache(build_extractor)


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "stages", most_bytes=PLENTY)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Image counts before each step that was trained."""
    steps: list[int] = []

    def batch(*args: Any, images_seen: int, **more: Any) -> torch.Tensor:
        steps.append(images_seen)
        return training_batch(*args, images_seen=images_seen, **more)

    monkeypatch.setattr(trial, "training_batch", batch)
    return steps


def inherited(reports: list[Report]) -> list[int]:
    return [int(report.metrics["images_inherited"]) for report in reports]


def files(store: StageStore) -> list[Path]:
    return sorted(store._folder.iterdir())


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


class TestKilled:
    @pytest.mark.parametrize("told", [1, 2, 3])
    def test_while_reports_were_handed_on(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        store: StageStore,
        told: int,
    ) -> None:
        config = tiny_config(LONG)
        whole = run(config, prepared, tmp_path / "whole", stages=store)
        folder = tmp_path / "shared"
        before = list(
            islice(train(config, prepared, folder=folder, device=CPU, stages=store), told)
        )
        # The store may be gone by then.
        after = run(config, prepared, folder, stages=store if told == 2 else None)
        found = {report.images_seen: report for report in timeless_all([*before, *after])}
        assert list(found.values()) == timeless_all(whole)
        # All that is new is told, in order.
        images = [report.images_seen for report in after]
        assert images == sorted(images)
        assert images[0] <= before[-1].images_seen + 16
        assert images[-1] == 80
        assert_same_folder(folder, tmp_path / "whole")

    def test_in_the_adversarial_stage_it_goes_on_from_its_own_checkpoint(
        self,
        tiny_config: TinyConfig,
        prepared: PreparedData,
        tmp_path: Path,
        store: StageStore,
    ) -> None:
        config = tiny_config(LONG)
        whole = run(config, prepared, tmp_path / "whole", stages=store)
        folder = tmp_path / "shared"
        kill: Callable[[pytest.MonkeyPatch], None] = functools.partial(kill_before, images=72)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.unit.test_trial.train", functools.partial(train, stages=store))
            interrupted(config, prepared, folder, kill)
        for path in files(store):
            path.unlink()
        reports = run(config, prepared, folder, stages=store)
        assert [report.images_seen for report in reports] == [64, 80]
        assert timeless_all(reports) == timeless_all(whole[-2:])
        assert reports[-1].metrics["images_inherited"] == 48
        assert_same_folder(folder, tmp_path / "whole")

    def test_in_an_interval_of_its_own_it_may_jump_too(
        self, tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, store: StageStore
    ) -> None:
        config = tiny_config(LONG | {"budget.checkpoint_seconds": 1e-9})
        interrupted(config, prepared, tmp_path / "a", functools.partial(kill_before, images=8))
        whole = run(tiny_config(LONG), prepared, tmp_path / "whole", stages=store)
        reports = run(config, prepared, tmp_path / "a", stages=store)
        assert inherited(reports) == [8, 24, 40, 40, 40]
        assert timeless_all(reports) == timeless_all(whole)


def test_what_goes_on_from_the_checkpoint_of_another_machine_is_not_published(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, store: StageStore
) -> None:
    """Its bits are of both machines, and its name would be of this one alone."""
    config, folder = tiny_config(LONG), tmp_path / "moved"
    whole = run(config, prepared)
    elsewhere = StageStore(tmp_path / "elsewhere", most_bytes=PLENTY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key, "processor_instructions", lambda: "another processor")
        list(islice(train(config, prepared, folder=folder, device=CPU, stages=elsewhere), 1))
    assert len(files(elsewhere)) == 1
    # Which gives other bits.
    tensors, about = load_tensors(folder / CHECKPOINT)
    for name, tensor in tensors.items():
        if name.startswith("generator/") and tensor.is_floating_point():
            tensor.mul_(1.01)
    save_tensors(folder / CHECKPOINT, tensors, about)
    moved = run(config, prepared, folder, stages=store)
    assert timeless_all(moved)[1:] != timeless_all(whole)[1:]
    assert not store._folder.exists()
    assert timeless_all(run(config, prepared, stages=store)) == timeless_all(whole)


@pytest.mark.parametrize("shares", [True, False])
def test_neither_is_what_came_back_from_another_machine(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    store: StageStore,
    shares: bool,
) -> None:
    config, folder = tiny_config(LONG), tmp_path / "moved"
    list(islice(train(config, prepared, folder=folder, device=CPU, stages=store), 1))
    elsewhere = StageStore(tmp_path / "elsewhere", most_bytes=PLENTY) if shares else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key, "processor_instructions", lambda: "another processor")
        list(islice(train(config, prepared, folder=folder, device=CPU, stages=elsewhere), 2))
    run(config, prepared, folder, stages=store)
    assert len(files(store)) == 1


def test_a_run_that_has_moved_publishes_again_what_follows_on_one_of_this_machine(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, store: StageStore
) -> None:
    config, folder = tiny_config(LONG), tmp_path / "moved"
    whole = run(config, prepared, stages=store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key, "processor_instructions", lambda: "another processor")
        list(islice(train(config, prepared, folder=folder, device=CPU), 1))
    files(store)[2].unlink()
    assert inherited(run(config, prepared, folder, stages=store)) == [0, 16, 16, 16, 16]
    assert len(files(store)) == 3
    assert timeless_all(run(config, prepared, stages=store)) == timeless_all(whole)


def test_needs_no_checkpoint_while_more_can_be_taken(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, store: StageStore
) -> None:
    config = tiny_config(LONG)
    run(config, prepared, stages=store)
    pushed: list[list[str]] = []
    folder = tmp_path / "a"

    def saved() -> None:
        pushed.append(sorted(path.name for path in folder.iterdir()))

    reports = train(config, prepared, folder=folder, device=CPU, stages=store, saved=saved)
    next(reports)
    assert not (folder / CHECKPOINT).exists()
    # What the report speaks of is there, and brought away.
    assert pushed[-1] == ["best_16.png", "best_16.safetensors"]
    next(reports)
    next(reports)
    assert (folder / CHECKPOINT).exists()


def test_has_a_checkpoint_where_it_may_have_been_stopped(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    store: StageStore,
    trained: list[int],
) -> None:
    """A larger budget, or a person, takes it up again when others have made room in the store."""
    config, folder = tiny_config(LONG), tmp_path / "a"
    whole = run(config, prepared, stages=store)
    list(
        islice(
            train(config, prepared, folder=folder, device=CPU, stages=store, pictures_at={32}), 2
        )
    )
    for path in files(store):
        path.unlink()
    trained.clear()
    reports = run(config, prepared, folder)
    assert trained[0] == 32
    assert timeless_all(reports) == timeless_all(whole[1:])


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


RACER = """
import sys
from pathlib import Path

import torch

from raycolor.config import TrialConfig
from raycolor.data import open_prepared
from raycolor.stages.store import StageStore
from raycolor.trial import train

torch.set_num_threads(1)
config = TrialConfig.model_validate_json(sys.argv[1])
prepared, store = open_prepared(Path(sys.argv[2])), StageStore(Path(sys.argv[3]), most_bytes=2**30)
print("ready", flush=True)
sys.stdin.readline()
for report in train(config, prepared, stages=store, device=torch.device("cpu")):
    print(report.images_seen, report.metrics[config.fid_key], flush=True)
"""


@contextmanager
def racer(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RACER, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.slow
def test_two_processes_race_and_one_is_killed(
    tiny_config: TinyConfig, prepared: PreparedData, store: StageStore
) -> None:
    config = tiny_config(LONG)
    words = [config.model_dump_json(), str(prepared.path), str(store._folder)]
    with racer(*words) as victim, racer(*words) as other:
        for process in (victim, other):
            assert heard(process) == "ready\n"
        for process in (victim, other):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        heard(victim)
        victim.kill()
        told, _ = other.communicate()
    whole = run(config, prepared)
    assert told.splitlines() == [
        f"{report.images_seen} {report.metrics[config.fid_key]}" for report in whole
    ]
    # A third one finds all of it, whoever published what.
    reports = run(config, prepared, stages=store)
    assert inherited(reports)[-1] == 48
    assert timeless_all(reports) == timeless_all(whole)
