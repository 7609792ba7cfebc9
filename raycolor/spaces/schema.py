"""The JSON schema of space files, made from the models: completion and checking in editors.

It says of every key what `raycolor.spaces.shape` checks: names, values, bounds, kinds. What takes
the whole file, such as sizes that its networks take, `python -m raycolor.search --dry-run` checks.
"""

import json
from collections.abc import Mapping
from typing import Any

from raycolor.config import nested
from raycolor.spaces.keys import (
    COUNTS,
    KINDS,
    RESERVED,
    SHARED,
    Key,
    Numbers,
    domain_keys,
    study_keys,
    trial_keys,
)

FILE = "space.schema.json"
"""Its name, beside the space files."""
Schema = dict[str, Any]


def space_schema() -> Schema:
    """Return the schema, of JSON Schema draft 7, which editors know."""
    settings = {path: key for path, key in trial_keys().items() if path not in RESERVED}
    searched = {path: key for path, key in settings.items() if path not in SHARED}
    study = nested({path.removeprefix("study."): key for path, key in study_keys().items()})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A search-space file of raycolor",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "study": _study(study, "How the study is run."),
            "fixed": _section(
                {path: _reference(path) for path in settings},
                "Settings that all trials share, by their dotted paths.",
            ),
            "search": _section(
                {path: _domain(key) for path, key in searched.items()},
                "Settings that are searched, each with its domain.",
            ),
            "baseline": _section(
                {path: _reference(path) for path in searched},
                "The first trial: a value of every searched setting.",
            ),
        },
        "definitions": {
            **{path: _value(key) for path, key in settings.items()},
            "when": {
                "description": _sentence(KINDS["choice"].model_fields["when"].description),
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    path: {"type": "array", "minItems": 1, "items": _reference(path)}
                    for path in searched
                },
            },
        },
    }


def as_text(schema: Schema) -> str:
    """Write a schema as the file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def _section(properties: Mapping[str, Schema], description: str) -> Schema:
    return {
        "description": description,
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": dict(properties),
    }


def _study(tree: Mapping[str, Any], description: str) -> Schema:
    inner = {
        name: _value(item) if isinstance(item, Key) else _study(item, f"Settings of the {name}.")
        for name, item in tree.items()
    }
    return _section(inner, description)


def _value(key: Key) -> Schema:
    """The values of a key, with what an editor shows beside them."""
    options: list[Schema] = [_numbers(key.numbers)] if key.numbers else []
    options += [{"enum": list(key.words)}] if key.words else []
    if key.text and key.text.pattern:
        options.append({"type": "string", "pattern": key.text.pattern})
    elif key.text:
        options.append({"type": "string", "minLength": 1})
    options += [{"type": "boolean"}] if key.boolean else []
    options += [{"type": "null"}] if key.nullable else []
    values = options[0] if len(options) == 1 else {"anyOf": options}
    return {"description": key.meaning, "default": key.default, **values}


def _numbers(numbers: Numbers) -> Schema:
    schema: Schema = {"type": "integer" if numbers.whole else "number"}
    if numbers.low is not None:
        schema["exclusiveMinimum" if numbers.above_low else "minimum"] = _exact(numbers.low)
    if numbers.high is not None:
        schema["exclusiveMaximum" if numbers.below_high else "maximum"] = _exact(numbers.high)
    return schema


def _exact(bound: float) -> int | float:
    return int(bound) if bound.is_integer() else bound


def _domain(key: Key) -> Schema:
    """The kinds of domain that fit a key."""
    kinds = ["choice"]
    if key.numbers is not None:
        kinds += ["int"] if key.numbers.whole else ["uniform", "loguniform", "int"]
    return {
        "description": f"{key.meaning} Takes {key.allowed()}.",
        "type": "object",
        "required": ["kind"],
        "anyOf": [_kind(key, kind) for kind in kinds],
    }


def _kind(key: Key, kind: str) -> Schema:
    properties: Schema = {"kind": {"const": kind}}
    for name, bound in domain_keys(kind).items():
        assert bound.numbers is not None
        numbers = bound.numbers
        if name not in COUNTS and key.numbers is not None:
            numbers = numbers.within(key.numbers)
        properties[name] = _numbers(numbers)
    needed = [name for name, bound in domain_keys(kind).items() if bound.required]
    if kind == "choice":
        needed = ["values"]
        properties["values"] = {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": _reference(key.path),
        }
    properties["when"] = _reference("when")
    return {
        "additionalProperties": False,
        "required": ["kind", *needed],
        "properties": properties,
    }
