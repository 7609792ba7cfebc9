"""A study as an Optuna database, for Optuna's dashboard and its own plots.

    python -m raycolor.show results/quickstart --optuna quickstart.db
    optuna-dashboard sqlite:///quickstart.db

The database is a view: what happens to it has no influence on the study.
"""

import logging
import math
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from raycolor.errors import CheckpointError
from raycolor.files import replacing
from raycolor.plan import Plan
from raycolor.spaces.domains import Domain, LogUniform, Uniform
from raycolor.study.naming import trial_name
from raycolor.study.records import Ask, Fault, Record, Reported
from raycolor.study.state import StudyState, TrialState, fold
from raycolor.study.suggest import distribution

if TYPE_CHECKING:
    import optuna

MARK = "raycolor"
"""Attribute of the Optuna study that tells whose it is."""


def write_optuna(path: Path, records: Sequence[Record], plan: Plan) -> None:
    """Write a study as a SQLite database, complete or not at all.

    An older export of the same study is replaced, any other file is left alone.

    Args:
        path: the database.
        records: the study's whole journal.
        plan: of the study.

    Raises:
        CheckpointError: the file is something else, or the storage refuses.
    """
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    state = fold(records)
    mark = _mark(state, plan)
    _check_replaceable(path, mark)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The tool that makes the tables tells each of its steps.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with replacing(path) as beside:
            storage = RDBStorage(address(beside.resolve()))
            try:
                study = optuna.create_study(
                    storage=storage, study_name=plan.study, direction="minimize"
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names([plan.objective])
                for name, value in {MARK: mark, "references": state.references}.items():
                    study.set_user_attr(name, _plain(value))
                study.add_trials(_trials(records, state, plan))
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except (OSError, SQLAlchemyError) as error:
        raise CheckpointError(
            f"--optuna {path}: cannot be written ({error}); name a file in another folder"
        ) from error


def address(path: Path) -> str:
    """Return the address of a database, as Optuna takes it; every path has one."""
    return f"sqlite:///{quote(str(path))}"


def _mark(state: StudyState, plan: Plan) -> str:
    """Name a study for good: two of the same name did not begin in the same instant."""
    return f"{plan.space.name} {state.sessions[0].time!r}"


def _check_replaceable(path: Path, mark: str) -> None:
    """Refuse to replace what is no export of this study.

    Raises:
        CheckpointError: it is another file, or the export of another study.
    """
    if not path.exists():
        return
    found: list[tuple[str]] = []
    try:
        # Read only; a path may hold characters that an address has to escape.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            query = "SELECT value_json FROM study_user_attributes WHERE key = ?"
            found = database.execute(query, (MARK,)).fetchall()
    except sqlite3.Error:
        pass
    if found != [(f'"{mark}"',)]:
        raise CheckpointError(
            f"--optuna {path}: is there already, and is no export of this study; name another "
            "file, or remove it"
        )


def _trials(
    records: Sequence[Record], state: StudyState, plan: Plan
) -> "list[optuna.trial.FrozenTrial]":
    """Tell Optuna every trial, in the order of their numbers."""
    begun = {record.number: record.time for record in records if isinstance(record, Ask)}
    # A trial that was taken up again ends with the last of these.
    ended = {
        record.number: record.time for record in records if isinstance(record, Reported | Fault)
    }
    return [
        _told(trial, plan, begun=begun[trial.number], ended=ended.get(trial.number))
        for trial in state.trials
    ]


def _told(
    trial: TrialState, plan: Plan, *, begun: float, ended: float | None
) -> "optuna.trial.FrozenTrial":
    """Tell Optuna one trial as it was.

    Args:
        trial: what the journal says of it.
        plan: of the study.
        begun: when it was suggested, seconds since 1970.
        ended: when it last reported or failed; None if it did neither.
    """
    from optuna.trial import TrialState as Told
    from optuna.trial import create_trial

    states = {
        "open": Told.RUNNING,
        "completed": Told.COMPLETE,
        "pruned": Told.PRUNED,
        "failed": Told.FAIL,
    }
    told_state = states[trial.status]
    frozen = create_trial(
        state=told_state,
        value=trial.best(plan.objective) if told_state == Told.COMPLETE else None,
        params=dict(trial.chosen),
        distributions={path: _distribution(plan.space.search[path]) for path in trial.chosen},
        intermediate_values={
            report.images_seen: report.metrics[plan.objective]
            for report in trial.reports
            if plan.objective in report.metrics
        },
        user_attrs=_plain(_attributes(trial)),
    )
    # Optuna has local times without a zone.
    frozen.datetime_start = datetime.fromtimestamp(begun)
    frozen.datetime_complete = None
    if trial.status != "open":
        assert ended is not None, "what has ended has reported or failed"
        frozen.datetime_complete = datetime.fromtimestamp(ended)
    return frozen


def _distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    """Say which values a domain has; of points their range, in which people know the values."""
    if isinstance(domain, Uniform | LogUniform):
        domain = domain.model_copy(update={"points": None})
    return distribution(domain)


def _attributes(trial: TrialState) -> dict[str, Any]:
    """What Optuna has no field for: name, reason, seeds, and the metrics of the last report."""
    return {
        "name": trial_name(trial.number, trial.chosen),
        "reason": trial.reason,
        "phase": trial.phase,
        "confirms": trial.confirms,
        "seed": trial.seed,
        "pretraining_seed": trial.pretraining_seed,
        "images_seen": trial.images_seen,
        "stage": trial.reports[-1].stage if trial.reports else None,
        **trial.last_metrics,
    }


def _plain(value: Any) -> Any:
    """Write numbers that are not finite as text: browsers refuse them in JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
