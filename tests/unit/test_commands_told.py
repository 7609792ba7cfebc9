"""Commands that space files, the README and the docs tell are taken, as far as is told at once."""

import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import tyro

from raycolor import colorize, prepare, search, show, train
from raycolor.data import PHOTOS, open_prepared
from raycolor.errors import ConfigError
from raycolor.plan import BUILT_IN, Plan
from raycolor.preparation.settings import Settings, check_settings
from raycolor.study.engine import check_same_study

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (colorize, prepare, search, show, train)
}
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

Command = tuple[str, list[str]]
"""Name of a module, and the words after it."""


def header(path: Path) -> list[Command]:
    """Find the commands of a space file's header: each line is one, and nothing else."""
    text = path.read_text(encoding="utf-8")
    (told,) = re.findall(r"^# Command (.*\n(?:#  .*\n)*)", text, flags=re.MULTILINE)
    told = re.sub(r"make search +\(or: (.*)\)", r"\1", told)
    lines = [re.fullmatch(r"#? *python -m raycolor\.(\w+)(.*)", line) for line in told.splitlines()]
    assert all(lines), told
    return [(line[1], shlex.split(line[2])) for line in lines if line is not None]


def page(path: Path) -> list[Command]:
    """Find the commands of a page: indented lines; two spaces or a `#` end them."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^    python -m raycolor\.(\w+)(.*)$", text, flags=re.MULTILINE)
    told = dict.fromkeys((name, re.split(r"  |#", rest)[0].strip()) for name, rest in found)
    return [(name, shlex.split(rest)) for name, rest in told]


def taken(name: str, words: list[str]) -> Plan | Settings | None:
    """Let a command read its words, and give what it would do, where that is known at once.

    Raises:
        ConfigError: it refuses them.
        SystemExit: it does not know them.
    """
    flags = tyro.cli(COMMANDS[name].Flags, args=words)
    if isinstance(flags, search.Flags):
        return search._plan(flags)
    if isinstance(flags, prepare.Flags):
        known = prepare._known(flags, lambda text: None)
        assert list(prepare._problems(flags, known)) == []
        check_settings(prepare._settings(flags, known))
        return prepare._settings(flags, known)
    return None


def check_side_by_side(plans: list[Plan]) -> None:
    """Refuse plans for one folder that are of two studies, as a search does.

    Raises:
        ConfigError: as a search says it.
    """
    first: dict[str, Plan] = {}
    for plan in plans:
        check_same_study(first.setdefault(plan.where, plan).identity(), plan)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_header_tells_commands_that_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    plans: list[Plan] = []
    sizes = {BUILT_IN: open_prepared(PHOTOS).size}
    for name, words in header(path):
        told = taken(name, words)
        if isinstance(told, Plan):
            plans.append(told)
            assert told.space.name == path.stem
            assert told.base.data.size <= sizes[told.data]
        elif isinstance(told, Settings):
            # A second time the folder of that name would be read, and not the known data set.
            assert words[0] != words[1]
            sizes[str(tmp_path / told.out)] = told.recipe.size
    assert plans
    check_side_by_side(plans)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_tells_commands_that_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    plans: list[Plan] = []
    for name, words in page(path):
        if "..." in words:  # stands for what a user adds
            continue
        told = taken(name, words)
        if isinstance(told, Plan) and "--fresh" not in words:
            plans.append(told)
    check_side_by_side(plans)


def test_another_seed_for_one_folder_is_noticed() -> None:
    words = ["--space", "pretraining"]
    plans = [taken("search", [*words, "--seed", seed]) for seed in ("0", "1")]
    with pytest.raises(ConfigError, match=r"choose another --study.*\n +seed: was 0, is now 1"):
        check_side_by_side([plan for plan in plans if isinstance(plan, Plan)])
    with pytest.raises(SystemExit):
        taken("search", ["--space", "pretraining", "(and", "--seed", "1,", "2)"])
