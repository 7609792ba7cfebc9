"""All keys of a space file: values, defaults and meaning, read from the models.

A trial's setting is named by its dotted path. A study's has `study.` before it.
"""

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raycolor.config import Text, TrialConfig
from raycolor.problems import as_yaml, listed, shown
from raycolor.spaces.domains import Choice, Int, LogUniform, Scalar, Uniform
from raycolor.spaces.space import StudySettings
from raycolor.spaces.spelling import nearest
from raycolor.spaces.yaml_text import parse_value

RESERVED = ("seed", "pretraining.seed")
"""Settings of a trial that the study gives."""
SHARED = (
    "budget.images",
    "budget.report_every",
    "evaluation.images",
    "evaluation.extractor",
    "evaluation.extractor_size",
    "evaluation.extractor_weights",
)
"""Settings that must be the same in all trials, or trials could not be compared."""
KINDS: Mapping[str, type[BaseModel]] = {
    "uniform": Uniform,
    "loguniform": LogUniform,
    "int": Int,
    "choice": Choice,
}
LISTS_ALL = "(python -m raycolor.search --keys lists all)"
_YES, _NO = frozenset({"yes", "on", "y"}), frozenset({"no", "off", "n"})
MOST_WORDS = 12
FIRST_WORDS = 4
"""A message lists as many words; of more it names only the first."""
COUNTS = ("points", "step")
"""Keys of domains that say how many values there are, and not which."""
NO_LIMIT = 2**62
"""A bound from here on guards 64-bit integers and is no rule that a reader has to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A range of numbers."""

    whole: bool
    low: float | None = None
    above_low: bool = False
    """The lower end itself is left out."""
    high: float | None = None
    below_high: bool = False

    def is_below(self, value: int | float) -> bool:
        """Tell whether a number is too small."""
        return self.low is not None and (value < self.low or (self.above_low and value == self.low))

    def is_above(self, value: int | float) -> bool:
        """Tell whether a number is too large."""
        return self.high is not None and (
            value > self.high or (self.below_high and value == self.high)
        )

    def within(self, other: "Numbers") -> "Numbers":
        """Return the numbers that lie in both ranges."""
        lows = [(r.low, r.above_low) for r in (self, other) if r.low is not None]
        highs = [(r.high, not r.below_high) for r in (self, other) if r.high is not None]
        low, above_low = max(lows, default=(None, False))
        high, with_high = min(highs, default=(None, True))
        return Numbers(
            whole=self.whole or other.whole,
            low=low,
            above_low=above_low,
            high=high,
            below_high=not with_high,
        )

    def described(self) -> str:
        """Name the range: `a whole number from 16 to 1024`."""
        noun = "a whole number" if self.whole else "a number"
        high = None if self.high is None or self.high >= NO_LIMIT else f"{self.high:.15g}"
        low = None if self.low is None else f"{self.low:.15g}"
        if low and high and not (self.above_low or self.below_high):
            return f"{noun} from {low} to {high}"
        ends = []
        if low:
            ends.append(f"{'above' if self.above_low else 'of at least'} {low}")
        if high:
            ends.append(f"{'below' if self.below_high else 'at most'} {high}")
        return " ".join([noun, " and ".join(ends)]).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: what it takes and what it means."""

    path: str
    numbers: Numbers | None
    words: tuple[str, ...]
    text: Text | None = None
    """What it takes beside words; None if it takes no text of one's own."""
    boolean: bool
    nullable: bool
    required: bool
    default: Any
    meaning: str

    def allowed(self, *, in_full: bool = False) -> str:
        """Name the values that it takes, to stand after `take`.

        Args:
            in_full: every word, however many there are.
        """
        texts = [self.numbers.described()] if self.numbers else []
        texts += ["true", "false"] if self.boolean else []
        many = len(self.words) > MOST_WORDS and not in_full
        texts += self.words[:FIRST_WORDS] if many else self.words
        texts += [f"{len(self.words) - FIRST_WORDS} others {LISTS_ALL}"] if many else []
        texts += [self.text.noun] if self.text else []
        text = listed(texts, last="or", most=len(texts))
        return f"{text}, or null" if self.nullable else text

    def some_values(self) -> list[Scalar]:
        """Return values to stand in an example of a choice."""
        words = self.words[:3] if len(self.words) > MOST_WORDS else self.words
        return [*words, *([True, False] if self.boolean else [])]

    def problem(self, value: Any) -> str | None:
        """Say what is wrong with a value, and what is allowed; None if nothing is."""
        take = f"take {self.allowed()}"
        match value:
            case None:
                return None if self.nullable else f"has no value; {take}"
            case bool():
                return None if self.boolean else f"{shown(value)} is not possible; {take}"
            case int() | float():
                said = self._number_problem(value)
                return said and f"{shown(value)} {said}; {take}"
            case str():
                return self._text_problem(value)
            case _:
                kind = "a mapping" if isinstance(value, dict) else "a list"
                return f"{shown(value)} is {kind}; {take}"

    def settled(self, value: Scalar) -> Scalar:
        """Return a value that has no problem as the trial will have it: 1e3 images are 1000."""
        whole = self.numbers is not None and self.numbers.whole
        return int(value) if whole and isinstance(value, float) else value

    def _number_problem(self, value: int | float) -> str | None:
        if self.numbers is None:
            return "is not possible"
        if math.isnan(value):
            return "is no number"
        if math.isinf(value):
            return "is infinite, or too large to be read"
        if self.numbers.is_below(value):
            return "is too small"
        if self.numbers.is_above(value):
            limited = self.numbers.high is not None and self.numbers.high < NO_LIMIT
            return "is too large" if limited else "is too large for 64 bits"
        if self.numbers.whole and isinstance(value, float) and not value.is_integer():
            return "is not whole"
        return None

    def _takes(self, value: str) -> bool:
        """Tell whether a text of one's own is possible."""
        if self.text is None or not value.strip():
            return False
        return self.text.takes is None or self.text.takes(value)

    def _text_problem(self, value: str) -> str | None:
        if value in self.words or self._takes(value):
            return None
        known = self.text.names() if self.text and self.text.names else ()
        if near := nearest(value, [*self.words, *sorted(known)]):
            many = len(self.words) > MOST_WORDS
            meant = listed(near, last="or") if many else near[0]
            return (
                f"{shown(value)} is not possible; did you mean {meant}? It takes {self.allowed()}"
            )
        if self.boolean and value.lower() in _YES | _NO:
            return f"{shown(value)} is text; write {as_yaml(value.lower() in _YES)}"
        plain = parse_value(value) if value.isprintable() and value.strip() else value
        if not isinstance(plain, str | list | dict) and self.problem(plain) is None:
            return f"{shown(value)} is text; write {value.strip()} without quotes"
        return (
            f"{shown(value)} is {'not possible' if self.words else 'text'}; take {self.allowed()}"
        )


