import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import Tensor

from raycolor import run_folder
from raycolor.config import TrialConfig
from raycolor.crops import training_batch
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError
from raycolor.network_state import tensors_of
from raycolor.run_folder import CHECKPOINT, PREVIOUS, Progress, identity, remove_superseded
from raycolor.steps import Networks, adversarial_step, build_networks, pretraining_step
from raycolor.storage import Patience
from raycolor.study import retention
from tests.toy import TinyConfig

CPU = torch.device("cpu")


@pytest.fixture
def config(tiny_config: TinyConfig) -> TrialConfig:
    return tiny_config()


@pytest.fixture
def rgb_u8(config: TrialConfig, prepared: PreparedData) -> Tensor:
    pictures = prepared.pictures("train")
    return training_batch(pictures, config.data, seed=0, images_seen=0, batch_size=8)


def trained(config: TrialConfig, rgb_u8: Tensor, *, steps: int = 3) -> Networks:
    """Networks whose three optimisers all have moments."""
    with torch.random.fork_rng():
        networks = build_networks(config, CPU)
    for step in range(steps):
        pretraining_step(networks, config, rgb_u8)
        adversarial_step(networks, config, rgb_u8)
        if networks.average is not None:
            networks.average.update(networks.generator, step)
    return networks


def all_state(networks: Networks) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tensors_of(networks).items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("ema_decay", [0.9, None])
def test_training_goes_on_as_if_never_stopped(
    tiny_config: TinyConfig, rgb_u8: Tensor, tmp_path: Path, ema_decay: float | None
) -> None:
    config = tiny_config({"generator.ema_decay": ema_decay})
    networks = trained(config, rgb_u8)
    run_folder.save(tmp_path, networks, Progress(images_seen=24), "owner")
    with torch.random.fork_rng():
        resumed = build_networks(config.model_copy(update={"seed": 1}), CPU)
    progress = run_folder.resume(tmp_path, resumed, "owner")
    assert progress == Progress(images_seen=24)
    assert same(all_state(resumed), all_state(networks))
    for each in (networks, resumed):
        torch.manual_seed(0)
        pretraining_step(each, config, rgb_u8)
        adversarial_step(each, config, rgb_u8)
    assert same(all_state(resumed), all_state(networks))


def test_progress_survives(config: TrialConfig, rgb_u8: Tensor, tmp_path: Path) -> None:
    networks = trained(config, rgb_u8, steps=1)
    progress = Progress(
        images_seen=40,
        best=0.1 + 0.2,
        best_images=32,
        former_best_images=None,
        train_seconds=1.5,
        sums={"generator_loss": 1 / 3},
        steps=1,
        report={"stage": "adversarial", "metrics": {"psnr": math.inf}},
    )
    expected = dataclasses.replace(progress)  # what saving takes is known after it only
    run_folder.save(tmp_path, networks, progress, "owner")
    assert run_folder.resume(tmp_path, networks, "owner") == expected
    run_folder.save(tmp_path, networks, Progress(), "owner")
    assert run_folder.resume(tmp_path, networks, "owner") == Progress()


def test_empty_folder_begins_anew(config: TrialConfig, rgb_u8: Tensor, tmp_path: Path) -> None:
    networks = trained(config, rgb_u8, steps=1)
    before = all_state(networks)
    assert run_folder.resume(tmp_path, networks, "owner") is None
    assert same(all_state(networks), before)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_checkpoint_gives_way_to_the_one_before(
    config: TrialConfig, rgb_u8: Tensor, tmp_path: Path, damage: str
) -> None:
    networks = trained(config, rgb_u8, steps=1)
    before = all_state(networks)
    run_folder.save(tmp_path, networks, Progress(images_seen=8), "owner")
    adversarial_step(networks, config, rgb_u8)
    run_folder.save(tmp_path, networks, Progress(images_seen=16), "owner")
    path = tmp_path / CHECKPOINT
    contents = path.read_bytes()
    flipped = bytearray(contents)
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes({"cut": contents[:-1], "flip": bytes(flipped), "empty": b""}[damage])

    assert run_folder.resume(tmp_path, networks, "owner") == Progress(images_seen=8)
    assert same(all_state(networks), before)
    assert {each.name for each in tmp_path.iterdir()} == {f"{CHECKPOINT}.damaged", PREVIOUS}


