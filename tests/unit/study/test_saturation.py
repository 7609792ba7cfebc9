"""A saturated discriminator is told where the trials are shown."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.plan import Plan
from raycolor.study.board import ROWS
from raycolor.study.closing import print_closing
from raycolor.study.leaderboard import rows
from raycolor.study.saturation import has_saturated, saturation_sentence
from tests.unit.study.fakes import make
from tests.unit.study.page.studies import page_of
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def play(told: Told, value: float, accuracies: list[float]) -> int:
    """Let a trial report these accuracies of its discriminator, every 16 images."""
    number = told.ask()
    for place, accuracy in enumerate(accuracies, start=1):
        told.report(number, 16 * place, value, more={"discriminator_accuracy": accuracy})
    return number


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([1.0] * 5, True),
        ([0.7, 0.8, *[0.996] * 5], True),
        ([1.0] * 4, False),
        ([*[1.0] * 6, 0.9], False),
        ([], False),
    ],
)
def test_the_last_five_reports_count(accuracies: list[float], expected: bool) -> None:
    told = Told()
    play(told, 70.0, accuracies)
    assert has_saturated(told.state.trials[0]) == expected


def test_closing_and_page_name_the_trials(plan: Plan) -> None:
    told = Told().session(plan).gray()
    play(told, 70.0, [1.0] * 5)
    play(told, 60.0, [0.7] * 9)
    console = Console(file=io.StringIO(), record=True, width=400)
    print_closing(console, told.state, plan, finished=False)
    sentence = (
        "Saturated discriminator: 000_lite0_lambda84, right nearly always in the last 5 reports. "
        "That is no sickness, but the generator may learn little more; a lower learning rate of "
        "the discriminator may help."
    )
    assert sentence in console.export_text()
    assert sentence in page_of(told.state, plan)


def test_healthy_trials_are_not_spoken_of(plan: Plan) -> None:
    told = Told().session(plan).gray()
    play(told, 60.0, [0.7] * 9)
    console = Console(file=io.StringIO(), record=True, width=400)
    print_closing(console, told.state, plan, finished=False)
    assert "aturated" not in console.export_text()
    assert "aturated" not in page_of(told.state, plan)


def test_only_trials_that_are_shown_are_named_and_few_of_them(plan: Plan) -> None:
    told = Told().session(plan).gray()
    for value in range(ROWS + 1):
        play(told, 60.0 + value, [1.0] * 5)
    listed = rows(told.state, plan)
    some = saturation_sentence(listed[2:4], told.state)
    assert some.startswith("Saturated discriminators: 002_lite0_lambda84 and 003_lite0_lambda84, ")
    many = saturation_sentence(listed[:ROWS], told.state)
    names = "000_lite0_lambda84, 001_lite0_lambda84, 002_lite0_lambda84 and others"
    assert many.startswith(f"Saturated discriminators: {names}, right")
