"""Search-space files: what a study varies, what it holds fixed, and how it is run.

    study:      the study's own settings (`StudySettings`)
    fixed:      dotted path of `TrialConfig`: value
    search:     dotted path of `TrialConfig`: domain, tagged by `kind`
    baseline:   value of each searched path in the first trial (optional)

Everything that is neither fixed nor searched has the default of `TrialConfig`. A domain with `when`
exists only where other searched settings have certain values. On load, each edge of each domain is
built as a `TrialConfig`, so a trial that cannot run is refused before Ray starts. This module
imports neither torch nor ray.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raycolor.config import TrialConfig, flattened, nested
from raycolor.errors import ConfigError

Scalar = bool | int | float | str | None
Conditions = dict[str, Annotated[list[Scalar], Field(min_length=1)]]
SearcherName = Literal["tpe", "random", "grid"]
SchedulerName = Literal["asha", "none"]
SHIPPED = Path(__file__).parent / "search_spaces"
AT_TOP_LEVEL = Path(__file__).parent.parent / "search_spaces"
MOST_PROBLEMS = 20
"""Combinations of settings that are reported at once; one wrong range can break thousands."""
_TAGS = {"uniform", "loguniform", "choice", "literal['auto']", "bool", "float", "int", "str"}
_TAGS |= {"constrained-float", "constrained-int"}
"""What pydantic puts into the place of a problem besides the path."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Domain(_Model):
    when: Conditions = {}
    """Searched settings and the values of them for which this one exists."""


class _Range(_Domain):
    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        if self.low >= self.high:  # type: ignore[attr-defined]  # the subclasses have both
            raise ValueError(
                f"low {self.low} is not below high {self.high}; swap them"  # type: ignore[attr-defined]
            )
        return self


class Uniform(_Range):
    """A real number, each equally likely."""

    kind: Literal["uniform"]
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]


class LogUniform(_Range):
    """A positive real number, each order of magnitude equally likely."""

    kind: Literal["loguniform"]
    low: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    high: Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
            raise ValueError(
                f"high {self.high} is not low {self.low} plus a multiple of step {self.step}; "
                f"take {high} or {high + self.step}"
            )
        return self


class Choice(_Domain):
    """One of some values."""

    kind: Literal["choice"]
    values: Annotated[list[Scalar], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "Choice":
        # By equality, as 1, 1.0 and true are one to all that compare values.
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"values {self.values} has a value twice; name each once")
        return self


Domain = Annotated[Uniform | LogUniform | Int | Choice, Field(discriminator="kind")]


class SearcherSettings(_Model):
    """How configurations are suggested."""

    kind: SearcherName = "tpe"
    """`tpe`: tree-structured Parzen estimator of Optuna (Bergstra et al. 2011), multivariate and
    grouped; `random`; `grid`: all combinations of choices and integers, one after another."""
    startup_trials: Annotated[int, Field(ge=1)] = 10
    """`tpe`: random trials before the model is used."""


class SchedulerSettings(_Model):
    """How trials are stopped early."""

    kind: SchedulerName = "asha"
    """`asha`: asynchronous successive halving (Li et al. 2020), the stopping kind; `none`."""
    first_rung: Annotated[int, Field(ge=1)] | None = None
    """Images at which trials are first compared, a multiple of budget.report_every; null takes one
    report."""
    reduction: Annotated[int, Field(ge=2, le=16)] = 3
    """About one in this many trials survives a rung; each rung is this many times the last."""


class ResourceSettings(_Model):
    """What one trial gets."""

    cpus: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Cores, and threads, of one trial; `auto` shares the machine's cores between the trials."""
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """GPUs of one trial: 0, a whole number, or 1/2, 1/3, 1/4 of one; `auto` is 1 where there are
    GPUs."""

    @model_validator(mode="after")
    def _whole_or_share(self) -> "ResourceSettings":
        if self.gpus != "auto" and self.gpus < 1:
            shares = (0.0, 1 / 2, 1 / 3, 1 / 4)
            if not any(abs(self.gpus - share) < 0.01 for share in shares):
                raise ValueError(f"gpus {self.gpus} is no share; take 0, 0.25, 0.33, 0.5 or 1")
        elif self.gpus != "auto" and self.gpus % 1:
            raise ValueError(f"gpus {self.gpus} is above 1 and not whole; take a whole number")
        return self