def test_two_damaged_checkpoints_begin_anew(
    config: TrialConfig, rgb_u8: Tensor, tmp_path: Path
) -> None:
    networks = trained(config, rgb_u8, steps=1)
    for seen in (8, 16):
        run_folder.save(tmp_path, networks, Progress(images_seen=seen), "owner")
    for name in (CHECKPOINT, PREVIOUS):
        (tmp_path / name).write_bytes(b"")
    assert run_folder.resume(tmp_path, networks, "owner") is None


def test_failing_write_leaves_a_checkpoint(
    config: TrialConfig, rgb_u8: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    networks = trained(config, rgb_u8, steps=1)
    before = all_state(networks)
    run_folder.save(tmp_path, networks, Progress(images_seen=8), "owner")
    adversarial_step(networks, config, rgb_u8)
    monkeypatch.setattr("raycolor.checkpoint.save_file", refuse)
    monkeypatch.setattr("raycolor.storage.PATIENCE", Patience(waits_s=()))
    for _ in range(2):  # the second time there is nothing to keep, and nothing must be lost
        with pytest.raises(CheckpointError, match="No space left"):
            run_folder.save(tmp_path, networks, Progress(images_seen=16), "owner")
    assert run_folder.resume(tmp_path, networks, "owner") == Progress(images_seen=8)
    assert same(all_state(networks), before)


def test_checkpoint_of_another_run_is_refused(
    config: TrialConfig, rgb_u8: Tensor, tmp_path: Path
) -> None:
    networks = trained(config, rgb_u8, steps=1)
    run_folder.save(tmp_path, networks, Progress(), identity(config, "abc"))
    other = config.model_copy(update={"seed": 1})
    for owner in (identity(other, "abc"), identity(config, "def")):
        with pytest.raises(
            CheckpointError, match=r"checkpoint\.safetensors: belongs to a run with ot"
        ):
            run_folder.resume(tmp_path, networks, owner)
    assert (tmp_path / CHECKPOINT).is_file()


def test_a_setting_that_an_older_checkpoint_does_not_name_had_its_default(
    tiny_config: TinyConfig, config: TrialConfig, rgb_u8: Tensor, tmp_path: Path
) -> None:
    older = json.loads(identity(config, "abc"))
    for section, name in (("generator", "decoder"), ("losses", "label_smoothing")):
        del older["config"][section][name]
    del older["config"]["optimizers"]["generator"]["schedule"]
    networks = trained(config, rgb_u8, steps=1)
    run_folder.save(tmp_path, networks, Progress(images_seen=8), json.dumps(older, sort_keys=True))
    progress = run_folder.resume(tmp_path, networks, identity(config, "abc"))
    assert progress == Progress(images_seen=8)
    for path, value in {
        "generator.decoder": "resize",
        "losses.label_smoothing": 0.1,
        "optimizers.generator.schedule": "linear",
    }.items():
        with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
            run_folder.resume(tmp_path, networks, identity(tiny_config({path: value}), "abc"))


def test_identity_holds_all_settings_but_the_length_of_the_run(tiny_config: TinyConfig) -> None:
    own = identity(tiny_config(), "abc")
    assert identity(tiny_config({"budget.images": 640}), "abc") == own
    assert identity(tiny_config({"budget.checkpoint_seconds": 1.0}), "abc") == own
    for path, value in {
        "seed": 1,
        "pretraining.images": 32,
        "losses.l1_lambda": 1.0,
        "budget.batch_size": 16,
        "budget.report_every": 64,
        "evaluation.images": 5,
    }.items():
        assert identity(tiny_config({path: value}), "abc") != own, path
    assert identity(tiny_config(), "def") != own
    json.loads(own)


def test_a_schedule_ties_a_checkpoint_to_the_length_of_the_run(tiny_config: TinyConfig) -> None:
    for network in ("generator", "discriminator"):
        path = f"optimizers.{network}.schedule"
        own = identity(tiny_config({path: "cosine"}), "abc")
        assert identity(tiny_config({path: "cosine", "budget.images": 640}), "abc") != own
        assert (
            identity(tiny_config({path: "cosine", "budget.checkpoint_seconds": 1.0}), "abc") == own
        )


def test_a_checkpoint_of_before_a_setting_existed_belongs_to_its_default(
    tiny_config: TinyConfig, config: TrialConfig, rgb_u8: Tensor, tmp_path: Path
) -> None:
    tree = json.loads(identity(config, "abc"))
    del tree["config"]["generator"]["weights"], tree["config"]["pretraining"]["frozen_images"]
    networks = trained(config, rgb_u8, steps=1)
    run_folder.save(tmp_path, networks, Progress(images_seen=8), json.dumps(tree))
    progress = run_folder.resume(tmp_path, networks, identity(config, "abc"))
    assert progress is not None
    assert progress.images_seen == 8
    others = [
        identity(config, "def"),
        identity(tiny_config({"pretraining.frozen_images": 8}), "abc"),
        identity(tiny_config({"generator.weights": "none"}), "abc"),
        identity(tiny_config({"seed": 1}), "abc"),
    ]
    for other in others:
        with pytest.raises(CheckpointError, match=r"belongs to a run with other settings"):
            run_folder.resume(tmp_path, networks, other)


def test_only_the_last_two_best_generators_are_kept(tmp_path: Path) -> None:
    kept = ["best_64.safetensors", "best_64.png", "best_96.safetensors", "best_96.png"]
    others = [CHECKPOINT, "samples_32.png", "best_of_all.txt", "best_32.txt"]
    superseded = ["best_32.safetensors", "best_32.png", "best_6.png", "best_640.safetensors"]
    for name in (*kept, *others, *superseded):
        (tmp_path / name).touch()
    remove_superseded(tmp_path, Progress(best_images=96, former_best_images=64))
    assert {each.name for each in tmp_path.iterdir()} == {*kept, *others}


def test_what_a_killed_process_left_half_written_goes(
    config: TrialConfig, rgb_u8: Tensor, tmp_path: Path
) -> None:
    networks = trained(config, rgb_u8, steps=1)
    run_folder.save(tmp_path, networks, Progress(images_seen=8), "owner")
    (tmp_path / ".checkpoint.safetensors.0123abcd.part").write_bytes(b"half")
    assert run_folder.resume(tmp_path, networks, "owner") == Progress(images_seen=8)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_time_of_saving_adds_up(config: TrialConfig, rgb_u8: Tensor, tmp_path: Path) -> None:
    networks = trained(config, rgb_u8, steps=1)
    progress = Progress(images_seen=8, best_images=8)
    sheet = np.zeros((4, 4, 3), np.uint8)
    seconds = [0.0]
    writes: list[Callable[[], None]] = [
        lambda: run_folder.save(tmp_path, networks, progress, "owner"),
        lambda: run_folder.write_best(tmp_path, config, networks, progress, sheet),
        lambda: run_folder.write_samples(tmp_path, progress, sheet),
    ]
    for write in writes:
        started = perf_counter()
        write()
        assert 0 < progress.saving_seconds - seconds[-1] <= perf_counter() - started
        seconds.append(progress.saving_seconds)
    assert {path.name for path in tmp_path.iterdir()} == {
        CHECKPOINT,
        "best_8.safetensors",
        "best_8.png",
        "samples_8.png",
    }


def test_the_driver_knows_the_names_of_checkpoints() -> None:
    assert (retention.CHECKPOINT, retention.PREVIOUS) == (CHECKPOINT, PREVIOUS)
