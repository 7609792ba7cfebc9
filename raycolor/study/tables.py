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
from raycolor.study.state import StudyState


def write_trials(path: Path, table: Sequence[Row], plan: Plan) -> None:
    """Write one row a trial, best first; searched settings as columns, null where absent."""
    _write(
        path,
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
        ],
    )


def write_reports(path: Path, state: StudyState) -> None:
    """Write one row a report: metrics as columns, and the decision."""
    reports = [
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
        for trial in state.trials
        for report in trial.reports
    ]
    _write(path, reports)


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns = dict.fromkeys(key for row in rows for key in row)
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    with replacing(path) as beside:
        pq.write_table(table, beside)
