"""The Optuna database of a study holds what its journal says, no more and no less."""

import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as Told

from raycolor import show
from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.study.journal import read_journal
from raycolor.study.naming import trial_name
from raycolor.study.optuna_export import address, write_optuna
from raycolor.study.records import Ask, Fault, Record, Reported
from raycolor.study.state import fold
from raycolor.study.suggest import distribution
from tests.unit.study.fakes import GRAY, OBJECTIVE, Workers, make, run, sick_curve
from tests.unit.study.told import Told as Journal

STATES = {
    "open": Told.RUNNING,
    "completed": Told.COMPLETE,
    "pruned": Told.PRUNED,
    "failed": Told.FAIL,
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan of a study with completed, pruned, sick, failed and open trials."""
    plan = make(tmp_path_factory.mktemp("study"), trials=14)
    run(plan, Workers(curve=sick_curve, in_flight=2))
    return plan


@pytest.fixture(scope="module")
def records(plan: Plan) -> list[Record]:
    records = read_journal(plan.folder / "journal")
    last = max(record.number for record in records if isinstance(record, Ask))
    # The last trial has begun and not ended yet.
    ends = [i for i, r in enumerate(records) if isinstance(r, Reported) and r.number == last]
    return records[: ends[-1]]


@pytest.fixture(scope="module")
def database(plan: Plan, records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "study 1.db"
    write_optuna(path, records, plan)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return path


def loaded(path: Path, name: str | None = None) -> optuna.Study:
    storage = optuna.storages.RDBStorage(address(path))
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        in_memory = optuna.create_study(study_name=study.study_name)
        for key, value in study.user_attrs.items():
            in_memory.set_user_attr(key, value)
        in_memory.add_trials(study.get_trials())
        assert study.direction.name == "MINIMIZE"
        assert study.metric_names == [OBJECTIVE]
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return in_memory


@pytest.fixture(scope="module")
def trials(database: Path) -> list[optuna.trial.FrozenTrial]:
    return loaded(database).trials


def test_the_study_contains_all_that_can_happen(records: list[Record]) -> None:
    assert {trial.status for trial in fold(records).trials} == set(STATES)


def test_states_values_and_settings(
    trials: list[optuna.trial.FrozenTrial], records: list[Record], plan: Plan
) -> None:
    state = fold(records)
    assert len(trials) == len(state.trials)
    absent = 0
    for told, trial in zip(trials, state.trials, strict=True):
        assert told.number == trial.number
        assert told.state == STATES[trial.status]
        assert told.params == trial.chosen
        assert told.distributions == {
            path: distribution(plan.space.search[path]) for path in trial.chosen
        }
        absent += "pretraining.learning_rate" not in told.params
        values = {r.images_seen: r.metrics.get(OBJECTIVE) for r in trial.reports}
        values = {images: value for images, value in values.items() if value is not None}
        assert repr(told.intermediate_values) == repr(values)
        if trial.status == "completed":
            assert told.value == trial.best(OBJECTIVE)
        elif trial.status in ("open", "failed"):
            assert told.value is None
    assert 0 < absent < len(trials)


def test_times(trials: list[optuna.trial.FrozenTrial], records: list[Record]) -> None:
    for told, trial in zip(trials, fold(records).trials, strict=True):
        own = [r for r in records if isinstance(r, Ask | Reported | Fault)]
        times = [datetime.fromtimestamp(r.time) for r in own if r.number == trial.number]
        assert told.datetime_start == times[0]
        assert told.datetime_complete == (None if trial.status == "open" else times[-1])


def test_attributes(
    database: Path, trials: list[optuna.trial.FrozenTrial], records: list[Record]
) -> None:
    for told, trial in zip(trials, fold(records).trials, strict=True):
        attributes = told.user_attrs
        assert attributes["name"] == trial_name(trial.number, trial.chosen)
        assert (attributes["reason"], attributes["seed"]) == (trial.reason, trial.seed)
        assert (attributes["phase"], attributes["confirms"]) == ("search", None)
        assert attributes["images_seen"] == trial.images_seen
        for name, value in trial.last_metrics.items():
            assert attributes[name] == (value if math.isfinite(value) else str(value))
        json.dumps(attributes, allow_nan=False)
    gray = loaded(database).user_attrs["references"]["gray"]
    assert gray["fd_efficientnet_lite0"] == GRAY


def test_best_trial_is_the_study_s_best_completed_one(
    database: Path, records: list[Record]
) -> None:
    completed = [trial for trial in fold(records).trials if trial.status == "completed"]
    best = min(completed, key=lambda trial: trial.best(OBJECTIVE))
    assert loaded(database).best_trial.number == best.number


def test_only_an_export_of_the_same_study_is_replaced(
    plan: Plan, records: list[Record], tmp_path: Path
) -> None:
    path = tmp_path / "a b#ü%20?.db"
    write_optuna(path, records[:3], plan)
    write_optuna(path, records, plan)
    assert len(loaded(path).trials) == len(fold(records).trials)
    other = Journal().gray().session(plan)  # begun a second later
    for strange in (tmp_path / "text.db", tmp_path / "folder.db", path):
        if strange.name == "text.db":
            strange.write_text("my own notes")
        elif strange.name == "folder.db":
            strange.mkdir()
        before = strange.read_bytes() if strange.is_file() else None
        with pytest.raises(CheckpointError, match="is there already, and is no export of this"):
            write_optuna(strange, other.records, plan)
        assert before == (strange.read_bytes() if strange.is_file() else None)


def test_a_folder_that_cannot_be_written_is_told(plan: Plan, records: list[Record]) -> None:
    with pytest.raises(CheckpointError, match=r"--optuna /proc/a\.db: cannot be written"):
        write_optuna(Path("/proc/a.db"), records, plan)


def test_the_flag(
    plan: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.db"
    monkeypatch.setattr(sys, "argv", ["raycolor-show", str(plan.folder), "--optuna", str(path)])
    show.main()
    out, err = capsys.readouterr()
    assert f"optuna-dashboard {address(path)}" in out
    assert err == ""
    state = fold(read_journal(plan.folder / "journal"))
    assert len(loaded(path, plan.study).trials) == len(state.trials)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna_dashboard") is None, reason="needs optuna-dashboard")
def test_optuna_s_dashboard_opens_it(database: Path, records: list[Record], plan: Plan) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from optuna_dashboard._cli import main; main()"
    words = [sys.executable, "-W", "ignore", "-c", code, address(database)]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            (study,) = _get(port, "studies", server)["study_summaries"]
            assert study["study_name"] == plan.study
            found = _get(port, f"studies/{study['study_id']}?after=0", server)["trials"]
        finally:
            server.kill()
    state = fold(records)
    names = {"Complete": "completed", "Pruned": "pruned", "Fail": "failed", "Running": "open"}
    assert [names[trial["state"]] for trial in found] == [trial.status for trial in state.trials]
    assert [len(trial["params"]) for trial in found] == [len(t.chosen) for t in state.trials]
    reasons = [
        attribute["value"]
        for trial in found
        for attribute in trial["user_attrs"]
        if attribute["key"] == "reason"
    ]
    assert reasons == [trial.reason for trial in state.trials]


def _get(port: int, what: str, server: subprocess.Popen[bytes]) -> Any:
    """Ask the dashboard, and wait until it answers."""
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{what}") as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
