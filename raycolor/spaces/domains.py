"""Domains: the values that one searched setting can take.

A domain with `when` exists only where other searched settings have certain values.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raycolor.problems import shown

Scalar = bool | int | float | str | None
Conditions = dict[str, Annotated[list[Scalar], Field(min_length=1)]]


DIGITS = 4
"""Significant digits of the points between the ends, so that they can be written down."""
Points = Annotated[int, Field(ge=2, le=1000)] | None
"""How many values of a range there are, ends included; None for all."""


class FileModel(BaseModel):
    """Part of a search-space file: unknown keys are refused, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Domain(FileModel):
    when: Conditions = {}
    """Searched settings and the values of them for which this one exists."""


class _Range(_Domain):
    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        low: float = self.low  # type: ignore[attr-defined]  # the subclasses have both
        high: float = self.high  # type: ignore[attr-defined]
        if low == high:
            raise ValueError(f"low and high are both {shown(low)}; set that value under fixed")
        if low > high:
            raise ValueError(f"low {shown(low)} is above high {shown(high)}; swap them")
        return self


class _Real(_Range):
    @model_validator(mode="after")
    def _told_apart(self) -> "_Real":
        points: int | None = self.points  # type: ignore[attr-defined]  # the subclasses have it
        if points is not None:
            values = point_values(self)  # type: ignore[arg-type]  # a domain with points
            if any(lower >= higher for lower, higher in pairwise(values)):
                raise ValueError(
                    f"points {points} are so many between low {shown(self.low)} and high "  # type: ignore[attr-defined]
                    f"{shown(self.high)} that {DIGITS} digits do not tell them apart; take fewer"  # type: ignore[attr-defined]
                )
        return self


class Uniform(_Real):
    """A real number, each equally likely; with `points`, one of so many evenly spaced numbers."""

    kind: Literal["uniform"]
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    points: Points = None


class LogUniform(_Real):
    """A positive real number, each order of magnitude equally likely.

    With `points`, one of so many numbers, each the same times the last.
    """

    kind: Literal["loguniform"]
    low: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    high: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    points: Points = None


class Int(_Range):
    """An integer from low to high, both included, in steps."""

    kind: Literal["int"]
    low: int
    high: int
    step: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _divides(self) -> "Int":
        if (self.high - self.low) % self.step:
            high = self.low + (self.high - self.low) // self.step * self.step
            nearest = [f"{high}"] if high > self.low else []
            raise ValueError(
                f"high {self.high} is not low {self.low} plus a multiple of step {self.step}; "
                f"take {' or '.join([*nearest, f'{high + self.step}'])} for high"
            )
        return self


class Choice(_Domain):
    """One of some values."""

    kind: Literal["choice"]
    values: Annotated[list[Scalar], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "Choice":
        # By equality, as 1, 1.0 and true are one to all that compare values.
        seen: set[Scalar] = set()
        for value in self.values:
            if value in seen:
                raise ValueError(f"values has {shown(value)} twice; name each once")
            seen.add(value)
        return self


Domain = Annotated[Uniform | LogUniform | Int | Choice, Field(discriminator="kind")]


def exists(domain: Domain, chosen: Mapping[str, Scalar]) -> bool:
    """Tell whether a domain exists, given the values chosen before it."""
    return all(path in chosen and chosen[path] in values for path, values in domain.when.items())


def edges(domain: Domain) -> Sequence[Scalar]:
    """Return the ends of a range, or all choices."""
    match domain:
        case Uniform() | LogUniform() | Int():
            return (domain.low, domain.high)
        case Choice():
            return domain.values
        case _:
            assert_never(domain)


def point_values(domain: Uniform | LogUniform) -> list[float]:
    """List the points of a range, ascending: its ends as they are, the others of few digits."""
    low, high, points = domain.low, domain.high, domain.points
    assert points is not None
    if domain.kind == "loguniform":
        inner = [low * (high / low) ** (i / (points - 1)) for i in range(1, points - 1)]
    else:
        inner = [low + (high - low) * (i / (points - 1)) for i in range(1, points - 1)]
    return [low, *(float(f"{value:.{DIGITS}g}") for value in inner), high]


def grid_values(domain: Domain) -> Sequence[Scalar] | None:
    """Return all values of a domain, or None if they cannot be listed."""
    match domain:
        case Uniform() | LogUniform():
            return None if domain.points is None else point_values(domain)
        case Int():
            return range(domain.low, domain.high + 1, domain.step)
        case Choice():
            return domain.values
        case _:
            assert_never(domain)


def contains(domain: Domain, value: Scalar) -> bool:
    """Tell whether a domain has a value."""
    match domain:
        case Uniform() | LogUniform():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if domain.points is not None:
                return number and value in point_values(domain)
            return number and domain.low <= float(str(value)) <= domain.high
        case Int():
            if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
                return False  # a range would be searched from end to end for it
            return int(value) in range(domain.low, domain.high + 1, domain.step)
        case Choice():
            return value in domain.values
        case _:
            assert_never(domain)


def combinations(search: Mapping[str, Domain]) -> Iterator[dict[str, Scalar]]:
    """Yield all configurations of a grid, the last setting varying fastest."""
    if any(grid_values(domain) is None for domain in search.values()):
        raise ValueError("a grid has listed values only")  # refused when the file is read
    paths = list(search)

    def extend(chosen: dict[str, Scalar], number: int) -> Iterator[dict[str, Scalar]]:
        if number == len(paths):
            yield chosen
            return
        path = paths[number]
        if not exists(search[path], chosen):
            yield from extend(chosen, number + 1)
            return
        for value in grid_values(search[path]) or ():
            yield from extend({**chosen, path: value}, number + 1)

    yield from extend({}, 0)


def cycle(search: Mapping[str, Domain]) -> Iterable[str]:
    """Return the paths whose conditions can never be settled."""
    open_paths = {p: set(d.when) & set(search) for p, d in search.items()}
    while ready := [path for path, needs in open_paths.items() if not needs]:
        for path in ready:
            del open_paths[path]
        for needs in open_paths.values():
            needs.difference_update(ready)
    return open_paths


def ordered(search: Mapping[str, Domain]) -> dict[str, Domain]:
    """Put every domain after those that its `when` names; there must be no `cycle`."""
    result: dict[str, Domain] = {}
    while len(result) < len(search):
        for path, domain in search.items():
            if path not in result and all(parent in result for parent in domain.when):
                result[path] = domain
    return result
