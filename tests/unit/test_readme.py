"""The README says what the code does."""

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path

from raycolor.search import Flags
from raycolor.steps import StepLosses
from tests.unit.test_trial import ADVERSARIAL_ONLY, EACH_REPORT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_table_of_settings_is_that_of_the_models() -> None:
    spec = importlib.util.spec_from_file_location("keys", ROOT / "tools" / "keys.py")
    assert spec is not None
    assert spec.loader is not None
    keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keys)
    assert keys.table() in README, "make it anew: python tools/keys.py"


def test_flags_that_are_named_exist() -> None:
    known = {f"--{name.replace('_', '-')}" for name in Flags.__dataclass_fields__}
    for line in re.findall(r"python -m raycolor\.search([^\n`]*)", README):
        words = shlex.split(line.split("  ")[0])
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_files_that_are_named_exist() -> None:
    for name in re.findall(
        r"raycolor/[a-z_]+\.py|search_spaces/\w+\.yaml|benchmarks/\w+\.py", README
    ):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"^    raycolor/(\w+)/ ", README, flags=re.MULTILINE):
        assert (ROOT / "raycolor" / name).is_dir(), name


def test_everything_that_a_report_holds_is_explained() -> None:
    table = README[README.index("## What a report holds") : README.index("## The reader's tour")]
    explained: set[str] = set()
    for line in re.findall(r"^\| (`[^|]*) \|", table, flags=re.MULTILINE):
        first, *others = re.findall(r"`(\w+)`", line)
        explained |= {first, *(first + name if name[0] == "_" else name for name in others)}
    # It is told as `generator_loss`, times its weight.
    losses = {item.name for item in fields(StepLosses)} - {"content_loss"}
    assert losses | EACH_REPORT | ADVERSARIAL_ONLY <= explained


def test_every_space_that_ships_is_named() -> None:
    for path in (ROOT / "search_spaces").glob("*.yaml"):
        assert re.search(rf"^\| .*`{path.stem}`.* \|", README, flags=re.MULTILINE), path.stem
