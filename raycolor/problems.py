"""One thing that is wrong with a file or a flag: its place, and a sentence about it."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

MOST_CHARACTERS = 60
"""Of a value that is quoted in a message."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""Text that needs no quotes in YAML."""

Place = tuple[str, ...]
"""Keys from the top of the file, such as `("fixed", "data.size")`."""


def item_name(number: int) -> str:
    """Name an item of a list as part of a place."""
    return f"[{number}]"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    place: Place
    text: str
    """What came, what is allowed, what to do."""


@dataclass(slots=True)
class Shape:
    """What is wrong with the parts of a file, each by itself."""

    problems: list[Problem] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)
    """Settings of which nothing more can be said, since what the file says of them is not sound."""

    def note(self, place: Place, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(place, text))

    def unsettle(self, *paths: str) -> None:
        """Note settings of which nothing more can be said."""
        self.unsettled.update(paths)


def shown(value: object) -> str:
    """Write a value as a sentence quotes it, and shortly: text stands in quotes."""
    return _short(repr(value)) if isinstance(value, str) else as_yaml(value)


def as_yaml(value: object) -> str:
    """Write a value as a space file has it, and shortly."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if math.isnan(value):
            return ".nan"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        case float():
            return f"{value:.6g}"
        case int():
            return _short(str(value) if abs(value) < 10**MOST_CHARACTERS else f"{value:#x}")
        case str():
            plain = _PLAIN.fullmatch(value) and value.lower() not in ("true", "false", "null")
            return _short(value if plain else repr(value))
        case Mapping():
            some = islice(value.items(), MOST_CHARACTERS)
            items = [f"{written(str(key))}: {as_yaml(item)}" for key, item in some]
            return _short("{" + ", ".join(items) + "}")
        case Sequence():
            items = [as_yaml(item) for item in islice(value, MOST_CHARACTERS)]
            return _short("[" + ", ".join(items) + "]")
        case _:
            return _short(repr(value))


def kind_of(value: object) -> str:
    """Name what a file holds in a place: `a list`."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"the text {shown(value)}"
        case _:
            return f"the value {shown(value)}"


def written(name: str) -> str:
    """Write a key or a word as it is, but escape what would garble a terminal or a line."""
    return _short(name if name.isprintable() and name else repr(name))


def listed(values: Iterable[object], *, last: str = "and", most: int = 12) -> str:
    """Join names or values to `a, b and c`; of more than `most` only the first are named."""
    texts = [value if isinstance(value, str) else shown(value) for value in values]
    if len(texts) > most:
        return f"{', '.join(texts[:most])} {last} others"
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
