"""The shape of a space file: its sections, its keys, and each value by itself.

Everything that can be said of one part without the others is said here, with the key that was meant
where one is mistyped. What is sound goes on to `raycolor.spaces.clashes`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from raycolor.config import flattened, nested
from raycolor.problems import Place, Shape, as_yaml, kind_of, listed, shown, written
from raycolor.spaces.domain_shape import sound_domain
from raycolor.spaces.keys import (
    KINDS,
    LISTS_ALL,
    RESERVED,
    SHARED,
    Key,
    groups,
    study_keys,
    trial_keys,
)
from raycolor.spaces.space import SpaceFile
from raycolor.spaces.spelling import nearest

SECTIONS = ("study", "fixed", "search", "baseline")
_EXAMPLES = {
    "study": "trials: 20",
    "fixed": "data.size: 64",
    "search": "losses.l1_lambda: {kind: loguniform, low: 30, high: 300}",
    "baseline": "losses.l1_lambda: 100",
}


def check_shape(tree: Any) -> tuple[SpaceFile, Shape]:
    """Check every part of a space file by itself.

    Args:
        tree: the file's content: mappings, lists and plain values.

    Returns:
        The sound part, and what is wrong with the rest.
    """
    shape = Shape()
    if tree is None:
        return SpaceFile(), shape
    if not isinstance(tree, dict):
        shape.note((), f"holds {kind_of(tree)}, but a space file has the keys {listed(SECTIONS)}")
        return SpaceFile(), shape
    sound: dict[str, dict[str, Any]] = {}
    for name, content in tree.items():
        if name not in SECTIONS:
            shape.note((name,), _stray_at_top(name))
            shape.unsettle(name, *nearest(name, trial_keys()))
        elif isinstance(content, dict):
            sound[name] = _section(name, content, shape)
        elif content is not None:
            text = f"holds {kind_of(content)}, but takes a line for each key, such as"
            space = ", with a space after the colon" if isinstance(content, str) else ""
            shape.note((name,), f"{text} `{_EXAMPLES[name]}`{space}")
            shape.unsettle(*trial_keys())
    return _built(sound, shape), shape


def _built(sound: dict[str, dict[str, Any]], shape: Shape) -> SpaceFile:
    """Build the models; take out what they refuse, such as a range whose ends are swapped."""
    while True:
        try:
            return SpaceFile.model_validate(sound)
        except ValidationError as error:
            for problem in error.errors():
                place = tuple(str(part) for part in problem["loc"] if part not in KINDS)
                shape.note(place, problem["msg"].removeprefix("Value error, "))
                # The smallest part that can be left out: a setting, a domain, or all of `study`.
                section, key = place[0], place[1] if len(place) > 1 else None
                if key is None or key not in sound[section]:
                    sound[section] = {}
                else:
                    del sound[section][key]
                    shape.unsettle(key)


def _section(name: str, content: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return the sound part of a section."""
    if name == "study":
        tree = nested({path.removeprefix("study."): key for path, key in study_keys().items()})
        return _sound_study(content, tree, ("study",), shape)
    sound: dict[str, Any] = {}
    for path, value in content.items():
        place = (name, path)
        if path not in trial_keys() or path in RESERVED:
            shape.note(place, _stray_setting(name, path, value))
            inside = flattened({path: value}) if isinstance(value, dict) else {}
            shape.unsettle(path, *inside, *nearest(path, trial_keys()))
            continue
        key = trial_keys()[path]
        if name == "search":
            domain = sound_domain(place, key, value, shape)
            if domain is not None:
                sound[path] = domain
        elif text := _value_problem(name, key, value):
            shape.note(place, text)
        else:
            sound[path] = key.settled(value)
        if path not in sound:
            shape.unsettle(path)
    return sound


def _value_problem(section: str, key: Key, value: Any) -> str | None:
    """Say what is wrong with a value under `fixed` or `baseline`."""
    searchable = section == "fixed" and key.path not in SHARED
    if searchable and isinstance(value, dict) and "kind" in value:
        return "is a domain; put it under search"
    if searchable and isinstance(value, list):
        return (
            f"{shown(value)} is a list; take {key.allowed()}; to search some values, put "
            f"{{kind: choice, values: {as_yaml(value)}}} under search"
        )
    return key.problem(value)