class StudySettings(_Model):
    """How a study is run."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Number of trials."""
    concurrent: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Trials at once; `auto`: one a GPU, or without GPUs one a core, at most 4."""
    searcher: SearcherSettings = SearcherSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    resources: ResourceSettings = ResourceSettings()


class SpaceFile(_Model):
    """A search-space file, before its domains are checked against `TrialConfig`."""

    study: StudySettings = StudySettings()
    fixed: dict[str, Scalar] = {}
    search: dict[str, Domain] = {}
    baseline: dict[str, Scalar] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A search space whose every trial can run."""

    name: str
    """The file's name without its ending."""
    study: StudySettings
    fixed: Mapping[str, Scalar]
    search: Mapping[str, Domain]
    """In an order in which every domain comes after those that its `when` names."""
    baseline: Mapping[str, Scalar]
    """The first trial's values: what is known to work, which the search has to beat. Empty for a
    first trial like the others."""

    def config(self, chosen: Mapping[str, Scalar], **seeds: int) -> TrialConfig:
        """Build the configuration of one trial.

        Args:
            chosen: value of each searched path that exists in it.
            seeds: `seed` and `pretraining_seed`.
        """
        values = {**self.fixed, **chosen}
        if "seed" in seeds:
            values["seed"] = seeds["seed"]
        if "pretraining_seed" in seeds:
            values["pretraining.seed"] = seeds["pretraining_seed"]
        return TrialConfig.model_validate(nested(values))

    def rungs(self) -> tuple[int, ...]:
        """Image counts at which trials are compared, ascending; the last is the whole budget.

        Exact integers, so that 243 with a reduction of 3 keeps its top rung.
        """
        if self.study.scheduler.kind == "none":
            return ()
        base = self.config(
            {path: edges(domain)[0] for path, domain in self.search.items() if not domain.when}
        )
        rung = self.study.scheduler.first_rung or base.budget.report_every
        rungs = []
        while rung <= base.budget.images:
            rungs.append(rung)
            rung *= self.study.scheduler.reduction
        return tuple(rungs)


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


def grid_values(domain: Domain) -> Sequence[Scalar] | None:
    """Return all values of a domain, or None if they cannot be listed."""
    match domain:
        case Uniform() | LogUniform():
            return None
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
            return number and domain.low <= float(str(value)) <= domain.high
        case Int():
            return value in range(domain.low, domain.high + 1, domain.step)
        case Choice():
            return value in domain.values
        case _:
            assert_never(domain)


def combinations(search: Mapping[str, Domain]) -> Iterator[dict[str, Scalar]]:
    """Yield all configurations of a grid, the last setting varying fastest."""
    if any(grid_values(domain) is None for domain in search.values()):
        raise ValueError("a grid has choices and integers only")  # refused when the file is read
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


# --- reading


def find_space(name: str) -> Path:
    """Find a search-space file: a path, or the name of one that ships with raycolor.

    Raises:
        ConfigError: neither is there.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = SHIPPED if SHIPPED.is_dir() else AT_TOP_LEVEL
    shipped = folder / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
    raise ConfigError(
        f"--space {name}: no such file, and no space of that name; shipped are: {names}"
    )


def load_space(path: Path, overrides: Mapping[str, Scalar] | None = None) -> Space:
    """Read and check a search-space file.

    Args:
        path: the file.
        overrides: dotted paths and values from `--set`: of `TrialConfig`, which fixes a setting
            and takes it out of the search, or of the study's settings, beginning with `study.`.

    Returns:
        The space; each of its configurations can run.

    Raises:
        ConfigError: all problems of the file, one a line.
    """
    tree = _read_yaml(path)
    try:
        file = SpaceFile.model_validate(_overridden(tree, overrides or {}))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error))) from error
    problems = list(_path_problems(file))
    known = set(known_paths())
    file = file.model_copy(
        update={
            "fixed": {path: value for path, value in file.fixed.items() if path in known},
            "search": {path: domain for path, domain in file.search.items() if path in known},
        }
    )
    conditions = list(_condition_problems(file))
    if conditions:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems + conditions))
    problems += list(_edge_problems(file))
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    space = Space(
        name=path.stem,
        study=file.study,
        fixed=file.fixed,
        search=_ordered(file.search),
        baseline=file.baseline,
    )
    problems = [*_rung_problems(space), *_grid_problems(space), *_baseline_problems(space)]
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return space


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        # YAML 1.2: `1e-5` is a number, `no` is text, and a key twice is an error.
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except YAMLError as error:
        text = " ".join(str(error).split("\n\nTo suppress")[0].split())
        raise ConfigError(f"{path}: no valid YAML: {text}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: holds {type(tree).__name__}, but a space file is a mapping with the keys "
            "study, fixed and search"
        )
    return tree


def _overridden(tree: Mapping[str, Any], overrides: Mapping[str, Scalar]) -> dict[str, Any]:
    result = dict(tree)
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


def _path_problems(file: SpaceFile) -> Iterator[str]:
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


def _condition_problems(file: SpaceFile) -> Iterator[str]:
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
    if not any(True for _ in _cycle(file.search)):
        return
    yield f"search: the conditions of {', '.join(_cycle(file.search))} form a circle; break it"


def _cycle(search: Mapping[str, Domain]) -> Iterable[str]:
    """Return the paths whose conditions can never be settled."""
    open_paths = {p: set(d.when) & set(search) for p, d in search.items()}
    while ready := [path for path, needs in open_paths.items() if not needs]:
        for path in ready:
            del open_paths[path]
        for needs in open_paths.values():
            needs.difference_update(ready)
    return open_paths


def _ordered(search: Mapping[str, Domain]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}
    while len(ordered) < len(search):
        for path, domain in search.items():
            if path not in ordered and all(parent in ordered for parent in domain.when):
                ordered[path] = domain
    return ordered


def _edge_problems(file: SpaceFile) -> Iterator[str]:
    """Build each value of a domain that can break a configuration, alone and in pairs."""
    space = Space(
        name="", study=file.study, fixed=file.fixed, search=_ordered(file.search), baseline={}
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
