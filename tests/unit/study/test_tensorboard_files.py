"""What is written to TensorBoard's event files, whenever the driver dies."""

import math
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from raycolor.study.naming import trial_name
from raycolor.study.records import Ask, Fault, Reopened, Reported
from raycolor.study.tensorboard import TensorBoardView
from tests.unit.study.fakes import FD, OBJECTIVE, Workers, clock, make
from tests.unit.study.tensorboard_runs import (
    COMPLETED,
    FAILED,
    PRUNED,
    RUNNING,
    events,
    four_trials,
    write_live,
)
from tests.unit.study.told import Told


def run_folder(plan: Plan, name: str) -> Path:
    return plan.folder / "tensorboard" / name


START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


@pytest.fixture
def fresh(tmp_path: Path) -> Plan:
    return make(tmp_path)


def all_events(plan: Plan) -> dict[str, list[tuple[str, int, object]]]:
    folders = sorted((plan.folder / "tensorboard").glob("*/"))
    return {folder.name: events(folder) for folder in folders}


def test_a_run_begins_with_its_settings_and_ends_when_the_trial_does(fresh: Plan) -> None:
    write_live(fresh, four_trials()).close()
    runs = all_events(fresh)
    assert all(run[0][0] == START for run in runs.values())
    assert {name for name, run in runs.items() if run[-1][0] == END} == {
        PRUNED,
        FAILED,
        COMPLETED,
    }


def test_numbers_that_are_none_are_gaps(fresh: Plan) -> None:
    told = Told()
    told.report(told.ask(), 16, math.nan).report(0, 32, math.inf).report(0, 48, 60.0)
    write_live(fresh, told).close()
    (run,) = all_events(fresh).values()
    assert [(step, value) for tag, step, value in run if tag == OBJECTIVE] == [(48, 60.0)]
    assert [step for tag, step, _ in run if tag == "generator_loss"] == [16, 32, 48]


def test_numbers_of_pictures_are_no_curves(fresh: Plan) -> None:
    told = Told()
    more = {"evaluation_images": 54.0, "disjoint_images": 54.0, "ssim": 0.9, f"{FD}_disjoint": 80.0}
    told.report(told.ask(), 16, 60.0, more=more)
    write_live(fresh, told).close()
    (run,) = all_events(fresh).values()
    tags = {tag for tag, _, _ in run}
    assert {"ssim", f"{FD}_disjoint"} <= tags
    assert not {"evaluation_images", "disjoint_images"} & tags


def test_every_kind_of_setting_is_written(fresh: Plan) -> None:
    told = Told()
    told.ask(data__flip=True, generator__ema_decay=0.5, generator__width=16)
    write_live(fresh, told).close()
    assert [tag for tag, _, _ in next(iter(all_events(fresh).values()))] == [START]


def test_rebuilding_gives_the_same_events(tmp_path: Path, fresh: Plan) -> None:
    told = four_trials()
    write_live(fresh, told).close()
    other = make(tmp_path / "other")
    view = TensorBoardView(other)
    view.rebuild(told.state)
    view.close()
    assert all_events(other) == all_events(fresh)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.99, 0.9999])
