"""`best/` holds the winner's files, all of one trial and one report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.config import TrialConfig
from raycolor.plan import Plan
from raycolor.study.best import CONFIG, GENERATOR, SAMPLES, origin_of, write_best
from raycolor.study.records import Resources, Session
from tests.unit.study.fakes import make
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path, seed=11)


def checkpoint(plan: Plan, name: str, images: int) -> None:
    """Write what a trial leaves at its best report."""
    folder = plan.folder / "checkpoints" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"best_{images}.safetensors"
    save_tensors(path, {"x": torch.ones(3)}, {"who": f"generator {name} {images}"})
    (folder / f"best_{images}.png").write_text(f"pictures {name} {images}")


def contents(plan: Plan) -> tuple[str, str, TrialConfig]:
    folder = plan.folder / "best"
    tree = YAML(typ="safe", pure=True).load((folder / CONFIG).read_text())
    return (
        load_tensors(folder / GENERATOR)[1]["who"],
        (folder / SAMPLES).read_text(),
        TrialConfig.model_validate(tree),
    )


FIRST, SECOND = "000_lite0_lambda50", "001_scratch_lambda84"


@pytest.fixture
def told(plan: Plan) -> Told:
    """The first trial was best after 32 of 48 images."""
    told = Told().session(plan)
    told.ask(losses__l1_lambda=50.0)
    for images, value in ((16, 70.0), (32, 60.0), (48, 60.0)):
        told.report(0, images, value)
    told.ask(generator__backbone="scratch")
    told.report(1, 16, 65.0)
    checkpoint(plan, FIRST, 16)
    checkpoint(plan, FIRST, 32)
    checkpoint(plan, SECOND, 16)
    return told


def test_the_winner_at_its_best_report(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    generator, pictures, config = contents(plan)
    assert generator == f"generator {FIRST} 32"
    assert pictures == f"pictures {FIRST} 32"
    assert config == plan.space.config(
        told.state.trials[0].chosen, seed=told.state.trials[0].seed, pretraining_seed=11
    )
    assert config.losses.l1_lambda == 50.0


def test_a_better_trial_takes_its_place(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    told.report(1, 32, 59.0)
    checkpoint(plan, SECOND, 32)
    write_best(told.state, plan)
    generator, pictures, config = contents(plan)
    assert generator == f"generator {SECOND} 32"
    assert pictures == f"pictures {SECOND} 32"
    assert config.generator.backbone == "scratch"
    assert not list((plan.folder / "best").glob(".*.part"))


def test_nothing_before_the_first_report(plan: Plan) -> None:
    told = Told()
    told.ask()
    write_best(told.state, plan)
    assert not (plan.folder / "best").exists()


def test_a_checkpoint_that_is_not_there_leaves_the_last_best(plan: Plan, told: Told) -> None:
    """As where the storage of a cluster shows a file later than the report of it."""
    write_best(told.state, plan)
    before = contents(plan)
    told.report(1, 32, 59.0)
    write_best(told.state, plan)
    assert contents(plan) == before


def test_what_is_there_is_not_copied_again(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    checkpoint(plan, FIRST, 16)
    shutil.rmtree(plan.folder / "checkpoints" / SECOND)
    before = (plan.folder / "best" / GENERATOR).stat().st_mtime_ns
    write_best(told.state, plan)
    assert (plan.folder / "best" / GENERATOR).stat().st_mtime_ns == before


@pytest.mark.parametrize("calls", [0, 1])
def test_a_torn_copy_is_made_again(
    plan: Plan, told: Told, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Killed after some files of a new winner, with the old winner's mark beside them."""
    write_best(told.state, plan)
    told.report(1, 32, 59.0)
    checkpoint(plan, SECOND, 32)
    copy = shutil.copyfile
    done: list[Path] = []

    def die(source: Path, target: Path) -> None:
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(target)
        copy(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", die)
        with pytest.raises(KeyboardInterrupt):
            write_best(told.state, plan)
    # Meanwhile nobody takes the mixture for the old winner.
    assert not (plan.folder / "best" / "source.json").exists()
    told.report(0, 64, 58.0)
    told.report(0, 80, 57.0)
    checkpoint(plan, FIRST, 80)
    write_best(told.state, plan)
    assert contents(plan)[:2] == (f"generator {FIRST} 80", f"pictures {FIRST} 80")


def test_the_old_winner_is_copied_again_over_a_torn_new_one(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    folder = plan.folder / "best"
    (folder / "source.json").unlink()
    (folder / GENERATOR).write_text("torn")
    write_best(told.state, plan)
    assert contents(plan)[0] == f"generator {FIRST} 32"


@pytest.mark.parametrize("name", [GENERATOR, SAMPLES, CONFIG, "source.json"])
def test_a_file_that_was_deleted_comes_back(plan: Plan, told: Told, name: str) -> None:
    write_best(told.state, plan)
    before = contents(plan)
    (plan.folder / "best" / name).unlink()
    write_best(told.state, plan)
    assert contents(plan) == before


def test_the_mark_says_where_the_files_came_from(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    mark = json.loads((plan.folder / "best" / "source.json").read_text())
    assert mark == {
        "study": "toy",
        "trial": FIRST,
        "images_seen": 32,
        "data": "photos",
        "fingerprint": "abc",
        "threads": [],
        "gpus": None,
        "processor": None,
        "torch": None,
        "raycolor": None,
        "commit": None,
    }


def test_the_mark_has_the_threads_of_the_sessions_in_which_the_trial_reported(plan: Plan) -> None:
    told = Told()
    for session, threads in enumerate((4, 2, 2, 8)):
        told.session(plan)
        environment = {"commit": f"commit {session}", "packages": {"torch": f"2.{session}"}}
        begun = told.records[-1]
        assert isinstance(begun, Session)
        told.records[-1] = replace(begun, environment=environment)
        told.records.append(
            Resources(time=0.0, cpus=threads, gpus=session / 4, concurrent=1, machines=1)
        )
        if session == 0:
            told.ask()
        if session in (1, 2):
            told.report(0, 16 * session, 90.0 - session)
    mark = origin_of(told.state.trials[0], told.state, plan)
    assert (mark["threads"], mark["gpus"]) == ([2], 0.5)
    assert (mark["commit"], mark["torch"]) == ("commit 2", "2.2")
    told.report(0, 48, 80.0)
    mark = origin_of(told.state.trials[0], told.state, plan)
    assert (mark["threads"], mark["gpus"]) == ([2, 8], 0.75)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "header"])
def test_a_damaged_generator_is_set_aside_and_the_one_before_is_taken(
    plan: Plan, told: Told, damage: str
) -> None:
    path = plan.folder / "checkpoints" / FIRST / "best_32.safetensors"
    content = path.read_bytes()
    flipped = bytes([*content[:-1], content[-1] ^ 1])
    broken = {"cut": content[:-1], "flip": flipped, "empty": b"", "header": b"\xff" * 90}[damage]
    path.write_bytes(broken)
    for _ in range(2):
        write_best(told.state, plan)
        assert contents(plan)[:2] == (f"generator {FIRST} 16", f"pictures {FIRST} 16")
        mark = json.loads((plan.folder / "best" / "source.json").read_text())
        assert mark["images_seen"] == 16
        assert path.with_name(f"{path.name}.damaged").read_bytes() == broken
    # The trial, taken up again, writes it anew.
    checkpoint(plan, FIRST, 32)
    write_best(told.state, plan)
    assert contents(plan)[0] == f"generator {FIRST} 32"


def test_without_any_undamaged_generator_the_last_winner_stays(plan: Plan, told: Told) -> None:
    write_best(told.state, plan)
    before = contents(plan)
    told.report(1, 32, 59.0)
    (plan.folder / "checkpoints" / SECOND / "best_32.safetensors").write_bytes(b"torn")
    (plan.folder / "checkpoints" / SECOND / "best_16.safetensors").unlink()
    write_best(told.state, plan)
    assert contents(plan) == before
