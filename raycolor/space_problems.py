"""What can be wrong with a search space: one sentence each: path, value, what is allowed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from pydantic import ValidationError

from raycolor.config import TrialConfig, flattened
from raycolor.domains import (
    Choice,
    Domain,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    contains,
    cycle,
    edges,
    exists,
    grid_values,
    ordered,
)
from raycolor.space import Space, SpaceFile

MOST_PROBLEMS = 20
"""Combinations of settings that are reported at once; one wrong range can break thousands."""
_TAGS = {"uniform", "loguniform", "choice", "literal['auto']", "bool", "float", "int", "str"}
_TAGS |= {"constrained-float", "constrained-int"}
"""What pydantic puts into the place of a problem besides the path."""


def explain(error: ValidationError) -> Iterator[str]:
    """Turn pydantic's problems into one sentence each: dotted path, what came, what is allowed."""
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"] if str(part) not in _TAGS)
        text = problem["msg"].removeprefix("Value error, ")
        where = f"{path}: " if path else ""
        match problem["type"]:
            case "value_error":
                lines.update((f"{where}{line}", []) for line in text.splitlines())
            case "missing":
                lines[f"{where}is missing; add it"] = []
            case "extra_forbidden":
                lines[f"{where}there is no such key; remove it"] = []
            case _:
                lines.setdefault(f"{where}{problem['input']!r}: ", []).append(text)
    for line, texts in lines.items():
        # A value that fits none of several kinds is one problem; pydantic names it once a kind.
        kinds = [texts[0][0].lower() + texts[0][1:]] if texts else []
        kinds += [text.removeprefix("Input should be ") for text in texts[1:]]
        yield line + "; or ".join(kinds)


def known_paths() -> tuple[str, ...]:
    """Dotted paths of all settings of a trial."""
    return tuple(flattened(TrialConfig().model_dump(mode="json")))


def path_problems(file: SpaceFile) -> Iterator[str]:
    """Yield the paths that are no setting, or not one that may be fixed or searched."""
    known = set(known_paths())
    reserved = {"seed": "--seed", "pretraining.seed": "--seed"}
    for section, paths in (("fixed", file.fixed), ("search", file.search)):
        for path in paths:
            if path in reserved:
                yield f"{section}.{path}: seeds come from {reserved[path]}; remove it"
            elif path not in known:
                yield f"{section}.{path}: there is no such setting of a trial; see the README"
    for path in file.search:
        if path in {"budget.images", "budget.report_every"}:
            yield f"search.{path}: must be the same in all trials; set it under fixed"
    for path, domain in file.search.items():
        if path in file.fixed and not domain.when:
            yield f"search.{path}: also stands under fixed; remove one of the two"


def condition_problems(file: SpaceFile) -> Iterator[str]:
    """Yield the conditions that can never hold, or never be settled."""
    for path, domain in file.search.items():
        for other, values in domain.when.items():
            parent = file.search.get(other)
            if parent is None:
                yield f"search.{path}.when.{other}: is not searched; name a searched setting"
                continue
            possible = grid_values(parent)
            if possible is None:
                yield f"search.{path}.when.{other}: is a range; conditions need a choice or int"
                continue
            for value in values:
                if value not in possible:
                    yield (
                        f"search.{path}.when.{other}: {value!r} never comes; "
                        f"it takes {', '.join(repr(v) for v in possible)}"
                    )
    if not any(True for _ in cycle(file.search)):
        return
    yield f"search: the conditions of {', '.join(cycle(file.search))} form a circle; break it"


def space_problems(space: Space) -> Iterator[str]:
    """Yield what is wrong with a space as a whole: its rungs, its grid, its baseline."""
    yield from _rung_problems(space)
    yield from _grid_problems(space)
    yield from _baseline_problems(space)


