"""The command line that makes plans: its flags, its help and its dry run."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import tyro

from raycolor import search
from tests.unit.plans import command, make

FLAGS = {
    "--space",
    "--study",
    "--out",
    "--data",
    "--trials",
    "--concurrent",
    "--set",
    "--address",
    "--time-budget",
    "--gpu-hours",
    "--max-cost",
    "--fresh",
    "--revive",
    "--seed",
    "--dry-run",
    "--keys",
}


def test_the_flags_are_frozen() -> None:
    """Users' scripts and notes hold these names; one may come, none may go or change."""
    names = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(search.Flags)}
    assert names == FLAGS


def test_the_flags_without_arguments_are_the_quickstart() -> None:
    flags = tyro.cli(search.Flags, args=[])
    assert (flags.space, flags.data, str(flags.out), flags.seed) == (
        "quickstart",
        "photos",
        "results",
        0,
    )
    assert not flags.dry_run


def test_help_names_every_flag(tmp_path: Path) -> None:
    done = command("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(flag in done.stdout for flag in FLAGS)
    # Words of the library, which say nothing to a reader.
    assert not re.search(r"\{None\}|default: None|default: False|--no-", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_dry_run_prints_the_plan_and_leaves_nothing(tmp_path: Path) -> None:
    done = command("--dry-run", "--trials", "6", "--seed", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    plan = make(trials=6, seed=3)
    assert done.stdout.strip() == plan.describe()
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_takes_values_as_a_space_file_does(tmp_path: Path) -> None:
    done = command(
        "--dry-run",
        *("--set", "optimizers.generator.learning_rate=1e-3"),
        *("--set", "study.scheduler.kind=none"),
        *("--set", "generator.ema_decay=null"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "optimizers.generator.learning_rate  " not in done.stdout
    assert "every trial trains to its end" in done.stdout


def test_a_dry_run_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from raycolor.search import main\n"
        "sys.argv = ['search', '--dry-run']\n"
        "main()\n"
        "heavy = {'torch', 'ray', 'optuna', 'kornia', 'scipy', 'plotly', 'tensorboard'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stderr) == []
