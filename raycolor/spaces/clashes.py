"""What can be wrong with a space as a whole: conditions, combinations, rungs, grid, baseline.

Shapes and single values have been checked before, by `raycolor.spaces.shape`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from raycolor.config import BATCH, BUDGET, FROZEN, PRETRAINING, REPORT, SIZE, Clash, multiples
from raycolor.problems import Problem, as_yaml, item_name, listed, shown
from raycolor.spaces.domains import (
    Choice,
    Domain,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    contains,
    cycle,
    exists,
    grid_values,
    point_values,
)
from raycolor.spaces.samples import (
    can_exist,
    common_multiple,
    fitting_sizes,
    found_clashes,
    possible_values,
)
from raycolor.spaces.space import Space

MOST_REPORTS = 100_000
"""Of a run in which the nearest interval that divides it is searched for."""
MOST_CLASHES = 200
"""Clashes that are gathered; one wrong range can break thousands of configurations."""


def condition_problems(
    search: Mapping[str, Domain], unsettled: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Problem]]:
    """Yield the searched path whose condition can never hold, or never be settled, and why.

    Args:
        search: the domains, in any order.
        unsettled: paths of which nothing can be said, since they have problems of their own.
    """
    for path, domain in search.items():
        for other, values in domain.when.items():
            place = ("search", path, "when", other)
            parent = search.get(other)
            if other == path:
                yield path, Problem(place, "is the setting itself; name another one, or remove it")
            elif parent is None:
                if other not in unsettled:
                    text = "is not searched, so it never changes; search it too, or remove it here"
                    yield path, Problem(place, text)
            elif grid_values(parent) is None:
                text = f"is a range ({parent.kind}); a condition needs a choice or an int"
                yield path, Problem(place, text)
            else:
                for number, value in enumerate(values):
                    if not contains(parent, value):
                        text = f"{shown(value)} never comes; it takes {_values(parent)}"
                        yield path, Problem((*place, item_name(number)), text)
    circle = list(cycle({p: d for p, d in search.items() if p not in d.when}))
    while outer := [p for p in circle if not any(p in search[q].when for q in circle)]:
        # It waits for the circle, but nothing in the circle waits for it.
        circle = [path for path in circle if path not in outer]
    if circle:
        text = f"the conditions of {listed(circle)} form a circle; take one of them away"
        yield circle[0], Problem(("search", circle[0], "when"), text)


def space_problems(space: Space, unsettled: frozenset[str] = frozenset()) -> Iterator[Problem]:
    """Yield what is wrong with a space as a whole.

    Args:
        space: with a sound order of domains.
        unsettled: paths of which nothing can be said, since they have problems of their own.
    """
    for path in space.search:
        if not can_exist(space.search, path):
            yield Problem(
                ("search", path, "when"),
                "its conditions exclude each other, so it never exists; take one away",
            )
    yield from _clash_problems(space, unsettled)
    if not unsettled & {BUDGET, REPORT}:
        yield from _rung_problems(space)
    yield from _grid_problems(space)
    yield from _baseline_problems(space, unsettled)


def _clash_problems(space: Space, unsettled: frozenset[str]) -> Iterator[Problem]:
    found = list(islice(found_clashes(space), MOST_CLASHES))
    by_rule: dict[tuple[str, Scalar, bool], list[Clash]] = {}
    for clash in found:
        if not any(path in str(clash) for path in unsettled):
            # Of a range of sizes one problem says enough: its remedy names all that fit.
            whole = clash.path == SIZE and isinstance(space.search.get(SIZE), Int)
            key = (clash.path, None if whole else clash.value, clash.divisor is not None)
            by_rule.setdefault(key, []).append(clash)
    for (path, _, by_batch), group in by_rule.items():
        clash = group[0]
        given = clash.value
        number = given if isinstance(given, int) else 0
        if by_batch:
            divisors = sorted({clash.divisor for clash in group if clash.divisor})
            clash = replace(
                clash,
                reason=f"is no multiple of {BATCH}: {listed(divisors, last='or', most=6)}",
                remedy=_length_remedy(space, path, number),
            )
        elif path == BUDGET:
            clash = replace(clash, remedy=_length_remedy(space, path, number))
        elif path == SIZE:
            clash = replace(clash, remedy=_size_remedy(space, number))
        section = "search" if path in space.search else "fixed"
        named = path in space.search or path in space.fixed
        what = shown(given) if named else f"{shown(given)}, the default,"
        yield Problem((section, path), f"{what} {clash.reason}; {clash.remedy}")


def _length_remedy(space: Space, path: str, length: Scalar) -> str:
    """Name the nearest lengths that all batch sizes of the space divide."""
    assert isinstance(length, int)
    batches = [value for value in possible_values(space, BATCH) if isinstance(value, int)]
    step = common_multiple(batches, most=max(2 * length, *batches))
    if step is None:
        return (
            "no near length is a multiple of all of them; search fewer batch sizes, such as "
            "16, 32 and 64"
        )
    (every,), (images,) = possible_values(space, REPORT), possible_values(space, BUDGET)
    assert isinstance(every, int)
    assert isinstance(images, int)
    if path == BUDGET and every % step == 0:
        step = every
    near = multiples(length, step, lowest=0 if path in (PRETRAINING, FROZEN) else 1)
    if path == REPORT and images % step == 0 and images // step <= MOST_REPORTS:
        # Reports must divide the run too.
        fitting = [step * n for n in range(1, images // step + 1) if images // step % n == 0]
        below, above = [n for n in fitting if n < length], [n for n in fitting if n > length]
        near = listed([*below[-1:], *above[:1]], last="or")
    of_all = f", multiples of {listed(sorted(batches), most=6)}"
    return f"take {near}{of_all if len(batches) > 1 else ''}"


def _size_remedy(space: Space, size: Scalar) -> str:
    """Name the nearest sizes that all networks of the space take."""
    assert isinstance(size, int)
    sizes = fitting_sizes(space)
    below = [fitting for fitting in sizes if fitting < size][-1:]
    above = [fitting for fitting in sizes if fitting > size][:1]
    if not (below or above):
        return "no size fits all networks of this space; take another depth or fewer downs"
    domain = space.search.get(SIZE)
    if isinstance(domain, Int):
        inside = [fitting for fitting in sizes if contains(domain, fitting)]
        if inside:
            return f"write {{kind: choice, values: {as_yaml(inside)}}}"
    return f"take {listed([*below, *above], last='or')}"


def _rung_problems(space: Space) -> Iterator[Problem]:
    first = space.study.scheduler.first_rung
    if space.study.scheduler.kind == "none" or first is None:
        return
    place = ("study", "scheduler", "first_rung")
    (every,), (images,) = possible_values(space, REPORT), possible_values(space, BUDGET)
    assert isinstance(every, int)
    assert isinstance(images, int)
    if first > images:
        yield Problem(
            place,
            f"{first} is beyond the run ({BUDGET}: {images}), so no trial would ever be compared; "
            f"take at most {max(images // every, 1) * every}",
        )
    elif first % every:
        text = f"{first} is no multiple of {REPORT}: {every}; take {multiples(first, every)}"
        yield Problem(place, text)


def _grid_problems(space: Space) -> Iterator[Problem]:
    if space.study.searcher.kind != "grid":
        return
    for path, domain in space.search.items():
        if grid_values(domain) is None:
            yield Problem(
                ("search", path),
                f"a grid cannot go through a range ({domain.kind}); list values: {{kind: choice, "
                "values: [...]}, or take another study.searcher.kind",
            )


def _baseline_problems(space: Space, unsettled: frozenset[str]) -> Iterator[Problem]:
    if not space.baseline:
        return
    if space.study.searcher.kind == "grid":
        yield Problem(("baseline",), "a grid has an order of its own; remove the baseline")
        return
    for path, value in space.baseline.items():
        place = ("baseline", path)
        domain = space.search.get(path)
        if path in unsettled:
            continue
        if domain is None:
            yield Problem(place, "is not searched; set it under fixed, and remove it here")
        elif not exists(domain, space.baseline):
            if not unsettled.intersection(domain.when):
                conditions = listed(
                    [f"{p} is {listed(v, last='or')}" for p, v in domain.when.items()]
                )
                yield Problem(place, f"exists only where {conditions}; remove it")
        elif not contains(domain, value):
            yield Problem(place, f"{shown(value)} is not searched; take {_values(domain)}")
    for path, domain in space.search.items():
        if path in unsettled or path in space.baseline:
            continue
        if exists(domain, space.baseline):
            yield Problem(
                ("baseline", path),
                f"is missing, and the first trial needs it; take {_values(domain)}",
            )


def _values(domain: Domain) -> str:
    """Name the values of a domain, to stand after `take`."""
    match domain:
        case Choice():
            return listed(domain.values, last="or")
        case Int() if domain.step > 1:
            return f"a whole number from {domain.low} to {domain.high} in steps of {domain.step}"
        case Int():
            return f"a whole number from {domain.low} to {domain.high}"
        case Uniform() | LogUniform() if domain.points is not None:
            return listed(point_values(domain), last="or")
        case _:
            return f"a number from {shown(domain.low)} to {shown(domain.high)}"
