"""Files with the settings of one trial: a tree as `best/config.yaml` is, dotted paths, or both.

    losses: {l1_lambda: 84}
    pretraining.images: 1024

Values follow the same rules as in space files, and all that is wrong is told at once. What a file
leaves out has its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raycolor.errors import ConfigError
from raycolor.problems import Place, Problem, kind_of, listed, shown, written
from raycolor.spaces.clashes import space_problems
from raycolor.spaces.domains import Scalar
from raycolor.spaces.keys import LISTS_ALL, groups, study_keys, trial_keys
from raycolor.spaces.shape import SECTIONS
from raycolor.spaces.space import Space, StudySettings
from raycolor.spaces.spelling import nearest
from raycolor.spaces.yaml_text import YamlText, read_yaml

EXAMPLE = "`losses.l1_lambda: 100`"


@dataclass(slots=True)
class _Found:
    """What a file and flags say, as far as it is sound.

    Places of problems begin with the name of a flag, or are those of the file.
    """

    values: dict[str, Scalar] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    """Where each setting stands, sound or not; of flags `--set PATH=VALUE`."""
    problems: list[Problem] = field(default_factory=list)

    def unsettled(self) -> frozenset[str]:
        """Return the settings with problems of their own, of which nothing more can be said."""
        paths = {path for path in self.places if path not in self.values}
        meant = {
            near for path in paths - trial_keys().keys() for near in nearest(path, trial_keys())
        }
        return frozenset(meant | paths & trial_keys().keys())


def read_config(path: Path, overrides: Mapping[str, Scalar] | None = None) -> Space:
    """Read and check the settings of one trial.

    Args:
        path: the file.
        overrides: dotted paths and values from `--set`, which replace those of the file.

    Returns:
        A space that searches nothing: its only configuration is `config({})`.

    Raises:
        ConfigError: all problems of file and flags, one a line.
    """
    text = read_yaml(_checked(path))
    _check_tree(text.tree, path)
    overrides = overrides or {}
    found = _Found()
    for setting, value in overrides.items():
        _take(found, setting, (f"--set {written(setting)}={_as_given(value)}",), value)
    given = dict(found.places)
    for setting, place, value in _settings(text.tree, "", ()):
        if setting in given:
            continue
        if setting in found.places:
            first = text.line(found.places[setting])
            said = f"stands in line {first} already; keep one of the two"
            found.problems.append(Problem(place, said))
        else:
            _take(found, setting, place, value)
    for place, first in text.twice.items():
        said = f"stands in line {first} already; keep one of the two"
        found.problems.append(Problem(place, said))
    space = Space(name=path.stem, study=StudySettings(), fixed=found.values, search={}, baseline={})
    unsettled = found.unsettled()
    found.problems += [
        Problem(found.places.get(clash.place[-1], clash.place[-1:]), clash.text)
        for clash in space_problems(space, unsettled)
    ]
    if found.problems:
        raise ConfigError("\n".join(_told(found.problems, path, text)))
    return space


def _checked(path: Path) -> Path:
    """Return the path of a file.

    Raises:
        ConfigError: there is none; the message names what may have been meant.
    """
    if path.is_dir():
        inside = [path / "best" / "config.yaml", path / "config.yaml", *sorted(path.glob("*.y*ml"))]
        there = next((file for file in inside if file.is_file()), None)
        meant = f"did you mean {there}?" if there else "name a file with the settings of a trial"
        raise ConfigError(f"{path}: is a folder; {meant}")
    if not path.exists():
        beside = path.parent.glob("*.y*ml") if path.parent.is_dir() else []
        near = nearest(str(path), map(str, beside))
        meant = (
            f"did you mean {near[0]}?" if near else "name one, as results/STUDY/best/config.yaml"
        )
        raise ConfigError(f"{path}: there is no such file; {meant}")
    return path


def _check_tree(tree: Any, path: Path) -> None:
    """Refuse what is no file of settings as a whole.

    Raises:
        ConfigError: it holds no mapping, or is a search-space file.
    """
    if not isinstance(tree, dict) or not tree:
        holds = kind_of(tree) if tree else "no settings"
        raise ConfigError(f"{path}: holds {holds}; a file of settings has lines such as {EXAMPLE}")
    if sections := [name for name in SECTIONS if name in tree]:
        raise ConfigError(
            f"{path}: has {listed(sections)}, as a search-space file: search it with "
            f"`python -m raycolor.search --space {path}`, or name a file with the settings of one "
            "trial, as results/STUDY/best/config.yaml"
        )


def _settings(
    tree: Mapping[str, Any], prefix: str, place: Place
) -> Iterator[tuple[str, Place, Any]]:
    """Yield the dotted path, the place and the value of each setting, known or not."""
    for name, value in tree.items():
        path, here = f"{prefix}{name}", (*place, name)
        if path in groups() and isinstance(value, dict):
            yield from _settings(value, f"{path}.", here)
        elif path not in groups() or value is not None:
            yield path, here, value


def _take(found: _Found, path: str, place: Place, value: Any) -> None:
    """Take in one setting, or note what is wrong with it."""
    found.places[path] = place
    key = trial_keys().get(path)
    if key is None:
        found.problems.append(Problem(place, _stray(path)))
    elif isinstance(value, dict) and "kind" in value:
        text = f"is a domain of a search, but a single trial has one value; take {key.allowed()}"
        found.problems.append(Problem(place, text))
    elif (problem := key.problem(value)) is not None:
        found.problems.append(Problem(place, problem))
    else:
        found.values[path] = key.settled(value)


def _stray(path: str) -> str:
    """Say what was meant by a path that is no setting of a trial."""
    if path in groups():
        inside = [key for key in trial_keys() if key.startswith(f"{path}.")]
        return f"is a group of settings; name one of {listed(inside, last='or', most=4)}"
    if path in study_keys():
        return "is a setting of a study, and a single trial has none; remove it"
    if near := nearest(path, [*trial_keys(), *groups()]):
        return f"there is no such setting; did you mean {listed(near, last='or')}? {LISTS_ALL}"
    return f"there is no such setting {LISTS_ALL}"


def _told(problems: list[Problem], path: Path, text: YamlText) -> list[str]:
    """Write problems as lines: those of flags first, then in the order of the file."""
    lines: dict[str, int] = {}
    for problem in problems:
        if problem.place[0].startswith("--set "):
            lines[f"{problem.place[0]}: {problem.text}"] = 0
            continue
        line = text.line(problem.place)
        where = f"{path}:{line}" if line else str(path)
        names = ".".join(written(name) for name in problem.place)
        # Of a default that clashes the file says nothing; it comes last.
        lines[f"{where}: {names}: {problem.text}"] = line or len(text.lines) + 1
    return sorted(lines, key=lambda line: lines[line])


def _as_given(value: Scalar) -> str:
    return written(value) if isinstance(value, str) else shown(value)