def _stray_at_top(name: str) -> str:
    """Say where a key belongs that stands at the top of the file and is no section."""
    if near := nearest(name, SECTIONS):
        return f"there is no such key; did you mean {near[0]}?"
    if name in trial_keys() or name in groups():
        return "is no section but a setting of the trials; put it under fixed or search"
    if any(path.split(".")[1] == name for path in study_keys()):
        return "is no section but belongs to the study; put it under study"
    if near := nearest(name, study_keys()):
        return f"there is no such section; did you mean {near[0]}? It stands under study"
    if near := nearest(name, trial_keys()):
        return f"there is no such section; did you mean {near[0]}? It stands under fixed or search"
    return f"there is no such section; a space file has {listed(SECTIONS)}"


def _stray_setting(section: str, path: str, value: Any) -> str:
    """Say what was meant by a dotted path that may not stand in a section."""
    if path in RESERVED:
        return "seeds come from the flag --seed; remove it"
    if path in groups():
        return _group_problem(section, path, value)
    if path in study_keys():
        return "is a setting of the study; put it under study"
    inner = path.partition(".")[2]
    if path.partition(".")[0] in SECTIONS and inner in trial_keys():
        return f"the section is named above it; write {inner}"
    if near := nearest(path, trial_keys()):
        return f"there is no such setting; did you mean {listed(near, last='or')}? {LISTS_ALL}"
    if near := nearest(path, study_keys()):
        return f"there is no such setting of a trial; did you mean {near[0]}, under study?"
    return f"there is no such setting {LISTS_ALL}"


def _group_problem(section: str, path: str, value: Any) -> str:
    """Say what to write where a file nests settings, or names a group of them only."""
    if isinstance(value, dict) and "kind" not in value and value:
        if section == "search":
            paths = listed(_domains(path, value), most=4)
            return f"is a group of settings; write dotted paths with a domain each: {paths}"
        lines = [
            f"{written(key)}: {as_yaml(item)}" for key, item in flattened({path: value}).items()
        ]
        return f"is a group of settings; write their dotted paths: {listed(lines, most=3)}"
    inside = [key for key in trial_keys() if key.startswith(f"{path}.")]
    return f"is a group of settings; name one of {listed(inside, last='or', most=4)}"


def _domains(path: str, value: Mapping[str, Any]) -> list[str]:
    """Find the dotted paths of the domains in nested mappings."""
    found: list[str] = []
    for name, item in value.items():
        below = f"{path}.{name}"
        inner = below in groups() and isinstance(item, dict)
        found += _domains(below, item) if inner else [below]
    return found


def _sound_study(
    content: Mapping[str, Any], known: Mapping[str, Any], place: Place, shape: Shape
) -> dict[str, Any]:
    """Return the sound part of `study` or of a mapping in it."""
    sound: dict[str, Any] = {}
    for name, value in content.items():
        here = (*place, name)
        match known.get(name):
            case Key() as key:
                if text := key.problem(value):
                    shape.note(here, text)
                else:
                    sound[name] = key.settled(value)
            case dict() as below:
                if isinstance(value, dict):
                    sound[name] = _sound_study(value, below, here, shape)
                elif value is not None:
                    shape.note(here, _group_of_study_problem(name, value, below))
            case _:
                shape.note(here, _stray_in_study(name, value, known, place))
    return sound


def _group_of_study_problem(name: str, value: Any, below: Mapping[str, Any]) -> str:
    first, key = next(iter(below.items()))
    if isinstance(key, Key) and key.problem(value) is None:
        return f"has keys of its own; write {name}: {{{first}: {as_yaml(value)}}}"
    return f"has keys of its own, {listed(below)}; write {name}: {{{first}: ...}}"


def _stray_in_study(name: str, value: Any, known: Mapping[str, Any], place: Place) -> str:
    """Say what was meant by a key that `study`, or a mapping in it, does not have."""
    prefix = ".".join(place)
    if f"{prefix}.{name}" in study_keys():
        first, _, rest = name.partition(".")
        return f"stands in a mapping of its own; write {first}: {{{rest}: {as_yaml(value)}}}"
    owners = [
        groups for path in study_keys() for *groups, leaf in [path.split(".")[1:]] if leaf == name
    ]
    match owners:
        case [groups]:
            path, inner = ".".join(groups), f"{name}: {as_yaml(value)}"
            for group in reversed(groups):
                inner = f"{group}: {{{inner}}}"
            return f"is a key of {path}; write {inner}"
        case [_, *_]:
            paths = listed([".".join(groups) for groups in owners])
            return f"is a key of {paths}; put it below one of them"
    if name in trial_keys():
        return "is a setting of the trials; put it under fixed or search"
    if near := nearest(name, known):
        return f"there is no such key; did you mean {near[0]}?"
    if near := nearest(name, study_keys()):
        return f"there is no such key; did you mean {near[0]}?"
    return f"there is no such key; {prefix} has {listed(known)}"
