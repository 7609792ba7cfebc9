"""What checkpoints cost is measured between reports, and told with what to do about it."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.plan import Plan
from raycolor.study.answer import cost_sentence
from raycolor.study.closing import print_closing
from raycolor.study.findings import findings
from raycolor.study.saving import saving, saving_sentence
from tests.unit.study.fakes import make
from tests.unit.study.page.studies import page_of
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def told_with(kept_s: float, worked_s: float, *, reports: int = 3, plan: Plan) -> Told:
    """A trial whose every checkpoint took the same; a report tells of those before it."""
    told = Told().session(plan).gray()
    number = told.ask()
    for place in range(reports):
        more = {
            "train_seconds": 0.75 * worked_s * (place + 1),
            "evaluate_seconds": 0.25 * worked_s * (place + 1),
            "checkpoint_seconds": kept_s * place,
        }
        told.report(number, 16 * (place + 1), 70.0, more=more)
    return told


def test_the_last_checkpoint_is_set_against_no_time(plan: Plan) -> None:
    for reports in (2, 3, 9):
        found = saving(told_with(1.0, 19.0, reports=reports, plan=plan).state)
        assert found is not None
        assert found.share == pytest.approx(0.05)
        assert found.seconds_between == pytest.approx(19.0)


def test_what_cannot_be_told_is_not(plan: Plan) -> None:
    assert saving(Told().state) is None
    assert saving(told_with(1.0, 19.0, reports=1, plan=plan).state) is None
    old = Told()
    number = old.ask()
    old.report(number, 16, 70.0).report(number, 32, 70.0)
    assert saving(old.state) is None
    assert saving_sentence(None, plan) == ""
    diverged = told_with(1.0, 19.0, plan=plan).report(0, 64, math.nan, "prune")
    diverged.state.trials[0].last_metrics.clear()
    assert saving(diverged.state) is not None


def test_trials_count_by_their_time(plan: Plan) -> None:
    told = told_with(1.0, 99.0, plan=plan)
    number = told.ask()
    for place, kept in enumerate((0.0, 4.0)):
        more = {"train_seconds": 20.0 * (place + 1), "checkpoint_seconds": kept}
        told.report(number, 16 * (place + 1), 70.0, more=more)
    found = saving(told.state)
    assert found is not None
    assert found.share == pytest.approx((2 + 4) / (2 + 4 + 198 + 20))


@pytest.mark.parametrize(
    ("kept_s", "worked_s", "sentence"),
    [
        (1.0, 99.0, "Checkpoints and pictures took 1.0% of the trials' time."),
        (0.0, 99.0, "Checkpoints and pictures took 0.0% of the trials' time."),
        (
            1.0,
            9.0,
            (
                "Checkpoints and pictures took 10.0% of the trials' time, more than 5%: there is a "
                "checkpoint at every report, here every 9 s: a larger budget.report_every (now 16) "
                "makes fewer, in a new study."
            ),
        ),
        (
            100.0,
            900.0,
            (
                "Checkpoints and pictures took 10.0% of the trials' time, more than 5%: most of "
                "them are those between reports: a larger budget.checkpoint_seconds (now 120) "
                "makes fewer, and this study takes it."
            ),
        ),
    ],
)
def test_the_sentence_stands_with_the_cost(
    plan: Plan, kept_s: float, worked_s: float, sentence: str
) -> None:
    told = told_with(kept_s, worked_s, plan=plan)
    assert saving_sentence(saving(told.state), plan) == sentence
    text = cost_sentence(findings(told.state, plan), plan)
    assert f"was spent on evaluation. {sentence}" in text


def test_the_closing_and_the_page_tell_it(plan: Plan) -> None:
    told = told_with(1.0, 99.0, plan=plan)
    console = Console(file=io.StringIO(), record=True, width=200)
    print_closing(console, told.state, plan, finished=False)
    assert "Checkpoints and pictures took 1.0% of the trials' time." in console.export_text()
    page = page_of(told.state, plan).replace("&#39;", "'")
    assert "Checkpoints and pictures took 1.0% of the trials' time." in page
