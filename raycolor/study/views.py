"""All that is derived from the journal, kept up to date while a study runs.

    plan.yaml  environment.json  leaderboard.csv  trials.parquet  reports.parquet
    tensorboard/<trial>/  best/

Each file can be deleted at will: it is written again from the journal. One that the storage refuses
does not end a study: it is made up for while the study goes on, and at its end.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from raycolor import storage
from raycolor.files import PART, replacing, write_text
from raycolor.metrics.weights import extractor_entry
from raycolor.plan import Plan
from raycolor.study.best import CONFIG, GENERATOR, SAMPLES, SOURCE, write_best
from raycolor.study.engine import Event
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.records import Fault, Reported, Resources, Session
from raycolor.study.retention import tidy, tidy_trial
from raycolor.study.state import StudyState
from raycolor.study.tables import ReportsTable, write_trials
from raycolor.study.tensorboard import TensorBoardView

VIEWS = (
    "plan.yaml",
    "environment.json",
    "leaderboard.csv",
    "trials.parquet",
    "reports.parquet",
    *(f"best/{name}" for name in (GENERATOR, CONFIG, SAMPLES, SOURCE)),
)
"""Files that a driver alone writes, as a whole."""
SECONDS_BETWEEN = 2.0
"""Tables are written at most this often while reports come in."""
SHARE = 0.05
"""Of the driver's time that tables may take: those of ten thousand trials take a while to write."""
SECONDS_BEHIND = 30.0
"""Views that could not be written are tried again at most this often, until the end."""


class Views:
    """An observer of the engine that writes the study's derived files.

    Attributes:
        problem: after `close`, why they could not be written; None if all is well.
    """

    def __init__(self, plan: Plan) -> None:
        self._folder = plan.folder
        self._plan = plan
        self._tensorboard = TensorBoardView(plan)
        self._written = 0.0
        self._pause = SECONDS_BETWEEN
        self._reports = ReportsTable()
        self._behind = False
        self.problem: str | None = None

    def rebuild(self, state: StudyState) -> None:
        """Write everything from the journal's state."""
        self._attempt(lambda: self._write_all(state))

    def take(self, event: Event) -> None:
        """Take in one new record."""
        if self._behind:
            # An event file that ends in half an event takes no more: all is written anew.
            if time.monotonic() - self._written > SECONDS_BEHIND:
                self._attempt(lambda: self._write_all(event.state))
            return
        self._attempt(lambda: self._take(event))

    def _take(self, event: Event) -> None:
        if isinstance(event.record, Reported | Fault):
            trial = event.state.trials[event.record.number]
            if trial.status != "open":
                tidy_trial(self._plan.files, trial)
        match event.record:
            case Session():
                write_plan(event.record, self._plan)
                write_environment(event.state, self._plan)
            case Resources():
                write_environment(event.state, self._plan)
            case Reported():
                self._tensorboard.take(event.record, event.state)
                if time.monotonic() - self._written > self._pause:
                    self._write_tables(event.state)
            case _:
                self._tensorboard.take(event.record, event.state)

    def close(self, state: StudyState) -> None:
        """Write all out; this is where a storage that refuses is waited for."""

        def attempt() -> None:
            if self._behind:
                self._write_all(state)
            self._behind = True
            self._tensorboard.close()
            self._write_tables(state)
            self._behind = False

        try:
            storage.PATIENCE.write(self._folder, attempt)
        except storage.StorageError as error:
            self.problem = (
                f"{error}. The journal lacks nothing; leaderboard, tables, page, TensorBoard and "
                "best/ are behind it until then."
            )

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write something, or remember that the views are behind the journal."""
        try:
            write()
        except (OSError, storage.StorageError):
            self._behind = True
            self._written = time.monotonic()

    def _write_all(self, state: StudyState) -> None:
        self._tensorboard.close()
        self._tensorboard = TensorBoardView(self._plan)
        self._sweep()
        tidy(self._plan.files, state)
        self._tensorboard.rebuild(state)
        if state.sessions:
            write_plan(state.sessions[-1], self._plan)
            write_environment(state, self._plan)
        self._write_tables(state)
        self._behind = False

    def _sweep(self) -> None:
        """Remove what drivers that were killed left half written.

        Only parts of `VIEWS`: no lock keeps `show` off the page, or others from writing files of
        their own beside these.
        """
        for view in VIEWS:
            for path in (self._folder / view).parent.glob(f".{Path(view).name}.*{PART}"):
                path.unlink(missing_ok=True)

    def _write_tables(self, state: StudyState) -> None:
        started = time.monotonic()
        write_tables(state, self._plan, self._reports)
        write_best(state, self._plan)
        self._written = time.monotonic()
        self._pause = max(SECONDS_BETWEEN, (self._written - started) / SHARE)


def write_plan(session: Session, plan: Plan) -> None:
    """Write `plan.yaml`: what a session was asked to do."""
    path = plan.folder / "plan.yaml"
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(session.plan, file)


def write_environment(state: StudyState, plan: Plan) -> None:
    """Write `environment.json`: all that the last session's results came from."""
    write_text(plan.folder / "environment.json", json.dumps(provenance(state), indent=2) + "\n")


def write_tables(state: StudyState, plan: Plan, reports: ReportsTable) -> None:
    """Write the leaderboard, and the tables of trials and reports.

    Args:
        state: of the study.
        plan: of the study.
        reports: what was made of its reports before.
    """
    table = rows(state, plan)
    write_csv(plan.folder / "leaderboard.csv", table, plan)
    write_trials(plan.folder / "trials.parquet", table, plan)
    reports.write(plan.folder / "reports.parquet", state)


def provenance(state: StudyState) -> dict[str, Any]:
    """Tell all that the last session's results came from: code, machine, data, weights, seeds.

    Args:
        state: of a study that has begun.
    """
    session, resources = state.sessions[-1], state.resources.get(len(state.sessions) - 1)
    fixed, search = session.plan["fixed"], session.plan["search"]

    def setting(path: str) -> Any:
        """Return the value that all trials share, or all values that are searched."""
        return search[path]["values"] if path in search else fixed[path]

    weights = session.environment.get("weights", {})
    extractor = setting("evaluation.extractor")
    return {
        **session.environment,
        "extractor": {"name": extractor, "sha256": weights.get(extractor_entry(str(extractor)))},
        "data_fingerprint": session.identity["fingerprint"],
        "study_seed": session.plan["seed"],
        "determinism": setting("determinism"),
        # Of one trial; known once Ray has started.
        "resources": None
        if resources is None
        else {
            "cpus": resources.cpus,
            "threads": resources.cpus,
            "gpus": resources.gpus,
            "concurrent": resources.concurrent,
            "machines": resources.machines,
        },
    }
