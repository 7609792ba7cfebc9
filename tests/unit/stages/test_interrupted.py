"""A run that is killed, stopped or moved while it shares its pretraining."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.data import PreparedData
from raycolor.run_folder import CHECKPOINT
from raycolor.stages import key
from raycolor.stages.store import StageStore
from raycolor.trial import train
from tests.toy import TinyConfig
from tests.unit.stages.prefixes import CPU, LONG, PLENTY, files, inherited
from tests.unit.trial.runs import assert_same_folder, interrupted, kill_before, run, timeless_all


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
            patch.setattr("tests.unit.trial.runs.train", functools.partial(train, stages=store))
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
