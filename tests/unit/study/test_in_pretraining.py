"""Rungs within a trial's own pretraining compare it, or let it pass, as the space says."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

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

WITHOUT = SPACE.replace("reduction: 3", "reduction: 3, compare_in_pretraining: false")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path, WITHOUT)


@pytest.mark.parametrize("trial_curve", [curve, sick_curve])
def test_no_rung_within_its_own_pretraining_judges_a_trial(plan: Plan, trial_curve: Curve) -> None:
    records = run(plan, Workers(curve=trial_curve, in_flight=3))
    assert replay(plan, records) == []
    length = {
        record.number: int(str(record.chosen["pretraining.images"]))
        for record in records
        if isinstance(record, Ask)
    }
    assert len(set(length.values())) > 1
    judged: dict[int, int] = dict.fromkeys(RUNGS, 0)
    for report in (record for record in records if isinstance(record, Reported)):
        rung = report.decision.rung
        if report.images_seen <= length[report.number]:
            assert rung is None
            if report.decision.action == "go_on":
                assert report.decision.reason == "not compared in its pretraining"
        elif report.images_seen in RUNGS:
            assert rung == report.images_seen
            # Those that pass do not count among those that were there before.
            assert report.decision.standing is not None
            assert report.decision.standing <= judged[rung] + len(length)
            judged[rung] += 1
        elif math.isfinite(report.decision.value or math.nan):
            assert rung is None
    assert judged[EVERY] == sum(images == 0 for images in length.values())


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


def test_a_trial_never_stands_on_a_rung_that_it_passed() -> None:
    halving = Halving((16, 48, 144), 2, 160)
    for images in (16, 32, 48):
        assert halving.decide(0, images, 50.0, compared=False).rung is None
    # The first after its pretraining comes between rungs, and belongs to none behind it.
    assert halving.decide(0, 64, 50.0).rung is None
    others = [halving.decide(1, images, 90.0) for images in (16, 48)]
    assert [(decision.action, decision.standing) for decision in others] == [("go_on", 0)] * 2
    first = halving.decide(0, 144, 40.0)
    assert (first.rung, first.standing) == (144, 0)
    worse = halving.decide(1, 144, 90.0)
    assert (worse.action, worse.standing) == ("prune", 1)


def test_a_fault_counts_at_the_next_rung_that_judges() -> None:
    halving = Halving((16, 48, 144), 2, 160)
    sick = halving.decide(0, 16, math.nan, compared=False)
    assert sick.action == "prune"
    # It is the worst at 48; at 16, where it was not compared, the next one is the first.
    assert halving.decide(1, 16, 50.0).standing == 0
    assert halving.decide(1, 48, 50.0).standing == 1


def test_a_study_of_before_has_it_as_it_was(tmp_path: Path) -> None:
    assert make(tmp_path).space.study.scheduler.compare_in_pretraining
