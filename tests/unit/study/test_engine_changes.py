"""A study whose plan changes between sessions goes on or is refused."""

from pathlib import Path
from typing import Any

import pytest

from raycolor.errors import ConfigError
from raycolor.plan import Plan
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal, read_journal
from raycolor.study.rules import Nothing, replay
from raycolor.study.state import TrialState, fold
from tests.unit.study.fakes import (
    BUDGET,
    EVERY,
    SPACE,
    Begin,
    Workers,
    make,
    metrics,
    run,
    sick_curve,
    story,
)


def test_more_trials_extend_a_study(tmp_path: Path, plan: Plan) -> None:
    short = run(make(tmp_path, trials=4), Workers(curve=sick_curve))
    extended = run(plan, Workers(curve=sick_curve))
    assert story(extended)[: len(story(short))] == story(short)
    whole = run(make(tmp_path / "whole"), Workers(curve=sick_curve))
    assert story(extended) == story(whole)
    assert replay(plan, extended) == []


def test_a_finished_study_has_nothing_to_hand_out(begin: Begin, plan: Plan) -> None:
    run(plan)
    engine = begin(plan)
    assert engine.finished
    assert engine.ask() is Nothing.LEFT


def test_a_study_is_finished_when_every_trial_of_the_plan_has_ended(
    begin: Begin, tmp_path: Path
) -> None:
    engine = begin(make(tmp_path, trials=2))
    assert not engine.finished
    first, second = engine.ask(), engine.ask()
    assert isinstance(first, TrialState)
    assert isinstance(second, TrialState)
    assert engine.ask() is Nothing.LEFT
    engine.report(first.number, EVERY, "", metrics(50.0, EVERY))
    assert engine.report(second.number, EVERY, "", metrics(60.0, EVERY)).action == "prune"
    assert not engine.finished
    engine.fault(first.number, "died", final=False)
    assert not engine.finished
    engine.report(first.number, BUDGET, "", metrics(50.0, BUDGET))
    assert engine.finished


def test_what_may_change_at_a_resume(tmp_path: Path, plan: Plan) -> None:
    run(plan, most_reports=3)
    changed = make(
        tmp_path,
        SPACE.replace("trials: 8", "trials: 5\n  resources: {cpus: 3}"),
        trials=6,
        concurrent=2,
        address="ray://10.0.0.1:10001",
        time_budget_s=60.0,
    )
    assert fold(run(changed)).trials[-1].number == 5


@pytest.mark.parametrize(
    ("text", "flags", "difference"),
    [
        (SPACE, {"seed": 4}, "seed: was 0, is now 4"),
        (
            SPACE,
            {"overrides": {"losses.l1_lambda": 100}},
            "fixed.losses.l1_lambda: was None, is now 100.0",
        ),
        (
            SPACE.replace("high: 1000", "high: 2000"),
            {},
            "search.losses.l1_lambda.high: was 1000.0, is now 2000.0",
        ),
        (
            SPACE.replace("reduction: 3", "reduction: 2"),
            {},
            "study.scheduler.reduction: was 3, is now 2",
        ),
        (
            SPACE.replace("budget.images: 144", "budget.images: 96"),
            {},
            "fixed.budget.images: was 144, is now 96; it can only grow",
        ),
        (
            SPACE,
            {"overrides": {"generator.width": 32}},
            "fixed.generator.width: was 64, is now 32",
        ),
    ],
)
def test_another_plan_in_the_same_folder_is_refused(
    tmp_path: Path, plan: Plan, text: str, flags: dict[str, Any], difference: str
) -> None:
    before = run(plan, most_reports=2)
    changed = make(tmp_path, text, **flags)
    with Journal(changed.folder / "journal") as journal, pytest.raises(ConfigError) as caught:
        Engine(changed, journal)
    head, *lines = str(caught.value).splitlines()
    assert head == (
        f"{plan.folder}: holds a study with another plan; give the old values, choose another "
        "--study, or move the old one aside with --fresh:"
    )
    assert f"  {difference}" in lines
    assert read_journal(plan.folder / "journal") == before


def test_the_same_data_may_lie_elsewhere(tmp_path: Path, plan: Plan) -> None:
    run(plan, most_reports=2)
    moved = make(tmp_path, data="mine")
    with Journal(moved.folder / "journal") as journal:
        Engine(moved, journal).begin({}, "abc")


def test_other_data_under_the_same_name_is_refused(plan: Plan) -> None:
    before = run(plan, most_reports=2)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        with pytest.raises(ConfigError, match=r"\n  data: photos holds other pictures now"):
            engine.begin({}, "abd")
    assert read_journal(plan.folder / "journal") == before


def test_other_weights_under_the_same_name_are_refused(plan: Plan) -> None:
    old, new = ({"weights": {"mine.pth": digit * 64}} for digit in "ab")
    with Journal(plan.folder / "journal") as journal:
        Engine(plan, journal).begin(old, "abc")
    before = read_journal(plan.folder / "journal")
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal)
        said = (
            r"other weights; .*\n  mine\.pth: holds other weights now \(SHA-256 b{12}, was a{12}\)"
        )
        with pytest.raises(ConfigError, match=said):
            engine.begin(new, "abc")
        assert read_journal(plan.folder / "journal") == before
        # A file that only one session used is no difference.
        engine.begin({"weights": {"other.pth": "c" * 64, **old["weights"]}}, "abc")
