"""Print the README's table of the settings of a trial, made from the models.

python tools/keys.py
"""

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raycolor.config import TrialConfig


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted path and the field of every setting."""
    for name, item in model.model_fields.items():
        if isinstance(item.annotation, type) and issubclass(item.annotation, BaseModel):
            yield from keys(item.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def allowed(item: FieldInfo) -> str:
    """Describe the values that a setting takes."""
    parts = get_args(item.annotation) if _is_union(item.annotation) else (item.annotation,)
    texts = []
    for part in parts:
        if part is type(None):
            texts.append("null")
        elif get_origin(part) is Literal:
            texts.extend(f"`{value}`" for value in get_args(part))
        else:
            base = get_args(part)[0] if hasattr(part, "__metadata__") else part
            bounds = [*item.metadata, *getattr(part, "__metadata__", ())]
            texts.append(f"{base.__name__}{_bounds(bounds)}")
    return ", ".join(texts)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (types.UnionType, Union)


def _bounds(metadata: list[Any]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    flat = [part for item in metadata for part in getattr(item, "metadata", [item])]
    found = [
        f"{sign} {getattr(part, name):g}"
        for part in flat
        for name, sign in signs.items()
        if getattr(part, name, None) is not None and getattr(part, name) < 2**62
    ]
    return f" {', '.join(found)}" if found else ""


def table() -> str:
    """The table in Markdown."""
    lines = ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    for path, item in keys(TrialConfig):
        default = "null" if item.default is None else str(item.default).lower()
        if isinstance(item.default, float):
            default = f"{item.default:g}"
        meaning = " ".join((item.description or "").split())
        lines.append(f"| `{path}` | {allowed(item)} | {default} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
