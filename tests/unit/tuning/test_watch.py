"""Workers that hang end themselves; those that are frozen are ended by the driver."""

import subprocess
import sys
from pathlib import Path

import pytest

from raycolor.tuning.watch import LOOK_S, PATIENCE_S, SilenceWatch

HANGS = """
import sys, time
from pathlib import Path
from raycolor.tuning.trainable import _alive

with _alive(1.0, Path(sys.argv[1])):
    def a_kernel_that_never_returns():
        time.sleep(float(sys.argv[2]))
    a_kernel_that_never_returns()
"""


@pytest.mark.parametrize(("seconds", "ends"), [(60.0, True), (0.1, False)])
def test_a_process_that_hangs_ends_itself_and_says_where(
    tmp_path: Path, seconds: float, ends: bool
) -> None:
    where = tmp_path / "trial" / "hung.txt"
    words = [sys.executable, "-c", HANGS, str(where), str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == (1 if ends else 0), done.stderr
    assert where.exists() == ends
    if ends:
        assert "a_kernel_that_never_returns" in where.read_text(encoding="utf-8")


def look(
    watch: SilenceWatch, start: int, seconds: int, running: list[str]
) -> list[tuple[int, str]]:
    """Look once a second; return when which trial was overdue."""
    return [
        (now, name)
        for now in range(start, start + seconds)
        for name in watch.overdue(float(now), running)
    ]


def test_a_silent_trial_is_overdue_once_and_again_after_the_same_time() -> None:
    watch = SilenceWatch(10.0)
    period = round(10 + PATIENCE_S)
    assert look(watch, 0, 2 * period + 1, ["a"]) == [(period, "a"), (2 * period, "a")]


def test_a_trial_that_is_heard_is_not_overdue() -> None:
    watch = SilenceWatch(10.0)
    for start in range(0, 300, 30):
        assert look(watch, start, 30, ["a"]) == []
        watch.hear("a")


def test_a_trial_that_does_not_run_is_not_watched() -> None:
    watch = SilenceWatch(10.0)
    look(watch, 0, 30, ["a"])
    look(watch, 30, 30, [])
    assert look(watch, 60, 30, ["a"]) == []


def test_while_the_driver_itself_waits_nobody_is_silent() -> None:
    watch = SilenceWatch(10.0)
    look(watch, 0, 30, ["a"])
    assert watch.overdue(10_000.0, ["a"]) == []


def test_without_a_limit_nobody_is_watched() -> None:
    watch = SilenceWatch(None)
    assert not watch.is_due(0.0)
    assert look(watch, 0, 3, ["a"]) == []
    assert watch.overdue(1e9, ["a"]) == []


def test_looks_are_a_second_apart() -> None:
    watch = SilenceWatch(10.0)
    assert watch.is_due(5.0)
    watch.overdue(5.0, [])
    assert not watch.is_due(5.0 + LOOK_S / 2)
    assert watch.is_due(5.0 + LOOK_S)
