"""What a user reads in the end: the answer, and what to type next."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from raycolor.plan import Plan
from raycolor.study.closing import print_closing
from tests.unit.study.fakes import make
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def closing(plan: Plan, told: Told, *, finished: bool = True, width: int = 120) -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    print_closing(console, told.state, plan, finished=finished)
    return console.export_text()


@pytest.fixture
def told() -> Told:
    told = Told()
    told.ask(generator__backbone="scratch")
    told.gray(80.0).report(0, 16, 90.0, "prune")
    told.ask(pretraining__images=48, pretraining__learning_rate=0.0012345)
    told.report(1, 16, 70.0).report(1, 144, 60.0, "end")
    told.report(told.ask(losses__l1_lambda=30.0), 16, math.nan, "prune")
    return told


def test_the_answer(plan: Plan, told: Told) -> None:
    assert (
        "Best: 001_lite0_lambda84, fd_efficientnet_lite0_best 60.00, 25.0% under gray (80.00)."
        in closing(plan, told).splitlines()
    )


def test_the_leaderboard(plan: Plan, told: Told) -> None:
    lines = [" ".join(line.split()) for line in closing(plan, told).splitlines()]
    start = lines.index(
        "rank trial status objective lambda lr D backbone pretraining lr pre images"
    )
    assert lines[start + 1 : start + 5] == [
        "1 001_lite0_lambda84 completed 60.00 84 0.0001 lite0 48 0.0012 144",
        "gray reference 80.00 0",
        "2 000_scratch_lambda84 pruned 90.00 84 0.0001 scratch 0 16",
        "002_lite0_lambda30 pruned 30 0.0001 lite0 0 16",
    ]


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_terminal_still_tells_names_and_values(plan: Plan, told: Told, width: int) -> None:
    text = closing(plan, told, width=width)
    for word in ("001_lite0_lambda84", "completed", "60.00", "000_scratch_lambda84", "90.00"):
        assert word in text
    assert "…" not in text


def test_a_long_leaderboard_says_where_the_rest_is(plan: Plan) -> None:
    told = Told()
    told.gray(80.0)
    for number in range(20):
        told.report(told.ask(), 16, 60.0 + number)
    text = closing(plan, told)
    assert "014_lite0" in text
    assert "015_lite0" not in text
    # 20 trials and gray.
    assert f"and 6 more in {plan.folder}/leaderboard.csv" in text.replace("\n", "")


def test_the_next_commands(plan: Plan, told: Told) -> None:
    lines = closing(plan, told, width=40).splitlines()
    assert f"Look at the page    {plan.folder}/report.html" in lines
    assert f"Compare the trials  tensorboard --logdir {plan.folder}/tensorboard" in lines
    assert f"Ask why             python -m raycolor.show {plan.folder} --explain TRIAL" in lines
    assert f"Colour a photo      python -m raycolor.colorize PHOTO --from {plan.folder}" in lines
    assert "Search further      the same command with --trials 16" in lines
    unfinished = closing(plan, told, finished=False)
    assert "Search further" not in unfinished


def test_an_unfinished_study_says_how_to_go_on(plan: Plan, told: Told) -> None:
    sentence = "The study is not finished; the same command goes on with it."
    assert sentence not in closing(plan, told)
    assert sentence in closing(plan, told, finished=False)


def test_a_winner_that_does_not_beat_gray_is_called_so(plan: Plan) -> None:
    told = Told()
    told.gray(80.0).report(told.ask(), 144, 88.0, "end")
    text = " ".join(closing(plan, told).split())
    assert "88.00, 10.0% ABOVE gray (80.00)." in text
    assert "By this distance it is no colorizer yet: grey pictures score better." in text


def test_before_any_report(plan: Plan) -> None:
    told = Told()
    told.ask()
    assert "No trial has reported yet." in closing(plan, told, finished=False)


def test_when_all_trials_diverged(plan: Plan) -> None:
    told = Told()
    told.gray(80.0).report(told.ask(), 16, math.nan, "prune")
    text = closing(plan, told, width=400)
    assert f"No trial has a score; the reasons stand in {plan.folder}/leaderboard.csv." in text
