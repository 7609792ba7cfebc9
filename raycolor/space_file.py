"""Search-space files: what a study varies, what it holds fixed, and how it is run.

    study:      the study's own settings (`StudySettings`)
    fixed:      dotted path of `TrialConfig`: value
    search:     dotted path of `TrialConfig`: domain, tagged by `kind`
    baseline:   value of each searched path in the first trial (optional)

Everything that is neither fixed nor searched has the default of `TrialConfig`. A domain with `when`
exists only where other searched settings have certain values. On load, each edge of each domain is
built as a `TrialConfig`, so a trial that cannot run is refused before Ray starts. This module
imports neither torch nor ray.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raycolor.domains import Scalar, ordered
from raycolor.errors import ConfigError
from raycolor.space import Space, SpaceFile
from raycolor.space_problems import (
    condition_problems,
    edge_problems,
    explain,
    known_paths,
    path_problems,
    space_problems,
)

SHIPPED = Path(__file__).parent / "search_spaces"
AT_TOP_LEVEL = Path(__file__).parent.parent / "search_spaces"


def find_space(name: str) -> Path:
    """Find a search-space file: a path, or the name of one that ships with raycolor.

    Raises:
        ConfigError: neither is there.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = SHIPPED if SHIPPED.is_dir() else AT_TOP_LEVEL
    shipped = folder / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
    raise ConfigError(
        f"--space {name}: no such file, and no space of that name; shipped are: {names}"
    )


def load_space(path: Path, overrides: Mapping[str, Scalar] | None = None) -> Space:
    """Read and check a search-space file.

    Args:
        path: the file.
        overrides: dotted paths and values from `--set`: of `TrialConfig`, which fixes a setting
            and takes it out of the search, or of the study's settings, beginning with `study.`.

    Returns:
        The space; each of its configurations can run.

    Raises:
        ConfigError: all problems of the file, one a line.
    """
    tree = _read_yaml(path)
    try:
        file = SpaceFile.model_validate(_overridden(tree, overrides or {}))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error))) from error
    problems = list(path_problems(file))
    known = set(known_paths())
    file = file.model_copy(
        update={
            "fixed": {path: value for path, value in file.fixed.items() if path in known},
            "search": {path: domain for path, domain in file.search.items() if path in known},
        }
    )
    conditions = list(condition_problems(file))
    if conditions:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems + conditions))
    problems += list(edge_problems(file))
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    space = Space(
        name=path.stem,
        study=file.study,
        fixed=file.fixed,
        search=ordered(file.search),
        baseline=file.baseline,
    )
    problems = list(space_problems(space))
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return space


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        # YAML 1.2: `1e-5` is a number, `no` is text, and a key twice is an error.
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except YAMLError as error:
        text = " ".join(str(error).split("\n\nTo suppress")[0].split())
        raise ConfigError(f"{path}: no valid YAML: {text}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: holds {type(tree).__name__}, but a space file is a mapping with the keys "
            "study, fixed and search"
        )
    return tree


def _overridden(tree: Mapping[str, Any], overrides: Mapping[str, Scalar]) -> dict[str, Any]:
    result = dict(tree)
    for path, value in overrides.items():
        if path.startswith("study."):
            result = _put(result, path.split("."), value)
            continue
        result = _put(result, ["fixed", path], value)
        if isinstance(result.get("search"), dict):
            before = result["search"]
            result["search"] = _settled(before, path, value)
            if isinstance(result.get("baseline"), dict):
                taken_out = before.keys() - result["search"].keys()
                result["baseline"] = {
                    key: item for key, item in result["baseline"].items() if key not in taken_out
                }
    return result


def _put(tree: Any, keys: Sequence[str], value: Scalar) -> Any:
    """Put a value into nested mappings; what should be one and is not stays, to be refused."""
    if not keys:
        return value
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        return tree
    return {**tree, keys[0]: _put(tree.get(keys[0]), keys[1:], value)}


def _settled(search: Mapping[str, Any], path: str, value: Scalar) -> dict[str, Any]:
    """Take out `path`, which is fixed now, and all domains that therefore never exist."""
    kept = dict(search)
    gone: dict[str, list[Scalar]] = {path: [value]}
    kept.pop(path, None)
    while never := [key for key, item in kept.items() if _never(item, gone)]:
        for key in never:
            del kept[key]
            gone[key] = []
    for key, item in kept.items():
        if when := _when(item):
            kept[key] = {**item, "when": {p: v for p, v in when.items() if p != path}}
    return kept


def _never(item: Any, gone: Mapping[str, list[Scalar]]) -> bool:
    """Tell whether a domain cannot exist, given all values that some others still take."""
    return any(
        isinstance(allowed, list) and not any(value in allowed for value in gone[path])
        for path, allowed in _when(item).items()
        if path in gone
    )


def _when(item: Any) -> Mapping[str, Any]:
    """Return the conditions of a domain that is not checked yet."""
    when = item.get("when") if isinstance(item, dict) else None
    return when if isinstance(when, dict) else {}
