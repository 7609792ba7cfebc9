"""The configurations of a space that matter for whether all of them can run.

A space has endlessly many configurations. The bounds of single settings are checked on the domains
themselves; settings that clash do so in pairs, or within the few groups that `INTERACTING` names,
of which all combinations are built.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from pydantic import ValidationError

from raycolor.backbones import ENCODERS
from raycolor.config import (
    ADVERSARIAL,
    BACKBONE,
    BATCH,
    BUDGET,
    ENOUGH,
    FROZEN,
    LOSS_KIND,
    PREDICTS,
    PRETRAINING,
    REPORT,
    SIZE,
    SMOOTHING,
    WEIGHTS,
    Clash,
    ClashError,
    TrialConfig,
    flattened,
    network_clashes,
)
from raycolor.spaces.domains import (
    Choice,
    Domain,
    LogUniform,
    Scalar,
    Uniform,
    combinations,
    contains,
    edges,
    exists,
    grid_values,
)
from raycolor.spaces.space import Space

GENERATOR = (SIZE, "generator.kind", "generator.backbone", "generator.depth", BATCH)
DISCRIMINATOR = (SIZE, "discriminator.kind", "discriminator.downs", LOSS_KIND)
INTERACTING = (
    GENERATOR,
    DISCRIMINATOR,
    (BATCH, PRETRAINING),
    (BATCH, FROZEN),
    ("generator.kind", BACKBONE, WEIGHTS),
    (ADVERSARIAL, "discriminator.kind", "discriminator.norm", LOSS_KIND),
    (ADVERSARIAL, SMOOTHING, LOSS_KIND),
    (ADVERSARIAL, ENOUGH, LOSS_KIND),
)
"""Settings that can clash three and more at a time; `raycolor.config.clashes` has the rules."""
SPACED = (SIZE, PRETRAINING, FROZEN)
"""Integers that must be multiples: what divides the first two of a range divides all of it."""
MOST_LISTED = 4096
"""Values of a range of integers that are all tried; there are no more batch sizes."""
MOST_COMBINATIONS = 50_000
SIZES = range(16, 1025, 4)
"""Sizes that some network takes."""


def found_clashes(space: Space) -> Iterator[Clash]:
    """Yield what clashes in any configuration of a space, the same thing once."""
    seen: set[Clash] = set()
    for chosen in samples(space.search):
        try:
            space.config(chosen)
        except ValidationError as error:
            for clash in _clashes_in(error):
                if clash not in seen:
                    seen.add(clash)
                    yield clash


def possible_values(space: Space, path: str) -> list[Scalar]:
    """List the values that trials of a space take for a setting; of a long range a few."""
    domain = space.search.get(path)
    values = [] if domain is None else list(_probes(path, domain))
    if domain is None or domain.when:
        fixed = space.fixed.get(path, flattened(TrialConfig().model_dump(mode="json"))[path])
        values += [] if fixed in values else [fixed]
    return values


def fitting_sizes(space: Space) -> list[int]:
    """List the values of `data.size` that all networks of a space take, ascending."""
    networks: dict[tuple[object, ...], TrialConfig] = {}
    for chosen in samples(space.search):
        values = {**space.fixed, **chosen}
        network = tuple(values.get(path) for path in (*GENERATOR[1:], *DISCRIMINATOR[1:]))
        if network not in networks:
            # The largest size, the shortest lengths and the first loss clash with nothing.
            batch = values.get(BATCH, TrialConfig().budget.batch_size)
            calm = {SIZE: SIZES[-1], BUDGET: batch, REPORT: batch, PRETRAINING: 0, FROZEN: 0}
            calm |= {ADVERSARIAL: "vanilla", SMOOTHING: 0, PREDICTS: "ab"}
            networks[network] = space.config({**chosen, **calm})
    return [size for size in SIZES if all(_takes(config, size) for config in networks.values())]


def possible_weights(space: Space) -> list[tuple[str, str]]:
    """List the encoders of a space, each with each kind of weights that it can start with."""
    found: dict[tuple[str, str], None] = {}
    wanted = [path for path in (BACKBONE, WEIGHTS) if path in space.search]
    for chosen in _joint(space.search, wanted):
        values = {**space.fixed, **completed(space.search, chosen)}
        generator = TrialConfig().generator
        backbone = str(values.get(BACKBONE, generator.backbone))
        weights = str(values.get(WEIGHTS, generator.weights))
        if backbone in ENCODERS and weights != "none":
            found[backbone, weights] = None
    return list(found)


def samples(search: Mapping[str, Domain]) -> Iterator[dict[str, Scalar]]:
    """Yield configurations in which each probe of each domain and each pair of probes occurs.

    Args:
        search: the domains, in an order in which every one comes after those that its `when` names.
    """
    paths = list(search)
    yield completed(search, {})
    for number, path in enumerate(paths):
        for value in _probes(path, search[path]):
            yield completed(search, {path: value})
        for value in _probes(path, search[path])[:16]:
            for other in paths[:number]:
                for second in _probes(other, search[other])[:16]:
                    yield completed(search, {path: value, other: second})
    for group in INTERACTING:
        wanted = [path for path in group if path in search]
        if len(wanted) > 1:
            for chosen in _joint(search, wanted):
                yield completed(search, chosen)


def can_exist(search: Mapping[str, Domain], path: str) -> bool:
    """Tell whether the conditions of a domain can hold together."""
    return any(path in chosen for chosen in _joint(search, [path]))


def completed(search: Mapping[str, Domain], wanted: Mapping[str, Scalar]) -> dict[str, Scalar]:
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


def _joint(search: Mapping[str, Domain], wanted: Sequence[str]) -> Iterator[dict[str, Scalar]]:
    """Yield all combinations of the probes of some domains and of those that they depend on."""
    needed = set(wanted)
    for path in reversed(list(search)):
        if path in needed:
            needed.update(search[path].when)
    thinned: dict[str, Domain] = {}
    for path in search:
        if path in needed:
            domain = search[path]
            values = _probes(path, domain) if path in wanted else _telling(search, path)
            if path == BATCH and SIZE in wanted:
                # Beside the networks it only matters whether it is 1.
                values = sorted(values, key=lambda value: value != 1)[:2]
            thinned[path] = Choice(kind="choice", values=list(values), when=domain.when)
    return islice(combinations(thinned), MOST_COMBINATIONS)


def _telling(search: Mapping[str, Domain], path: str) -> list[Scalar]:
    """Return the values of a domain that conditions name, and one that none names."""
    named = [value for domain in search.values() for value in domain.when.get(path, ())]
    values = grid_values(search[path]) or ()
    others = [value for value in islice(values, len(named) + 1) if value not in named]
    return [*dict.fromkeys(v for v in named if contains(search[path], v)), *others[:1]]


def _probes(path: str, domain: Domain) -> Sequence[Scalar]:
    """Return the values of a domain that can clash with other settings."""
    values = grid_values(domain)
    if values is None or isinstance(domain, Uniform | LogUniform):
        return edges(domain)
    if len(values) <= 3:
        return list(values)
    if isinstance(values, range) and (path in SPACED or len(values) > MOST_LISTED):
        return [values[0], values[1], values[-1]]
    return list(values)


def _takes(config: TrialConfig, size: int) -> bool:
    data = config.data.model_copy(update={"size": size})
    return not any(True for _ in network_clashes(config.model_copy(update={"data": data})))


def _clashes_in(error: ValidationError) -> Iterator[Clash]:
    for problem in error.errors():
        found = problem.get("ctx", {}).get("error")
        if isinstance(found, ClashError):
            yield from found.found
        else:
            path = ".".join(str(part) for part in problem["loc"])
            said = problem["msg"].removeprefix("Value error, ")
            yield Clash(path, problem["input"], f"does not fit: {said}", "take another value")


def common_multiple(values: Sequence[int], most: int) -> int | None:
    """Return the least common multiple, or None if it is above `most`."""
    result = 1
    for value in values:
        result = math.lcm(result, value)
        if result > most:
            return None
    return result
