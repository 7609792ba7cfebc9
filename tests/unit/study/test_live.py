"""What a user sees while a study runs, in a terminal and in a log."""

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.plan import Plan
from raycolor.study.engine import Event
from raycolor.study.live import LiveView, against_gray
from raycolor.study.records import Record
from raycolor.study.state import StudyState
from tests.unit.study.fakes import Workers, make, run
from tests.unit.study.told import Told


class Watch:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def terminal(width: int = 160, height: int = 40) -> Console:
    return Console(force_terminal=True, file=io.StringIO(), record=True, width=width, height=height)


def log() -> Console:
    return Console(file=io.StringIO(), record=True, width=60, force_terminal=False)


def picture(plan: Plan, told: Told, console: Console | None = None, after: float = 60.0) -> str:
    """The live table as text, some seconds after it began."""
    console, watch = console or terminal(), Watch()
    view = LiveView(plan, console, clock=watch)
    view.start(StudyState())
    watch.now += after
    view.take(Event(record=told.records[-1], state=told.state))
    view.stop()
    console.export_text(clear=True)  # what the live table left
    console.print(view.render())
    return console.export_text()


@pytest.fixture
def told() -> Told:
    told = Told()
    told.ask(losses__l1_lambda=50.0)
    told.gray(80.0).report(0, 16, 90.0).report(0, 32, 60.0)
    told.ask(generator__backbone="scratch")
    told.report(1, 16, 95.5, "prune", "95.5 is above the cutoff 90 of 1 trial at rung 16", rung=16)
    told.fault(told.ask(losses__l1_lambda=70.0), "Traceback:\n  somewhere\nOSError: no room")
    told.report(told.ask(losses__l1_lambda=71.0), 144, 88.0, "end", "trained to its end")
    told.ask(losses__l1_lambda=99.0)
    return told


def test_every_trial_has_a_line_with_what_it_does(plan: Plan, told: Told) -> None:
    lines = picture(plan, told).splitlines()

    def line(start: str) -> list[str]:
        (found,) = (line for line in lines if line.startswith(start))
        return re.split(r"  +", found.strip())

    assert line("trial") == [
        "trial",
        "stage",
        "images",
        "objective",
        "loss",
        "accuracy",
        "status",
    ]
    assert line("000_lite0_lambda50") == [
        "000_lite0_lambda50",
        "adversarial",
        "32",
        "60.00",
        "3.03",
        "75%",
        "running: between rungs",
    ]
    assert line("001_scratch_lambda84")[1:4] == ["adversarial", "16", "95.50"]
    assert line("001_scratch_lambda84")[-1] == (
        "pruned: 95.5 is above the cutoff 90 of 1 trial at rung 16"
    )
    assert line("002_lite0_lambda70") == ["002_lite0_lambda70", "0", "failed: OSError: no room"]
    assert line("003_lite0_lambda71")[-1] == "completed: trained to its end"
    assert line("004_lite0_lambda99") == ["004_lite0_lambda99", "0", "running: starting"]


def test_the_headline_tells_progress_and_the_best_against_gray(plan: Plan, told: Told) -> None:
    text = picture(plan, told, after=65.0)
    assert "toy  3 of 8 trials ended, 1 pruned  |  1:05 elapsed, about " in text
    assert "best so far 60.00 by 000_lite0_lambda50; 25.0% under gray (80.00)" in text


def test_before_the_first_report_there_is_no_forecast(plan: Plan) -> None:
    told = Told()
    told.ask()
    text = picture(plan, told, after=5.0)
    assert "0 of 8 trials ended, 0 pruned  |  0:05 elapsed, starting" in text
    assert "first reports are on their way" in text


