"""Views are derived from the journal alone, whenever and however often."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.plan import Plan
from raycolor.study import views as views_module
from raycolor.study.best import GENERATOR
from raycolor.study.engine import Engine, Event
from raycolor.study.journal import Journal, read_journal
from raycolor.study.naming import trial_name
from raycolor.study.records import Reported
from raycolor.study.retention import CHECKPOINT, PREVIOUS
from raycolor.study.state import fold
from raycolor.study.views import Views
from raycolor.weights import weights_fingerprints
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
            stem = folder / f"best_{event.record.images_seen}"
            about = {"who": f"{trial.number} {event.record.images_seen}"}
            save_tensors(stem.with_suffix(".safetensors"), {}, about)
            stem.with_suffix(".png").write_text(about["who"])

    return write


def session(plan: Plan, workers: Workers, *, most_reports: int | None = None, close: bool) -> None:
    """Work on a study with all views, to its end or until the driver is killed."""
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        views = Views(plan)
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
        "best": {
            path.name: load_tensors(path)[1] if path.name == GENERATOR else path.read_text()
            for path in sorted((folder / "best").iterdir())
        },
        "runs": sorted(path.name for path in (folder / "tensorboard").glob("*/")),
    }


def test_all_views_come_back_from_the_journal(plan: Plan) -> None:
    session(plan, Workers(curve=sick_curve, in_flight=3), close=True)
    before = contents(plan)
    for name in VIEWS:
        path = plan.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    views = Views(plan)
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
    environment = json.loads((plan.folder / "environment.json").read_text())
    assert environment == {
        "python": "3",
        "extractor": {"name": "efficientnet_lite0", "sha256": None},
        "data_fingerprint": "abc",
        "study_seed": 0,
        "determinism": "exact",
        "resources": None,
    }


def test_resources_are_added_when_ray_has_told_them(plan: Plan) -> None:
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        views = Views(plan)
        engine.observers.append(views.take)
        sha256 = weights_fingerprints()["efficientnet_lite0"]
        engine.begin({"weights": {"efficientnet_lite0": sha256}}, "abc")
        engine.note_resources(cpus=2, gpus=0.5, concurrent=3, machines=4)
        views.close(engine.state)
    environment = json.loads((plan.folder / "environment.json").read_text())
    assert environment["extractor"] == {"name": "efficientnet_lite0", "sha256": sha256}
    assert environment["resources"] == {
        "cpus": 2,
        "threads": 2,
        "gpus": 0.5,
        "concurrent": 3,
        "machines": 4,
    }


def test_tables_exist_from_the_first_moment(plan: Plan) -> None:
    session(plan, Workers(), most_reports=0, close=False)
    assert (plan.folder / "leaderboard.csv").read_text().startswith("rank,trial,")
    assert pq.read_table(plan.folder / "reports.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("seconds", "share", "up_to_date"),
    [
        (0.0, math.inf, True),
        (3600.0, math.inf, False),
        # Writing took more than its share of the time.
        (0.0, 1e-9, False),
    ],
)
def test_tables_follow_the_reports_but_not_each_at_once(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, seconds: float, share: float, up_to_date: bool
) -> None:
    monkeypatch.setattr(views_module, "SECONDS_BETWEEN", seconds)
    monkeypatch.setattr(views_module, "SHARE", share)
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
    assert mark["trial"] == name
    assert mark["images_seen"] == winner.best_images(OBJECTIVE)


def test_no_half_written_file_stays(plan: Plan) -> None:
    session(plan, Workers(), close=True)
    assert not list(plan.folder.rglob("*.part"))


def test_a_trial_that_has_ended_keeps_one_checkpoint(plan: Plan) -> None:
    session(plan, Workers(in_flight=3), most_reports=12, close=False)
    trials = fold(read_journal(plan.folder / "journal")).trials
    assert {trial.status for trial in trials} >= {"open", "pruned"}
    for trial in trials:
        folder = plan.folder / "checkpoints" / trial_name(trial.number, trial.chosen)
        folder.mkdir(parents=True, exist_ok=True)
        # A write that failed may have left the older one alone.
        names = (PREVIOUS,) if trial.number == 0 else (CHECKPOINT, PREVIOUS)
        for name in names:
            (folder / name).touch()
    session(plan, Workers(in_flight=3), most_reports=8, close=False)
    for trial in fold(read_journal(plan.folder / "journal")).trials:
        folder = plan.folder / "checkpoints" / trial_name(trial.number, trial.chosen)
        kept = sorted(path.name for path in folder.glob("checkpoint*"))
        if trial.number == 0:
            assert kept == [PREVIOUS]
        elif kept:
            assert kept == ([CHECKPOINT, PREVIOUS] if trial.status == "open" else [CHECKPOINT])


def test_what_a_killed_driver_left_half_written_goes(plan: Plan) -> None:
    session(plan, Workers(), most_reports=6, close=False)
    names = (".trials.parquet.01234567.part", "best/.samples.png.01234567.part")
    halves = [plan.folder / name for name in names]
    # Others may write these at this moment.
    others = (".report.html.89abcdef.part", ".optuna.db.89abcdef.part", "best/.old.png.89.part")
    kept = [plan.folder / name for name in others]
    for path in (*halves, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    session(plan, Workers(), most_reports=1, close=False)
    assert not any(path.exists() for path in halves)
    assert all(path.exists() for path in kept)
