"""Rungs within a trial's own pretraining compare it, or let it pass, as the space says."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.study.halving import Halving
from raycolor.study.journal import read_journal
from raycolor.study.records import Ask, Reported
from raycolor.study.rules import replay
from tests.unit.study.fakes import (
    EVERY,
    RUNGS,
    SPACE,
    Curve,
    Workers,
    curve,
    make,
    run,
    sick_curve,
    story,
)
from tests.unit.study.test_engine import resume_until_finished
from tests.unit.study.test_views import session

WITHOUT = SPACE.replace(", compare_in_pretraining: true", "")
"""The default: a trial's first comparison is EVERY images after its own pretraining."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = make(tmp_path, WITHOUT)
    assert not plan.space.study.scheduler.compare_in_pretraining
    return plan


@pytest.mark.parametrize("trial_curve", [curve, sick_curve])
def test_a_trial_is_first_compared_some_images_after_its_pretraining(
    plan: Plan, trial_curve: Curve
) -> None:
    records = run(plan, Workers(curve=trial_curve, in_flight=3))
    assert replay(plan, records) == []
    length = {
        record.number: int(str(record.chosen["pretraining.images"]))
        for record in records
        if isinstance(record, Ask)
    }
    assert set(length.values()) >= {48, 96}
    first: dict[int, Reported] = {}
    for report in (record for record in records if isinstance(record, Reported)):
        own, seen, decision = length[report.number], report.images_seen, report.decision
        if own and seen < own + EVERY:
            assert decision.rung is None
            if decision.action == "go_on":
                assert decision.reason == "too soon after its pretraining to compare"
            continue
        if report.number in first:
            assert decision.rung == (seen if seen in RUNGS else None)
            continue
        first[report.number] = report
        assert seen == own + EVERY
        # On the highest rung that it has reached, not at the next one.
        assert decision.rung == {0: 16, 48: 48, 96: 48}[own]
    assert {length[number] for number in first} >= {48}
    assert len(first) > 2


def test_trials_of_one_pretraining_are_told_apart(tmp_path: Path) -> None:
    # Ten trials with one score until their ways part, the best of which comes last.
    for first, survivors in ((48, {7, 8, 9}), (0, set(range(10)))):
        halving = Halving((16, 48), 3, 100)
        alive = set(range(10))
        for images in (16, 32, 48, 64):
            for number in sorted(alive):
                value = 90.0 if images <= 32 else 50.0 - number
                decision = halving.decide(number, images, value, first=first)
                if decision.action == "prune":
                    alive.discard(number)
        assert alive >= survivors


def test_who_comes_late_to_a_rung_never_stands_on_those_below() -> None:
    halving = Halving((16, 48, 144), 2, 160)
    for images in (16, 32, 48):
        assert halving.decide(0, images, 50.0, first=64).rung is None
    late = halving.decide(0, 64, 50.0, first=64)
    assert (late.rung, late.standing) == (48, 0)
    for images in (80, 96):
        assert halving.decide(0, images, 50.0, first=64).rung is None
    others = [halving.decide(1, images, 40.0) for images in (16, 48)]
    assert [(one.rung, one.standing) for one in others] == [(16, 0), (48, 1)]
    assert halving.decide(0, 144, 40.0, first=64).standing == 0
    assert halving.decide(1, 144, 90.0).standing == 1


@pytest.mark.parametrize("images", [0, 16, 48, 63])
def test_a_fault_before_it_is_compared_counts_where_it_would_have_been(images: int) -> None:
    halving = Halving((16, 48, 144), 2, 160)
    halving.note_fault(0, images, first=64)
    assert [halving.decide(1, rung, 50.0).standing for rung in (16, 48, 144)] == [0, 1, 0]


def test_a_sick_value_before_it_is_compared_counts_there_too() -> None:
    halving = Halving((16, 48, 144), 2, 160)
    assert halving.decide(0, 16, 90.0, first=64).action == "go_on"
    assert halving.decide(0, 32, math.nan, first=64).action == "prune"
    assert [halving.decide(1, rung, 50.0).standing for rung in (16, 48, 144)] == [0, 1, 0]


@pytest.mark.parametrize("images", [0, 16, 48])
def test_one_that_goes_on_after_such_a_fault_is_compared_as_if_it_had_not_failed(
    images: int,
) -> None:
    halving = Halving((16, 48, 144), 2, 160)
    halving.note_fault(0, images, first=64)
    halving.note_reopened(0, images)
    assert halving.decide(1, 48, 50.0).standing == 0
    again = halving.decide(0, 64, 90.0, first=64)
    assert (again.rung, again.standing, again.action) == (48, 1, "prune")


@pytest.mark.parametrize(
    ("pretraining", "points"),
    [(0, (16, 48, 144)), (8, (24, 48, 144)), (40, (56, 144)), (96, (112, 144)), (140, (156,))],
)
def test_points_of_comparison(plan: Plan, pretraining: int, points: tuple[int, ...]) -> None:
    assert plan.comparison_points(pretraining) == points


def test_points_of_comparison_are_the_rungs_where_pretraining_counts(tmp_path: Path) -> None:
    plan = make(tmp_path)
    assert [plan.comparison_points(images) for images in (0, 48, 96)] == [RUNGS] * 3


def test_the_cost_counts_how_late_trials_are_compared(plan: Plan, tmp_path: Path) -> None:
    # Of 8 trials a third each with 0, 48 and 96; one in 3 survives.
    whole = 16 + (48 - 16) / 3 + (144 - 48) / 9
    late = [64 + (144 - 64) / 3, 112 + (144 - 112) / 3]
    assert plan.smallest_cost() == math.ceil(8 * (whole + sum(late)) / 3)
    assert make(tmp_path / "other").smallest_cost() == math.ceil(8 * whole)
    assert "first is 16 after pretraining" in plan.describe()


@pytest.mark.parametrize("trial_curve", [curve, sick_curve])
def test_killed_anywhere_it_equals_the_uninterrupted_one(
    plan: Plan, trial_curve: Curve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    expected = story(run(plan, Workers(curve=trial_curve)))
    again = make(tmp_path / "again", WITHOUT)
    rng = np.random.default_rng(1)
    assert resume_until_finished(again, Workers(curve=trial_curve), rng) > 3
    assert story(read_journal(again.folder / "journal")) == expected


def test_a_study_of_before_has_it_as_it_was(plan: Plan) -> None:
    tree = plan.as_tree()
    for part, setting in (("scheduler", "compare_in_pretraining"), ("searcher", "repeats")):
        del tree["study"][part][setting]
    settings = restored_plan(tree, plan.folder).space.study
    assert settings.scheduler.compare_in_pretraining
    assert settings.searcher.repeats


def test_an_older_study_goes_on_with_it_as_it_is_now(tmp_path: Path) -> None:
    before = make(tmp_path)
    session(before, Workers(curve=curve, in_flight=3), most_reports=9, close=False)
    now = make(tmp_path, WITHOUT)
    records = run(now, Workers(curve=curve, in_flight=3))
    assert replay(now, records) == []
    reasons = [record.decision.reason for record in records if isinstance(record, Reported)]
    assert "too soon after its pretraining to compare" not in reasons[:9]
    assert "too soon after its pretraining to compare" in reasons[9:]