def test_trials_that_do_not_fit_give_way_to_those_that_run(plan: Plan) -> None:
    told = Told()
    for number in range(30):
        told.ask(losses__l1_lambda=100.0 + number)
        if number not in (3, 29):
            told.report(number, 16, 90.0, "prune")
    lines = picture(plan, told, terminal(height=20)).splitlines()
    shown = [int(line[:3]) for line in lines if re.match(r"\d{3}_", line)]
    assert shown == [3, *range(19, 30)]
    assert len(lines) <= 20


def test_a_terminal_shows_the_table_live_and_leaves_it(plan: Plan, told: Told) -> None:
    console = terminal()
    view = LiveView(plan, console, clock=Watch())
    view.start(StudyState())
    view.take(Event(record=told.records[-1], state=told.state))
    view.stop()
    view.stop()
    text = console.export_text()
    assert "001_scratch_lambda84" in text
    assert "pruned: 95.5 is above the cutoff 90" in text


# --- where it is no terminal


def said(plan: Plan, told: Told, records: list[Record], before: float = 0.0) -> list[str]:
    """Lines of a log, of which the first says that the study begins."""
    console, watch = log(), Watch()
    view = LiveView(plan, console, clock=watch)
    view.start(StudyState())
    watch.now += before
    for record in records:
        view.take(Event(record=record, state=told.state))
    view.stop()
    first, *lines = console.export_text().splitlines()
    assert first == "starting Ray and the first trials"
    return lines


def test_a_log_has_one_line_a_report(plan: Plan) -> None:
    told = Told()
    told.ask(losses__l1_lambda=50.0)
    told.report(0, 16, 90.0, reason="first at rung 16", rung=16)
    told.ask(generator__backbone="scratch")
    told.report(1, 16, math.nan, "prune", "the objective is not a finite number at 16 images")
    told.report(0, 144, 61.23456, "end", "trained to its end, 144 images")
    lines = said(plan, told, told.records, before=3661.0)
    assert len(lines) == 5
    asked, report, other, pruned, ended = lines
    assert asked == (
        "1:01:01  000_lite0_lambda50  begins: lambda 50, lr D 0.0001, backbone "
        "efficientnet_lite0, pretraining 0"
    )
    assert report.startswith(
        "1:01:01  000_lite0_lambda50  adversarial  16 images  objective 90  loss 5.882  "
        "accuracy 75%  goes on: first at rung 16  (about "
    )
    assert "001_scratch_lambda84  begins: " in other
    assert "objective nan" in pruned
    assert "PRUNED: the objective is not a finite number at 16 images" in pruned
    assert "objective 61.23 " in ended
    assert "completed: trained to its end, 144 images" in ended


def test_a_log_tells_faults_by_their_last_line(plan: Plan) -> None:
    told = Told()
    told.ask()
    told.fault(0, "Traceback:\n  [bold]somewhere[/]\nOSError: no [room]", final=False)
    told.fault(0, "the worker died")
    again, failed = said(plan, told, told.records[1:])
    assert again == "0:00  000_lite0_lambda84  is taken up again: OSError: no [room]"
    assert failed == "0:00  000_lite0_lambda84  failed: the worker died"


def test_a_log_of_a_whole_study(plan: Plan) -> None:
    console = log()
    view = LiveView(plan, console)
    view.start(StudyState())
    records = run(plan, Workers(in_flight=3), observers=[view.take])
    view.stop()
    lines = console.export_text().splitlines()
    told = [record for record in records if record.record in ("ask", "report")]
    assert len(lines) == 1 + len(told)
    assert sum("PRUNED" in line for line in lines) > 2
    assert all(re.match(r"\d:\d\d  \d{3}_", line) for line in lines[1:])


@pytest.mark.parametrize(
    ("value", "gray", "text"),
    [
        (60.0, 80.0, "25.0% under"),
        (80.0, 80.0, "0.0% under"),
        (88.0, 80.0, "10.0% ABOVE"),
        (1.0, 0.0, "not under"),
    ],
)
def test_how_far_from_gray(value: float, gray: float, text: str) -> None:
    assert against_gray(value, gray) == text
