"""The README says what the code does."""

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from raycolor.metric_names import names
from raycolor.networks.patch import receptive_field
from raycolor.search import Flags
from raycolor.steps import StepLosses
from raycolor.trial import Report
from tests.unit.trial.runs import ADVERSARIAL_ONLY, EACH_REPORT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tool(name: str) -> ModuleType:
    """Import a script of the tools, which are no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = tool("tables")


def test_table_of_settings_is_that_of_the_models() -> None:
    assert tool("keys").table() in README, "make it anew: python tools/keys.py"


@pytest.mark.parametrize("name", TABLES.TABLES)
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert TABLES.place(name).findall(README) == [TABLES.TABLES[name]()], (
        "make it anew: python tools/tables.py"
    )


def test_what_is_counted_is_what_is_known() -> None:
    """Numbers of the papers, which the tables' way of counting has to find."""
    generators, discriminators = (
        TABLES.place(name).findall(README)[0] for name in ("generators", "discriminators")
    )
    for table, number in ((generators, "54,409,858"), (generators, "4,729,922")):
        assert table.count(number) == 1
    for row in ("| 2,765,633 | 70 x 70 | 30 x 30 |", "| 8,833 | 1 x 1 | 256 x 256 |"):
        assert discriminators.count(row) == 1
    assert discriminators.count("| the whole picture | 1 x 1 |") == 3
    for downs in range(1, 6):
        field = receptive_field(downs)
        assert f"| {field} x {field} |" in discriminators


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
    # It is told as `generator_loss`, times its weight.
    losses = {item.name for item in fields(StepLosses)} - {"content_loss"}
    of_gpu = {"peak_gpu_gib"}
    about = {item.name for item in fields(Report)} - {"metrics", "references"}
    assert names() == losses | EACH_REPORT | ADVERSARIAL_ONLY | about | of_gpu


def test_every_space_that_ships_is_named() -> None:
    for path in (ROOT / "search_spaces").glob("*.yaml"):
        assert re.search(rf"^\| .*`{path.stem}`.* \|", README, flags=re.MULTILINE), path.stem
