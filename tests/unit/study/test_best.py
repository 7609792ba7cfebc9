"""`best/` holds the winner's files, all of one trial and one report."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from raycolor.config import TrialConfig
from raycolor.plan import Plan
from raycolor.study.best import CONFIG, GENERATOR, SAMPLES, write_best
from tests.unit.study.fakes import Told, make


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path, seed=11)


def checkpoint(plan: Plan, name: str, images: int) -> None:
    """Write what a trial leaves at its best report."""
    folder = plan.folder / "checkpoints" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"best_{images}.safetensors").write_text(f"generator {name} {images}")
    (folder / f"best_{images}.png").write_text(f"pictures {name} {images}")


def contents(plan: Plan) -> tuple[str, str, TrialConfig]:
    folder = plan.folder / "best"
    tree = YAML(typ="safe", pure=True).load((folder / CONFIG).read_text())
    return (
        (folder / GENERATOR).read_text(),
        (folder / SAMPLES).read_text(),
        TrialConfig.model_validate(tree),
    )


FIRST, SECOND = "000_lite0_lambda50", "001_scratch_lambda84"


@pytest.fixture
def told(plan: Plan) -> Told:
    """The first trial was best after 32 of 48 images."""
    told = Told()
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
    write_best(plan.folder, told.state, plan)
    generator, pictures, config = contents(plan)
    assert generator == f"generator {FIRST} 32"
    assert pictures == f"pictures {FIRST} 32"
    assert config == plan.space.config(
        told.state.trials[0].chosen, seed=told.state.trials[0].seed, pretraining_seed=11
    )
    assert config.losses.l1_lambda == 50.0


def test_a_better_trial_takes_its_place(plan: Plan, told: Told) -> None:
    write_best(plan.folder, told.state, plan)
    told.report(1, 32, 59.0)
    checkpoint(plan, SECOND, 32)
    write_best(plan.folder, told.state, plan)
    generator, pictures, config = contents(plan)
    assert generator == f"generator {SECOND} 32"
    assert pictures == f"pictures {SECOND} 32"
    assert config.generator.backbone == "scratch"
    assert not list((plan.folder / "best").glob(".*.part"))


def test_nothing_before_the_first_report(plan: Plan) -> None:
    told = Told()
    told.ask()
    write_best(plan.folder, told.state, plan)
    assert not (plan.folder / "best").exists()


def test_a_checkpoint_that_is_not_there_leaves_the_last_best(plan: Plan, told: Told) -> None:
    """As where the storage of a cluster shows a file later than the report of it."""
    write_best(plan.folder, told.state, plan)
    before = contents(plan)
    told.report(1, 32, 59.0)
    write_best(plan.folder, told.state, plan)
    assert contents(plan) == before


def test_what_is_there_is_not_copied_again(plan: Plan, told: Told) -> None:
    write_best(plan.folder, told.state, plan)
    checkpoint(plan, FIRST, 16)
    shutil.rmtree(plan.folder / "checkpoints" / SECOND)
    before = (plan.folder / "best" / GENERATOR).stat().st_mtime_ns
    write_best(plan.folder, told.state, plan)
    assert (plan.folder / "best" / GENERATOR).stat().st_mtime_ns == before


@pytest.mark.parametrize("calls", [0, 1])
def test_a_torn_copy_is_made_again(
    plan: Plan, told: Told, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Killed after some files of a new winner, with the old winner's mark beside them."""
    write_best(plan.folder, told.state, plan)
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
            write_best(plan.folder, told.state, plan)
    # Meanwhile nobody takes the mixture for the old winner.
    assert not (plan.folder / "best" / "source.json").exists()
    told.report(0, 64, 58.0)
    told.report(0, 80, 57.0)
    checkpoint(plan, FIRST, 80)
    write_best(plan.folder, told.state, plan)
    assert contents(plan)[:2] == (f"generator {FIRST} 80", f"pictures {FIRST} 80")


def test_the_old_winner_is_copied_again_over_a_torn_new_one(plan: Plan, told: Told) -> None:
    write_best(plan.folder, told.state, plan)
    folder = plan.folder / "best"
    (folder / "source.json").unlink()
    (folder / GENERATOR).write_text("torn")
    write_best(plan.folder, told.state, plan)
    assert contents(plan)[0] == f"generator {FIRST} 32"


@pytest.mark.parametrize("name", [GENERATOR, SAMPLES, CONFIG, "source.json"])
def test_a_file_that_was_deleted_comes_back(plan: Plan, told: Told, name: str) -> None:
    write_best(plan.folder, told.state, plan)
    before = contents(plan)
    (plan.folder / "best" / name).unlink()
    write_best(plan.folder, told.state, plan)
    assert contents(plan) == before


def test_the_mark_names_trial_and_report(plan: Plan, told: Told) -> None:
    write_best(plan.folder, told.state, plan)
    mark = json.loads((plan.folder / "best" / "source.json").read_text())
    assert mark == {"trial": FIRST, "images_seen": 32}
