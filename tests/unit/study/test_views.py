"""Views are derived from the journal alone, whenever and however often."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from raycolor.plan import Plan
from raycolor.study import views as views_module
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import Journal, read_journal
from raycolor.study.naming import trial_name
from raycolor.study.records import Reported
from raycolor.study.state import fold
from raycolor.study.views import Views
from tests.unit.study.fakes import OBJECTIVE, Workers, clock, make, sick_curve

VIEWS = ("leaderboard.csv", "trials.parquet", "reports.parquet", "tensorboard", "best")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def write_checkpoint(plan: Plan) -> Callable[[Event], None]:
    """An observer that leaves what a trial's worker does at each report."""

    def write(event: Event) -> None:
        if isinstance(event.record, Reported):
            trial = event.state.trials[event.record.number]
            folder = plan.folder / "checkpoints" / trial_name(trial.number, trial.chosen)
            folder.mkdir(parents=True, exist_ok=True)
            for ending in ("safetensors", "png"):
                path = folder / f"best_{event.record.images_seen}.{ending}"
                path.write_text(f"{trial.number} {event.record.images_seen} {ending}")

    return write


def session(plan: Plan, workers: Workers, *, most_reports: int | None = None, close: bool) -> None:
    """Work on a study with all views, to its end or until the driver is killed."""
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        views = Views(plan.folder, plan)
        engine.observers += [write_checkpoint(plan), views.take]
        engine.begin({"python": "3"}, "abc")
        views.rebuild(engine.state)
        workers.run(engine, most_reports=most_reports)
        if close:
            engine.end("finished")
            views.close(engine.state)


def contents(plan: Plan) -> dict[str, object]:
    """What the views say, apart from the events, whose times differ."""
    folder = plan.folder
    return {
        "leaderboard": (folder / "leaderboard.csv").read_text(encoding="utf-8"),
        "trials": repr(pq.read_table(folder / "trials.parquet").to_pylist()),
        "reports": repr(pq.read_table(folder / "reports.parquet").drop(["time"]).to_pylist()),
        "best": {path.name: path.read_text() for path in sorted((folder / "best").iterdir())},
        "runs": sorted(path.name for path in (folder / "tensorboard").glob("*/")),
    }


def test_all_views_come_back_from_the_journal(plan: Plan) -> None:
    session(plan, Workers(curve=sick_curve, in_flight=3), close=True)
    before = contents(plan)
    for name in VIEWS:
        path = plan.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    views = Views(plan.folder, plan)
    state = fold(read_journal(plan.folder / "journal"))
    views.rebuild(state)
    views.close(state)
    assert contents(plan) == before


@pytest.mark.parametrize("kills", [1, 4])
def test_views_of_a_killed_study_equal_those_of_an_uninterrupted_one(
    tmp_path: Path, plan: Plan, kills: int
) -> None:
    session(plan, Workers(curve=sick_curve), close=True)
    killed = make(tmp_path / "killed")
    workers = Workers(curve=sick_curve, rng=np.random.default_rng(1))
    for _ in range(kills):
        session(killed, workers, most_reports=5, close=False)
    session(killed, workers, close=True)
    assert contents(killed) == contents(plan)


def test_the_plan_and_the_environment_are_written_when_a_session_begins(plan: Plan) -> None:
    session(plan, Workers(), most_reports=0, close=False)
    tree = YAML(typ="safe", pure=True).load((plan.folder / "plan.yaml").read_text())
    assert tree == plan.as_tree()
    assert json.loads((plan.folder / "environment.json").read_text()) == {"python": "3"}


def test_tables_exist_from_the_first_moment(plan: Plan) -> None:
    session(plan, Workers(), most_reports=0, close=False)
    assert (plan.folder / "leaderboard.csv").read_text().startswith("rank,trial,")
    assert pq.read_table(plan.folder / "reports.parquet").num_rows == 0


@pytest.mark.parametrize(("seconds", "up_to_date"), [(0.0, True), (3600.0, False)])
def test_tables_follow_the_reports_but_not_each_at_once(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, seconds: float, up_to_date: bool
) -> None:
    monkeypatch.setattr(views_module, "SECONDS_BETWEEN", seconds)
    session(plan, Workers(), most_reports=6, close=False)
    rows = pq.read_table(plan.folder / "reports.parquet").num_rows
    assert rows == (6 if up_to_date else 0)


def test_the_best_and_the_leaderboard_name_the_same_winner(plan: Plan) -> None:
    session(plan, Workers(in_flight=2), close=True)
    state = fold(read_journal(plan.folder / "journal"))
    winner = state.best_trial(OBJECTIVE)
    assert winner is not None
    name = trial_name(winner.number, winner.chosen)
    second_line = (plan.folder / "leaderboard.csv").read_text().splitlines()[1]
    assert second_line.startswith(f"1,{name},")
    mark = json.loads((plan.folder / "best" / "source.json").read_text())
    assert mark == {"trial": name, "images_seen": winner.best_images(OBJECTIVE)}


def test_no_half_written_file_stays(plan: Plan) -> None:
    session(plan, Workers(), close=True)
    assert not list(plan.folder.rglob("*.part"))
