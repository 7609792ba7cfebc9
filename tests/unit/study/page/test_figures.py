"""The charts show what the journal says."""

import math
from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.study.page import figures
from raycolor.study.standings import values_at
from raycolor.study.state import StudyState
from tests.unit.study.fakes import BUDGET, GRAY, OBJECTIVE
from tests.unit.study.page.studies import sick_study
from tests.unit.study.told import Told


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyState, Plan]:
    return sick_study(tmp_path_factory.mktemp("study"))


def test_the_race_has_every_finite_report_once(study: tuple[StudyState, Plan]) -> None:
    state, plan = study
    figure = figures.race(state, plan, GRAY)
    drawn = [
        (x, y)
        for trace in figure.data
        if trace.mode == "lines+markers"
        for x, y in zip(trace.x, trace.y, strict=True)
        if x is not None
    ]
    reported = [
        (report.images_seen, value)
        for trial in state.trials
        for report in trial.reports
        if math.isfinite(value := report.metrics.get(OBJECTIVE, math.nan))
    ]
    assert sorted(drawn) == sorted(reported)


def test_the_race_marks_pruned_trials_with_their_reason(study: tuple[StudyState, Plan]) -> None:
    state, plan = study
    figure = figures.race(state, plan, None)
    texts = [text for trace in figure.data if trace.mode == "markers" for text in trace.text]
    symbols = [s for t in figure.data if t.mode == "markers" for s in t.marker.symbol]
    for trial in state.trials:
        if trial.status == "pruned" and math.isfinite(trial.best(OBJECTIVE)):
            place = next(
                i for i, text in enumerate(texts) if text.startswith(f"{trial.number:03d}")
            )
            assert trial.reason in texts[place]
            assert symbols[place].startswith("x")


def test_losses_are_blue_and_accuracy_is_red(study: tuple[StudyState, Plan]) -> None:
    state, plan = study
    trial = next(t for t in state.trials if t.chosen["pretraining.images"] and len(t.reports) > 1)
    loss, accuracy = figures.losses(trial, plan).data
    assert (loss.name, loss.line.color) == ("generator loss", figures.BLUE)
    assert (accuracy.name, accuracy.line.color) == ("discriminator accuracy", figures.RED)
    assert list(loss.x) == [report.images_seen for report in trial.reports]


def test_without_a_game_there_is_the_loss_alone(study: tuple[StudyState, Plan]) -> None:
    _, plan = study
    told = Told()
    told.report(told.ask(losses__kind="l1", pretraining__images=48), 16, 70.0)
    figure = figures.losses(told.state.trials[0], plan)
    (loss,) = figure.data
    assert (loss.name, loss.line.color) == ("generator loss", figures.BLUE)
    (marked,) = figure.layout.annotations
    assert marked.text == "pretraining"


def test_what_is_no_number_is_a_gap(study: tuple[StudyState, Plan]) -> None:
    _, plan = study
    told = Told()
    number = told.ask()
    told.report(number, 16, 70.0)
    told.records[-1].metrics["generator_loss"] = math.nan  # type: ignore[union-attr]  # a report
    del told.records[-1].metrics["discriminator_accuracy"]  # type: ignore[union-attr]
    loss, accuracy = figures.losses(told.state.trials[0], plan).data
    assert list(loss.y) == list(accuracy.y) == [None]


def test_slices_and_lines_have_the_trials_that_have_the_setting(
    study: tuple[StudyState, Plan],
) -> None:
    state, plan = study
    values = values_at(state, plan, 16)
    path = "pretraining.learning_rate"
    (trace,) = figures.slice_of(path, plan.space.search[path], state.trials, values).data
    having = [t for t in state.trials if path in t.chosen and t.number in values]
    assert list(trace.x) == [trial.chosen[path] for trial in having]
    assert list(trace.y) == [values[trial.number] for trial in having]
    lines = figures.parallel(plan.space.search, state.trials, values, state.trials[0]).data
    assert len(lines) == min(len(values), figures.MOST_LINES)
    # Every place lies on its axis, or below it where the setting does not exist.
    place = list(plan.space.search).index(path)
    absent = [line for line in lines if line.y[place] < 0]
    assert len(absent) == len(lines) - len(having)
    assert all(-0.2 < y <= 1 for line in lines for y in line.y)
    winner = [line for line in lines if line.line.color == figures.ORANGE]
    assert [line.name[:3] for line in winner] == ["000"]


def test_a_study_of_thousands_shares_traces(tmp_path: Path, study: tuple[StudyState, Plan]) -> None:
    _, plan = study
    told = Told()
    for value in range(3000):
        told.report(told.ask(), 16, 50.0 + value, "prune", rung=16)
    told.report(told.ask(), BUDGET, 40.0, "end", rung=BUDGET)
    assert len(figures.race(told.state, plan, GRAY).data) == 4