@cache
def trial_keys() -> Mapping[str, Key]:
    """All settings of a trial, by their dotted paths."""
    return {key.path: key for key in _keys(TrialConfig, "")}


@cache
def study_keys() -> Mapping[str, Key]:
    """All settings of a study; the paths begin with `study.`."""
    return {key.path: key for key in _keys(StudySettings, "study.")}


@cache
def domain_keys(kind: str) -> Mapping[str, Key]:
    """The bounds and the like of one kind of domain, by their names; not `values` and `when`."""
    return {
        name: _key(name, item)
        for name, item in KINDS[kind].model_fields.items()
        if name not in ("kind", "values", "when")
    }


@cache
def groups() -> tuple[str, ...]:
    """Dotted paths that hold settings and are none: `optimizers`, `optimizers.generator`."""
    paths = [path.split(".") for path in trial_keys()]
    return tuple(
        dict.fromkeys(".".join(path[:end]) for path in paths for end in range(1, len(path)))
    )


def _keys(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, item in model.model_fields.items():
        if isinstance(item.annotation, type) and issubclass(item.annotation, BaseModel):
            yield from _keys(item.annotation, f"{prefix}{name}.")
        else:
            yield _key(f"{prefix}{name}", item)


def _key(path: str, item: FieldInfo) -> Key:
    parts = get_args(item.annotation) if _is_union(item.annotation) else (item.annotation,)
    numbers, boolean = None, False
    words: list[str] = []
    text: Text | None = None
    for part in parts:
        base, *metadata = get_args(part) if get_origin(part) is Annotated else (part,)
        if get_origin(base) is Literal:
            words += get_args(base)
        elif base is bool:
            boolean = True
        elif base in (int, float):
            numbers = _numbers([*item.metadata, *metadata], whole=base is int)
        elif base is str and (marks := [mark for mark in metadata if isinstance(mark, Text)]):
            (text,) = marks
        elif base is not type(None):
            raise TypeError(f"{path}: no rule says how {base} is checked and described")
    return Key(
        path=path,
        numbers=numbers,
        words=tuple(words),
        text=text,
        boolean=boolean,
        nullable=type(None) in parts,
        required=item.is_required(),
        default=None if item.is_required() else item.default,
        meaning=" ".join((item.description or "").split()),
    )


def _numbers(metadata: list[Any], *, whole: bool) -> Numbers:
    bounds: dict[str, Any] = {}
    for part in metadata:
        # A `Field` in an `Annotated` that is part of a union keeps its bounds one level down.
        for bound in getattr(part, "metadata", [part]):
            for name in ("ge", "gt", "le", "lt"):
                if (value := getattr(bound, name, None)) is not None:
                    bounds[name] = value
    ends = {name: float(value) for name, value in bounds.items()}
    return Numbers(
        whole=whole,
        low=ends.get("gt", ends.get("ge")),
        above_low="gt" in ends,
        high=ends.get("lt", ends.get("le")),
        below_high="lt" in ends,
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (types.UnionType, Union)
