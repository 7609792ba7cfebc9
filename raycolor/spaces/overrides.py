"""Settings that flags change: `--set PATH=VALUE`."""

from collections.abc import Mapping, Sequence
from typing import Any

from raycolor.spaces.domains import Scalar
from raycolor.spaces.yaml_text import parse_value


def parse_overrides(given: Sequence[str]) -> tuple[dict[str, Scalar], list[str]]:
    """Read PATH=VALUE flags; values are YAML, as in a space file.

    Returns:
        The values by path, and a line for each flag that is no PATH=VALUE.
    """
    overrides: dict[str, Scalar] = {}
    problems = []
    for item in given:
        path, _, text = (part.strip() for part in item.partition("="))
        if not (path and text):
            problems.append(f"--set {item}: give PATH=VALUE, as in --set losses.l1_lambda=100")
            continue
        value = parse_value(text)
        if isinstance(value, list | dict):
            problems.append(f"--set {item}: give one value; domains stand in a space file")
        elif path in overrides:
            problems.append(f"--set {item}: {path} is set twice; keep one of the two")
        else:
            overrides[path] = value
    return overrides, problems


def overridden(tree: Any, overrides: Mapping[str, Scalar]) -> Any:
    """Put the values of flags into the content of a space file.

    Args:
        tree: the content, not checked yet; what is no mapping stays, to be refused.
        overrides: dotted paths of a trial's settings, which are fixed and taken out of the search,
            or of the study's settings, beginning with `study.`.
    """
    if not isinstance(tree, dict | None):
        return tree
    result = dict(tree or {})
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