def test_events_that_a_killed_driver_did_not_write_are_made_up(fresh: Plan, kept: float) -> None:
    """Events lie in memory for seconds; the journal has them at once."""
    told = four_trials()
    write_live(fresh, told).close()
    before = all_events(fresh)
    for path in (fresh.folder / "tensorboard").glob("*/events.*"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
    view = TensorBoardView(fresh)
    view.rebuild(told.state)
    view.close()
    assert all_events(fresh) == before


def files_of(plan: Plan) -> dict[str, bytes]:
    found = sorted((plan.folder / "tensorboard").glob("*/events.*"))
    return {str(path): path.read_bytes() for path in found}


def test_runs_go_on_in_their_files(fresh: Plan) -> None:
    """A TensorBoard that follows a file would show those of a second one beside them."""
    told = four_trials()
    first = Told(records=told.records[:-4])
    write_live(fresh, first).close()
    before = files_of(fresh)
    for _ in range(2):
        view = TensorBoardView(fresh)
        view.rebuild(told.state)
        view.close()
    after = files_of(fresh)
    assert after.keys() == before.keys()
    assert all(after[path].startswith(content) for path, content in before.items())
    grown = [path for path in after if after[path] != before[path]]
    assert [COMPLETED in path for path in grown] == [True]
    assert [s for t, s, _ in all_events(fresh)[COMPLETED] if t == FD] == list(range(16, 145, 16))


def test_catching_up_writes_what_is_new_and_nothing_twice(tmp_path: Path, fresh: Plan) -> None:
    told, so_far = four_trials(), Told()
    view = TensorBoardView(fresh)
    for record in told.records:
        so_far.records.append(record)
        view.catch_up(so_far.state)
        view.catch_up(so_far.state)
    view.close()
    other = make(tmp_path / "other")
    write_live(other, told).close()
    assert all_events(fresh) == all_events(other)


def test_a_trial_that_is_taken_up_again_has_one_end(fresh: Plan) -> None:
    told = four_trials()
    view = TensorBoardView(fresh)
    view.catch_up(told.state)
    told.records.append(Reopened(time=2e9, number=1, cause="revival"))
    view.catch_up(told.state)
    assert END not in [tag for tag, _, _ in all_events(fresh)[PRUNED]]
    told.report(1, 32, 70.0).report(1, 48, 60.0, "prune", rung=48)
    view.catch_up(told.state)
    view.close()
    run = all_events(fresh)[PRUNED]
    assert [step for tag, step, _ in run if tag == FD] == [16, 32, 48]
    assert [tag for tag, _, _ in run].index(END) == len(run) - 1


def test_events_of_another_journal_go(tmp_path: Path, fresh: Plan) -> None:
    other = Told()
    other.gray().gray()
    number = other.ask(losses__l1_lambda=50.0)
    other.report(number, 16, 91.0, rung=16)
    write_live(fresh, other).close()
    told = four_trials()
    view = TensorBoardView(fresh)
    view.rebuild(told.state)
    view.close()
    expected = make(tmp_path / "other")
    write_live(expected, told).close()
    assert all_events(fresh) == all_events(expected)


def test_a_session_goes_on_with_the_runs_of_the_last(fresh: Plan) -> None:
    whole = four_trials()
    cut = next(number for number, record in enumerate(whole.records) if isinstance(record, Fault))
    first = Told(records=whole.records[:cut])
    write_live(fresh, first)  # killed: never closed
    view = TensorBoardView(fresh)
    view.rebuild(first.state)
    for record in whole.records[cut:]:
        first.records.append(record)
        view.take(record, first.state)
    view.close()
    runs = all_events(fresh)
    assert set(runs) == {RUNNING, PRUNED, FAILED, COMPLETED}
    assert [s for t, s, _ in runs[COMPLETED] if t == OBJECTIVE] == list(range(16, 145, 16))
    assert [s for t, s, _ in runs[FAILED] if t == OBJECTIVE] == [16]
    assert runs[FAILED][-1][0] == END


def test_a_study_at_work_writes_one_run_a_trial(fresh: Plan) -> None:
    view = TensorBoardView(fresh)
    with Journal(fresh.folder / "journal") as journal:
        engine = Engine(fresh, journal, clock=clock())
        engine.observers.append(lambda event: view.take(event.record, event.state))
        engine.begin({}, "abc")
        Workers(in_flight=3).run(engine)
        records = list(journal.records)
    view.close()
    names = [trial_name(r.number, r.chosen) for r in records if isinstance(r, Ask)]
    runs = all_events(fresh)
    assert sorted(runs) == sorted(names)
    for number, name in enumerate(names):
        reports = [r for r in records if isinstance(r, Reported) and r.number == number]
        found = [(step, value) for tag, step, value in runs[name] if tag == OBJECTIVE]
        assert [step for step, _ in found] == [report.images_seen for report in reports]
        assert [value for _, value in found] == pytest.approx(
            [report.metrics[OBJECTIVE] for report in reports]
        )