def edge_problems(file: SpaceFile) -> Iterator[str]:
    """Build each value of a domain that can break a configuration, alone and in pairs."""
    space = Space(
        name="", study=file.study, fixed=file.fixed, search=ordered(file.search), baseline={}
    )
    seen: set[str] = set()
    for chosen in _samples(space.search):
        try:
            space.config(chosen)
        except ValidationError as error:
            for line in explain(error):
                if line not in seen:
                    seen.add(line)
                    section = "search" if line.split(":")[0] in file.search else "fixed"
                    yield f"{section}.{line}"
        if len(seen) >= MOST_PROBLEMS:
            yield "search: there are more such problems; mend these first"
            return


def _samples(search: Mapping[str, Domain]) -> Iterator[dict[str, Scalar]]:
    """Yield configurations in which each probe of each domain and each pair of probes occurs."""
    paths = list(search)
    yield _completed(search, {})
    for number, path in enumerate(paths):
        for value in _probes(search[path], most=4096):
            yield _completed(search, {path: value})
        for value in _probes(search[path], most=16):
            for other in paths[:number]:
                for second in _probes(search[other], most=16):
                    yield _completed(search, {path: value, other: second})


def _probes(domain: Domain, *, most: int) -> Sequence[Scalar]:
    """Return the values of a domain that can break a configuration.

    Args:
        domain: the domain.
        most: integers of a range that are listed; of a longer one the first two and the last,
            since what divides the first two divides all.
    """
    match domain:
        case Uniform() | LogUniform():
            # With one that is not whole, or a setting of whole numbers would pass with whole ends.
            between = math.floor((domain.low + domain.high) / 2) + 0.5
            whole = domain.low.is_integer() and domain.high.is_integer()
            return (domain.low, domain.high, *([between] if whole else ()))
        case Int():
            values = range(domain.low, domain.high + 1, domain.step)
            return values if len(values) <= most else (values[0], values[1], values[-1])
        case Choice():
            return domain.values
        case _:
            assert_never(domain)


def _completed(search: Mapping[str, Domain], wanted: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Complete some wanted values to a configuration in which they exist."""
    wanted = dict(wanted)
    for path in reversed(list(search)):
        if path in wanted:
            for parent, values in search[path].when.items():
                wanted.setdefault(parent, values[0])
    chosen: dict[str, Scalar] = {}
    for path, domain in search.items():
        if exists(domain, chosen):
            chosen[path] = wanted.get(path, edges(domain)[0])
    return chosen


def _rung_problems(space: Space) -> Iterator[str]:
    first = space.study.scheduler.first_rung
    if space.study.scheduler.kind == "none" or first is None:
        return
    budget = space.config(_completed(space.search, {})).budget
    every = budget.report_every
    if first % every:
        low = first // every * every
        nearest = f"{low} or {low + every}" if low else f"{every}"
        yield (
            f"study.scheduler.first_rung: {first} is no multiple of budget.report_every: {every}; "
            f"take {nearest}"
        )
    if first > budget.images:
        yield (
            f"study.scheduler.first_rung: {first} is beyond budget.images: {budget.images}; "
            "no trial would ever be compared"
        )


def _baseline_problems(space: Space) -> Iterator[str]:
    if not space.baseline:
        return
    if space.study.searcher.kind == "grid":
        yield "baseline: a grid has an order of its own; remove it"
    for path in space.baseline:
        if path not in space.search:
            yield f"baseline.{path}: is not searched; remove it"
    for path, domain in space.search.items():
        if exists(domain, space.baseline) and path not in space.baseline:
            yield f"baseline.{path}: is missing; name a value of every searched setting"
        elif path in space.baseline and not exists(domain, space.baseline):
            yield f"baseline.{path}: does not exist with the other values; remove it"
        elif path in space.baseline and not contains(domain, space.baseline[path]):
            text = domain.model_dump(mode="json", exclude={"when"})
            described = ", ".join(f"{key} {value}" for key, value in text.items())
            yield f"baseline.{path}: {space.baseline[path]!r} is not in its domain ({described})"


def _grid_problems(space: Space) -> Iterator[str]:
    if space.study.searcher.kind == "grid":
        for path, domain in space.search.items():
            if grid_values(domain) is None:
                yield f"search.{path}: a grid needs choices; {domain.kind} has no end of values"
