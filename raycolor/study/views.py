"""All that is derived from the journal, kept up to date while a study runs.

    plan.yaml  environment.json  leaderboard.csv  trials.parquet  reports.parquet
    tensorboard/<trial>/  best/

Each file can be deleted at will: it is written again from the journal.
"""

import json
import time
from pathlib import Path

from ruamel.yaml import YAML

from raycolor.files import replacing, write_text
from raycolor.plan import Plan
from raycolor.study.best import write_best
from raycolor.study.engine import Event
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.records import Reported, Session
from raycolor.study.state import StudyState
from raycolor.study.tables import write_reports, write_trials
from raycolor.study.tensorboard import TensorBoardView

SECONDS_BETWEEN = 2.0
"""Tables are written at most this often while reports come in."""


class Views:
    """An observer of the engine that writes the study's derived files."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._tensorboard = TensorBoardView(folder, plan)
        self._written = 0.0

    def rebuild(self, state: StudyState) -> None:
        """Write everything from the journal's state."""
        self._tensorboard.rebuild(state)
        self._write_tables(state)

    def take(self, event: Event) -> None:
        """Take in one new record."""
        match event.record:
            case Session():
                self._write_session(event.record)
            case Reported():
                self._tensorboard.take(event.record, event.state)
                if time.monotonic() - self._written > SECONDS_BETWEEN:
                    self._write_tables(event.state)
            case _:
                self._tensorboard.take(event.record, event.state)

    def close(self, state: StudyState) -> None:
        """Write all out."""
        self._tensorboard.close()
        self._write_tables(state)

    def _write_session(self, session: Session) -> None:
        path = self._folder / "plan.yaml"
        with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(session.plan, file)
        environment = json.dumps(session.environment, indent=2) + "\n"
        write_text(self._folder / "environment.json", environment)

    def _write_tables(self, state: StudyState) -> None:
        table = rows(state, self._plan)
        write_csv(self._folder / "leaderboard.csv", table, self._plan)
        write_trials(self._folder / "trials.parquet", table, self._plan)
        write_reports(self._folder / "reports.parquet", state)
        write_best(self._folder, state, self._plan)
        self._written = time.monotonic()
