"""Somebody who watches a lease says whether the driver lives, and nothing that does not show."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from raycolor.study.lease import EXPIRY_S, RENEW_S, Holder
from raycolor.study.pulse import Pulse
from raycolor.study.records import End
from raycolor.study.state import StudyState

ELSEWHERE = Holder(host="elsewhere", pid=7, since="2026-01-01 00:00:00 UTC", token="a")
HERE = replace(ELSEWHERE, host=platform.node(), pid=os.getpid())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_driver_elsewhere_lives_while_its_lease_changes(clock: Clock) -> None:
    pulse = Pulse(clock=clock)
    pulse.look(ELSEWHERE, news=False)
    assert pulse.lives() is None
    for beat in range(1, 5):
        clock.now += RENEW_S
        pulse.look(replace(ELSEWHERE, beat=beat), news=False)
        assert pulse.lives() is True
    clock.now += EXPIRY_S
    pulse.look(replace(ELSEWHERE, beat=4), news=False)
    assert pulse.lives() is True
    clock.now += 1
    pulse.look(replace(ELSEWHERE, beat=4), news=False)
    assert pulse.lives() is False
    # Another one takes the study up.
    pulse.look(replace(ELSEWHERE, token="b"), news=False)
    assert pulse.lives() is True


def test_news_show_that_it_lives(clock: Clock) -> None:
    pulse = Pulse(clock=clock)
    pulse.look(ELSEWHERE, news=False)
    pulse.look(ELSEWHERE, news=True)
    assert pulse.lives() is True


def test_one_that_never_moves_was_killed_after_a_minute(clock: Clock) -> None:
    pulse = Pulse(clock=clock)
    pulse.look(ELSEWHERE, news=False)
    clock.now += EXPIRY_S + 1
    pulse.look(ELSEWHERE, news=False)
    assert pulse.lives() is False
    assert pulse.sentence(StudyState()).startswith("was killed, or is cut off (process 7 on els")


def test_nothing_is_said_of_the_time_in_which_nobody_looked(clock: Clock) -> None:
    """As with `--every 300`, or while a page of ten thousand trials is written."""
    pulse = Pulse(clock=clock)
    for beat in (0, 15, 30):
        pulse.look(replace(ELSEWHERE, beat=beat), news=False)
        clock.now += 5 * EXPIRY_S
        assert pulse.lives() is (True if beat else None)
        assert pulse.sentence(StudyState()).startswith("runs")
    pulse.look(replace(ELSEWHERE, beat=30), news=False)
    assert pulse.lives() is False


def test_on_this_machine_it_shows_at_once(clock: Clock, tmp_path: Path) -> None:
    pulse = Pulse(clock=clock)
    pulse.look(HERE, news=False)
    assert pulse.lives() is True
    clock.now += 10 * EXPIRY_S
    assert pulse.sentence(StudyState()) == f"runs ({HERE})"


def test_every_state_has_its_sentence(clock: Clock) -> None:
    pulse = Pulse(clock=clock)
    pulse.look(None, news=False)
    assert pulse.lives() is False
    assert pulse.sentence(StudyState()).startswith("no search works on it")
    pulse.look(ELSEWHERE, news=False)
    told = StudyState(ending=End(time=0.0, reason="interrupted"))
    assert pulse.sentence(told).startswith("interrupted; the same command goes on with it")
    fresh = Pulse(clock=clock)
    fresh.look(ELSEWHERE, news=False)
    assert fresh.sentence(StudyState()).endswith("; that shows within a minute")
