"""Search-space files: what a study varies, what it holds fixed, and how it is run.

    study:      the study's own settings (`StudySettings`)
    fixed:      dotted path of `TrialConfig`: value
    search:     dotted path of `TrialConfig`: domain, tagged by `kind`
    baseline:   value of each searched path in the first trial (optional)

Everything that is neither fixed nor searched has the default of `TrialConfig`. A domain with
`when` exists only where other searched settings have certain values. A file is checked in three
steps: `yaml_text` reads it, `shape` looks at each part by itself, `clashes` at the
whole; what the second finds does not hide what the third does. This module imports neither torch
nor ray.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from raycolor.errors import ConfigError
from raycolor.problems import Problem, Shape, shown, written
from raycolor.spaces.clashes import condition_problems, space_problems
from raycolor.spaces.domains import Domain, Scalar, cycle, ordered
from raycolor.spaces.overrides import overridden
from raycolor.spaces.shape import check_shape
from raycolor.spaces.space import Space, SpaceFile
from raycolor.spaces.spelling import nearest
from raycolor.spaces.yaml_text import YamlText, read_yaml

SHIPPED = Path(__file__).parent.parent / "search_spaces"
AT_TOP_LEVEL = Path(__file__).parent.parent.parent / "search_spaces"
MOST_PROBLEMS = 40
"""That are told at once."""


def find_space(name: str) -> Path:
    """Find a search-space file: a path, or the name of one that ships with raycolor.

    Raises:
        ConfigError: neither is there.
    """
    path = Path(name)
    folder = SHIPPED if SHIPPED.is_dir() else AT_TOP_LEVEL
    shipped = folder / f"{name}.yaml"
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if name in names:
        return path if path.is_file() else shipped
    try:
        if path.is_file():
            return path
        if path.is_dir():
            inside = [str(file) for file in sorted(path.glob("*.y*ml"))]
            example = f", such as {inside[0]}" if inside else ""
            raise ConfigError(f"--space {name}: is a folder; name a file in it{example}")
        if path.exists():
            raise ConfigError(f"--space {name}: is no regular file; name one")
        beside = sorted(path.parent.glob("*.y*ml")) if path.suffix else []
    except OSError as error:
        raise ConfigError(f"--space {written(name)}: {error.strerror}") from error
    near = nearest(name, [*names, *map(str, beside)])
    meant = f"did you mean {near[0]}?" if near else f"shipped are: {', '.join(names)}"
    raise ConfigError(f"--space {written(name)}: no such file, and no space of that name; {meant}")


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
    text = read_yaml(path)
    file, shape = check_shape(overridden(text.tree, overrides or {}))
    for place, first in text.twice.items():
        shape.note(place, f"stands in line {first} already; keep one of the two")
        shape.unsettle(*place[1:2])
    search = _settled_search(file, shape)
    space = Space(
        name=path.stem,
        study=file.study,
        fixed=file.fixed,
        search=search,
        baseline=file.baseline,
    )
    problems = [*shape.problems, *space_problems(space, frozenset(shape.unsettled))]
    if problems:
        raise ConfigError("\n".join(_told(problems, path, text, overrides or {})))
    return space


def _settled_search(file: SpaceFile, shape: Shape) -> dict[str, Domain]:
    """Return the domains whose conditions can be settled, in an order in which they are."""
    kept = dict(file.search)
    for path, problem in condition_problems(file.search, frozenset(shape.unsettled)):
        shape.problems.append(problem)
        kept.pop(path, None)
        shape.unsettle(path)
    for path, domain in file.search.items():
        if path in file.fixed and not domain.when:
            shape.note(("search", path), "also stands under fixed; remove one of the two")
    for path in cycle(kept):
        del kept[path]
    while waiting := [
        path for path, domain in kept.items() if not domain.when.keys() <= kept.keys()
    ]:
        for path in waiting:
            del kept[path]
    shape.unsettle(*(file.search.keys() - kept.keys()))
    return ordered(kept)


def _told(
    problems: Iterable[Problem], path: Path, text: YamlText, overrides: Mapping[str, Scalar]
) -> list[str]:
    """Write problems as lines, in the order of the file; those of flags come first."""
    lines: dict[str, int] = {}
    for problem in problems:
        flag = _flag(problem, overrides)
        line = text.line(problem.place) if flag is None else 0
        where = f"{path}:{line}" if line else str(path)
        names = ".".join(written(name) for name in problem.place if name[:1] != "[")
        said = f"{flag}: {problem.text}"
        if flag is None:
            said = f"{where}: {names}: {problem.text}" if names else f"{where}: {problem.text}"
        lines.setdefault(said, len(text.lines) + 1 if line is None else line)
    told = sorted(lines, key=lambda line: lines[line])
    if len(told) > MOST_PROBLEMS:
        more = len(told) - MOST_PROBLEMS
        told = [
            *told[:MOST_PROBLEMS],
            f"{path}: there are {more:,} more problems; mend these first",
        ]
    return told


def _flag(problem: Problem, overrides: Mapping[str, Scalar]) -> str | None:
    """Return the flag that a problem comes from, if it comes from one."""
    section, *below = problem.place or ("",)
    for path, value in overrides.items():
        place = path.split(".")[1:] if path.startswith("study.") else [path]
        of_flag = "study" if path.startswith("study.") else "fixed"
        if section == of_flag and below[: len(place)] == place:
            return f"--set {written(path)}={_as_given(value)}"
    return None


def _as_given(value: Scalar) -> str:
    return written(value) if isinstance(value, str) else shown(value)
