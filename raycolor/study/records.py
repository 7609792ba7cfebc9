"""The records of a journal, and their lines of JSON.

Numbers that are not finite have no JSON: they are written as the strings `nan`, `inf`, `-inf`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from raycolor.spaces.domains import Scalar

FORMAT = 1
"""Version of the journal; a study of another version is refused."""

Action = Literal["go_on", "prune", "end"]
Ending = Literal["finished", "interrupted", "time_budget", "gpu_hours", "max_cost"]
Phase = Literal["search", "confirm"]
Cause = Literal["extension", "revival"]
FaultCause = Literal["memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A driver began to work on the study."""

    record: ClassVar[str] = "session"
    format: int
    time: float
    """Seconds since 1970, UTC, as in all records."""
    identity: dict[str, Any]
    plan: dict[str, Any]
    environment: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Ray has started: what each trial of the session gets."""

    record: ClassVar[str] = "resources"
    time: float
    cpus: int
    """Cores of one trial, which are its threads too."""
    gpus: float
    """GPUs of one trial; a share of one where it is not whole."""
    concurrent: int
    """Trials at once."""
    machines: int
    measured: bool = False
    """Whether a measurement decided it, as `tuning.packing` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Scores of `gray` and `truth` on the study's validation crops."""

    record: ClassVar[str] = "references"
    time: float
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A configuration was suggested: a trial exists."""

    record: ClassVar[str] = "ask"
    time: float
    number: int
    phase: Phase
    """`search`, or `confirm`: a configuration of the search again with other seeds."""
    seed: int
    chosen: dict[str, Scalar]
    """Value of each searched path that exists in it."""
    confirms: int | None = None
    """Number of the searched trial whose configuration it has; None in the search."""
    pretraining_seed: int | None = None
    """Of its own pretraining stage; None for the study's, which all trials of a search share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The study's answer to a report."""

    action: Action
    reason: str
    """One sentence for people."""
    rung: int | None = None
    """Image count of the rung that was decided at, or None between rungs."""
    value: float | None = None
    cutoff: float | None = None
    """Trials above it are pruned; None for the first at a rung."""
    standing: int | None = None
    """Number of trials that had reached the rung before."""
    guard: str | None = None
    """Name of the guard that ended the trial, if one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report of a trial, and the decision on it."""

    record: ClassVar[str] = "report"
    time: float
    number: int
    images_seen: int
    stage: str
    metrics: dict[str, float]
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A trial failed; it is taken up again unless this is final."""

    record: ClassVar[str] = "fault"
    time: float
    number: int
    images_seen: int
    text: str
    final: bool
    cause: FaultCause | None = None
    """`memory`: it ran out of GPU memory; the first time it is not final, and the trial runs alone
    on a whole GPU from then on. None for all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A trial that had ended is open again."""

    record: ClassVar[str] = "reopened"
    time: float
    number: int
    cause: Cause
    """`extension`: the budget grew, and it is among the best; `revival`: a person wished it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalScores:
    """The confirmed winner was scored on the test split, which nothing before has seen."""

    record: ClassVar[str] = "final_scores"
    time: float
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores by the number of the confirming trial, and of `gray` and `truth`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A driver stopped working on the study."""

    record: ClassVar[str] = "end"
    time: float
    reason: Ending


Record = Session | Resources | References | Ask | Reported | Fault | Reopened | FinalScores | End
_KINDS: dict[str, type[Record]] = {
    kind.record: kind
    for kind in (Session, Resources, References, Ask, Reported, Fault, Reopened, FinalScores, End)
}


class UnknownFormat(Exception):  # noqa: N818  (the journal turns it into an error for people)
    """A session of another version of the journal."""


def to_line(record: Record) -> str:
    """Write a record as one line of JSON."""
    return json.dumps(
        {"record": record.record, **_spelled(asdict(record))}, allow_nan=False, ensure_ascii=False
    )


def from_line(line: str) -> Record:
    """Read a record.

    Raises:
        UnknownFormat: another raycolor wrote it, with fields that only that one knows.
        ValueError: no record of a kind and shape that is known.
    """
    tree = json.loads(line)
    if not isinstance(tree, dict) or tree.get("record") not in _KINDS:
        raise ValueError(f"no record: {line[:80]!r}")
    kind = _KINDS[tree.pop("record")]
    if kind is Session and tree.get("format") != FORMAT:
        raise UnknownFormat(tree.get("format"))
    if missing := _needed(kind) - tree.keys():
        raise ValueError(f"record {kind.record!r} lacks {', '.join(sorted(missing))}")
    for name in ("scores", "chosen", "identity"):
        if not isinstance(tree.get(name, {}), dict):
            raise ValueError(f"no mapping: {name} {tree[name]!r}")
    if kind is Reported:
        tree["decision"] = Decision(**_numbers(tree["decision"]))
        tree["metrics"] = _numbers(tree["metrics"])
    elif kind is References or kind is FinalScores:
        tree["scores"] = {name: _numbers(scores) for name, scores in tree["scores"].items()}
    return kind(**tree)


def _needed(kind: type[Record]) -> set[str]:
    """Name the fields that a line must have; the others came with later versions."""
    return {
        item.name
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    }


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return value


def _numbers(tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise ValueError(f"no mapping: {tree!r}")
    return {
        key: float(value) if value in ("nan", "inf", "-inf") else value
        for key, value in tree.items()
    }
