"""`trials.parquet` and `reports.parquet`: everything, for pandas, DuckDB or Polars."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raycolor.files import replacing
from raycolor.plan import Plan
from raycolor.study.leaderboard import Row
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

TRIALS_A_BLOCK = 200
"""Trials whose reports are turned into columns together."""


def write_trials(path: Path, table: Sequence[Row], plan: Plan) -> None:
    """Write one row a trial, best first; searched settings as columns, null where absent."""
    _write(
        path,
        _columns(
            [
                {
                    "rank": row.rank,
                    "number": row.number,
                    "trial": row.trial,
                    "status": row.status,
                    "reason": row.reason,
                    plan.objective: row.objective,
                    "images_seen": row.images_seen,
                    "images_trained": row.images_trained,
                    "images_inherited": row.images_inherited,
                    "train_seconds": row.train_seconds,
                    "confirmed_mean": row.confirmed_mean,
                    "confirmed_spread": row.confirmed_spread,
                    "confirmed_seeds": row.confirmed_seeds,
                    **{key: row.chosen.get(key) for key in plan.space.search},
                }
                for row in table
            ]
        ),
    )


class ReportsTable:
    """Writes one row a report: metrics as columns, and the decision.

    Reports do not change, and most are of trials that have ended: blocks of trials are turned into
    columns once, and again only when one of them has reported since.
    """

    def __init__(self) -> None:
        """Begin without any block."""
        self._blocks: list[tuple[int, pa.Table]] = []

    def write(self, path: Path, state: StudyState) -> None:
        """Write `reports.parquet`.

        Args:
            path: of the file.
            state: of the study; the same one at each call, further on.

        Raises:
            OSError: the storage refuses.
        """
        kept, self._blocks = self._blocks, []
        for place, begin in enumerate(range(0, len(state.trials), TRIALS_A_BLOCK)):
            trials = state.trials[begin : begin + TRIALS_A_BLOCK]
            # Reports are only added, so their number tells whether there are new ones.
            count = sum(len(trial.reports) for trial in trials)
            if place < len(kept) and kept[place][0] == count:
                self._blocks.append(kept[place])
            else:
                self._blocks.append((count, _columns(_report_rows(trials))))
        tables = [table for _, table in self._blocks]
        _write(
            path, pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
        )


def _report_rows(trials: Sequence[TrialState]) -> list[dict[str, Any]]:
    return [
        {
            "number": trial.number,
            "trial": trial_name(trial.number, trial.chosen),
            "time": report.time,
            "images_seen": report.images_seen,
            "stage": report.stage,
            **report.metrics,
            "action": report.decision.action,
            "rung": report.decision.rung,
            "cutoff": report.decision.cutoff,
            "reason": report.decision.reason,
        }
        for trial in trials
        for report in trial.reports
    ]


def _columns(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Turn rows into columns; one that a row does not have is null there."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return pa.table({column: [row.get(column) for row in rows] for column in columns})


def _write(path: Path, table: pa.Table) -> None:
    with replacing(path) as beside:
        pq.write_table(table, beside)
