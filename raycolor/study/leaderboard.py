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
from raycolor.study.confirmation import Confirmed, confirmed
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

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
    """`completed`, `pruned`, `failed`, `open` (runs, or its driver was killed), `paused` (waits for
    the same command), or `reference`."""
    reason: str
    objective: float
    """Infinite before the first report."""
    chosen: dict[str, Scalar]
    images_seen: int
    train_seconds: float
    images_inherited: int = 0
    """Of `images_seen`, those that another run had trained."""
    confirmed_mean: float | None = None
    """Mean of other seeds of its configuration; None where it was not confirmed."""
    confirmed_spread: float | None = None
    """Standard deviation of them; None with fewer than two."""
    confirmed_seeds: int = 0
    """How many have ended."""

    @property
    def images_trained(self) -> int:
        """Of `images_seen`, those that the trial itself trained."""
        return self.images_seen - self.images_inherited


def rows(state: StudyState, plan: Plan) -> list[Row]:
    """Rank the trials of a study.

    Returns:
        Best first: confirmed configurations by the mean of their seeds, then the others by their
        objective; the reference row `gray` stands where its value belongs, and confirming trials,
        which have no rank, in the end.
    """
    means = {item.number: item for item in confirmed(state, plan)}
    result = [_row(trial, state, plan, means.get(trial.number)) for trial in state.searched]
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
    result.sort(key=_order)
    ranked: list[Row] = []
    rank = 0
    for row in result:
        if row.number is not None and math.isfinite(row.objective):
            rank += 1
            ranked.append(replace(row, rank=rank))
        else:
            ranked.append(row)
    confirming = [_row(t, state, plan, None) for t in state.trials if t.phase == "confirm"]
    return ranked + confirming


def _order(row: Row) -> tuple[bool, float, float]:
    """Put confirmed configurations first, by their mean."""
    if row.confirmed_mean is not None and math.isfinite(row.confirmed_mean):
        return False, row.confirmed_mean, row.objective
    return True, row.objective, 0.0


def _row(trial: TrialState, state: StudyState, plan: Plan, seeds: Confirmed | None) -> Row:
    # After a driver that stopped no trial runs, whatever its last report said.
    paused = trial.status == "open" and state.ending is not None
    return Row(
        rank=None,
        number=trial.number,
        trial=trial_name(trial.number, trial.chosen),
        status="paused" if paused else trial.status,
        reason=trial.reason,
        objective=trial.best(plan.objective),
        chosen=trial.chosen,
        images_seen=trial.images_seen,
        train_seconds=trial.last_metrics.get("train_seconds", 0.0),
        images_inherited=trial.images_inherited,
        confirmed_mean=None if seeds is None else seeds.mean,
        confirmed_spread=None if seeds is None or math.isnan(seeds.spread) else seeds.spread,
        confirmed_seeds=0 if seeds is None else len(seeds.scores),
    )


def gray_score(state: StudyState, plan: Plan) -> float | None:
    """Return the objective of the grey pictures, or None before the first report."""
    return state.references.get("gray", {}).get(plan.base.fid_key)


def write_csv(path: Path, table: Sequence[Row], plan: Plan) -> None:
    """Write `leaderboard.csv`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    paths = list(plan.space.search)
    confirms = plan.space.study.confirm.top is not None
    writer.writerow(
        [
            "rank",
            "trial",
            "status",
            "reason",
            plan.objective,
            *paths,
            "images_seen",
            "images_trained",
            "images_inherited",
            "train_seconds",
            *(("confirmed_mean", "confirmed_spread", "confirmed_seeds") if confirms else ()),
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
                row.images_trained,
                row.images_inherited,
                f"{row.train_seconds:.1f}",
                *(_confirmed_cells(row) if confirms else ()),
            ]
        )
    write_text(path, buffer.getvalue())


def _confirmed_cells(row: Row) -> tuple[str, str, str]:
    if row.confirmed_mean is None:
        return "", "", ""
    return _cell(row.confirmed_mean), _cell(row.confirmed_spread), str(row.confirmed_seeds)


def _cell(value: Scalar) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
