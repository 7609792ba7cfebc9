"""The leaderboard: one row a trial, best first, with the grey pictures as a reference row."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raycolor.files import write_text
from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState

GRAY = "gray"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the leaderboard."""

    rank: int | None
    """1 for the best; None for reference rows and trials without a value."""
    number: int | None
    """The trial's; None for reference rows."""
    trial: str
    status: str
    """`completed`, `pruned`, `failed`, `open` (runs, or waits to be resumed), or `reference`."""
    reason: str
    objective: float
    """Infinite before the first report."""
    chosen: dict[str, Scalar]
    images_seen: int
    train_seconds: float


def rows(state: StudyState, plan: Plan) -> list[Row]:
    """Rank the trials of a study.

    Returns:
        Best first; the reference row `gray` stands where its value belongs.
    """
    result = [
        Row(
            rank=None,
            number=trial.number,
            trial=trial_name(trial.number, trial.chosen),
            status=trial.status,
            reason=trial.reason,
            objective=trial.best(plan.objective),
            chosen=trial.chosen,
            images_seen=trial.images_seen,
            train_seconds=trial.last_metrics.get("train_seconds", 0.0),
        )
        for trial in state.trials
    ]
    if (gray := gray_score(state, plan)) is not None:
        result.append(
            Row(
                rank=None,
                number=None,
                trial=GRAY,
                status="reference",
                reason="a = b = 0: what no colorizer may fall behind",
                objective=gray,
                chosen={},
                images_seen=0,
                train_seconds=0.0,
            )
        )
    result.sort(key=lambda row: row.objective)
    ranked: list[Row] = []
    rank = 0
    for row in result:
        if row.number is not None and math.isfinite(row.objective):
            rank += 1
            ranked.append(replace(row, rank=rank))
        else:
            ranked.append(row)
    return ranked


def gray_score(state: StudyState, plan: Plan) -> float | None:
    """Return the objective of the grey pictures, or None before the first report."""
    return state.references.get("gray", {}).get(plan.base.fid_key)


def write_csv(path: Path, table: Sequence[Row], plan: Plan) -> None:
    """Write `leaderboard.csv`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    paths = list(plan.space.search)
    writer.writerow(
        [
            "rank",
            "trial",
            "status",
            "reason",
            plan.objective,
            *paths,
            "images_seen",
            "train_seconds",
        ]
    )
    for row in table:
        writer.writerow(
            [
                "" if row.rank is None else row.rank,
                row.trial,
                row.status,
                row.reason,
                f"{row.objective:.6g}" if math.isfinite(row.objective) else "",
                *(_cell(row.chosen.get(path)) for path in paths),
                row.images_seen,
                f"{row.train_seconds:.1f}",
            ]
        )
    write_text(path, buffer.getvalue())


def _cell(value: Scalar) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
