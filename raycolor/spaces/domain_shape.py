"""The shape of one domain in a space file: its kind, its bounds or values, its conditions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raycolor.problems import Place, Shape, as_yaml, item_name, kind_of, listed, shown
from raycolor.spaces.domains import Scalar
from raycolor.spaces.keys import COUNTS, KINDS, LISTS_ALL, SHARED, Key, domain_keys, trial_keys
from raycolor.spaces.spelling import nearest


def sound_domain(place: Place, key: Key, value: Any, shape: Shape) -> dict[str, Any] | None:
    """Return a domain whose every part is sound; note what is wrong otherwise.

    Args:
        place: of the domain.
        key: the setting that is searched.
        value: what the file says.
        shape: takes the problems.
    """
    if text := _whole_problem(key, value):
        shape.note(place, text)
        return None
    before = len(shape.problems)
    kind = value["kind"]
    bounds = domain_keys(kind)
    needed = (
        ["values"] if kind == "choice" else [n for n, bound in bounds.items() if bound.required]
    )
    sound: dict[str, Any] = {}
    for name, item in value.items():
        here = (*place, name)
        if name == "kind":
            sound[name] = kind
        elif name in bounds:
            bound = bounds[name] if name in COUNTS else _within(bounds[name], key)
            if text := bound.problem(item):
                shape.note(here, text)
            else:
                sound[name] = bound.settled(item)
        elif name == "values" and kind == "choice":
            sound[name] = _sound_values(here, key, item, shape)
        elif name == "when":
            sound[name] = _sound_conditions(here, item, shape)
        else:
            shape.note(here, _stray(name, kind, [*(bounds or needed), "when"]))
    known = [*(bounds or needed), "when"]
    meant = {near for name in value if name not in known for near in nearest(name, known)[:1]}
    for name in needed:
        if name not in value and name not in meant:
            shape.note((*place, name), f"is missing; kind {kind} needs {listed(needed)}")
    return sound if len(shape.problems) == before else None


def _whole_problem(key: Key, value: Any) -> str | None:
    """Say what is wrong with a domain as a whole: what it is, and its kind."""
    if key.path in SHARED:
        return "must be the same in all trials, or they cannot be compared; set it under fixed"
    if value is None:
        return f"has no domain; write {_example(key)}"
    if isinstance(value, list):
        return f"{shown(value)} is a list; write {{kind: choice, values: {as_yaml(value)}}}"
    if not isinstance(value, dict):
        return (
            f"{shown(value)} is a value and no domain; put it under fixed, or write {_example(key)}"
        )
    if "kind" not in value:
        return f"has no kind; write {_example(key, value)}"
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        near = nearest(kind, KINDS) if isinstance(kind, str) else []
        meant = f"did you mean {near[0]}?" if near else f"take {listed(KINDS, last='or')}"
        return f"{shown(kind)} is no kind of domain; {meant}"
    if kind != "choice" and key.numbers is None:
        return f"kind {kind} gives numbers, but this takes {key.allowed()}; write {_example(key)}"
    if kind in ("uniform", "loguniform") and key.numbers is not None and key.numbers.whole:
        return f"kind {kind} gives fractions, but this takes {key.allowed()}; write kind: int"
    return None


def _example(key: Key, value: Mapping[str, Any] | None = None) -> str:
    """Write a domain that fits a setting, as far as possible with what the file says."""
    said = value or {}
    if "values" in said or key.numbers is None:
        values = said.get("values") or key.some_values()
        return f"{{kind: choice, values: {as_yaml(values)}}}"
    ends = [f"{name}: {as_yaml(said[name]) if name in said else '...'}" for name in ("low", "high")]
    return f"{{kind: {'int' if key.numbers.whole else 'uniform'}, {', '.join(ends)}}}"


def _within(bound: Key, key: Key) -> Key:
    """Narrow the bound of a range to what the setting takes."""
    assert bound.numbers is not None
    assert key.numbers is not None
    return replace(bound, numbers=bound.numbers.within(key.numbers))


def _sound_values(place: Place, key: Key, value: Any, shape: Shape) -> list[Scalar]:
    if not isinstance(value, list):
        shape.note(place, f"{shown(value)} is no list; write values: [{as_yaml(value)}]")
        return []
    if not value:
        shape.note(place, f"is empty; list some values: {key.allowed()}")
    sound = []
    for number, item in enumerate(value):
        if text := key.problem(item):
            shape.note((*place, item_name(number)), text)
        else:
            sound.append(key.settled(item))
    return sound


def _sound_conditions(place: Place, value: Any, shape: Shape) -> dict[str, list[Scalar]]:
    sound: dict[str, list[Scalar]] = {}
    if not isinstance(value, dict):
        said = kind_of(value)
        text = f"is {said}, but holds conditions, as in {{pretraining.images: [512, 1024]}}"
        shape.note(place, text)
        return sound
    for path, values in value.items():
        here = (*place, path)
        key = trial_keys().get(path)
        if key is None:
            near = nearest(path, trial_keys())
            meant = f"; did you mean {listed(near, last='or')}?" if near else ""
            shape.note(here, f"there is no such setting{meant} {LISTS_ALL}")
        elif not isinstance(values, list):
            shape.note(here, f"{shown(values)} is no list; write {path}: [{as_yaml(values)}]")
        elif not values:
            shape.note(here, "is empty; list the values for which this domain exists")
        else:
            sound[path] = _sound_values(here, key, values, shape)
    return sound


def _stray(name: str, kind: str, known: list[str]) -> str:
    """Say what was meant by a key that a kind of domain does not have."""
    if near := nearest(name, known):
        return f"there is no such key; did you mean {near[0]}?"
    others = [other for other in KINDS if name in domain_keys(other)]
    if name == "values":
        others = ["choice"]
    belongs = f" (it belongs to kind {listed(others, last='or')})" if others else ""
    return f"kind {kind} has no such key{belongs}; it has {listed(known)}"
