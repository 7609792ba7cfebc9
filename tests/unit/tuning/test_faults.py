"""What a fault costs a trial: a machine that is lost is none of its own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from raycolor.tuning.adapters import MOST_LOSSES, Dispatcher, FaultCallback
from raycolor.tuning.waiting import StallWatch

LOST = """Failure # 2 (occurred at 2026-11-25_22-31-52)
The actor died unexpectedly before finishing this task.
\tclass_name: StudyTrainable
\tactor_id: 23fef4baf63e0c8014df5aeb01000000
\tpid: 212
\tip: 10.0.0.3
The actor died because its node has died. Node Id: 91d5498a2d584286
\tthe actor's node was terminated unexpectedly: health check failed
"""
CUT_OFF = """Failure # 1 (occurred at 2026-11-25_22-31-52)
The actor 23fef4 is unavailable: The actor is temporarily unavailable: RpcError: Socket closed
"""
DIED = """Failure # 1 (occurred at 2026-11-25_22-31-52)
The actor died unexpectedly before finishing this task.
\tip: 10.0.0.3
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR
"""


class Heard(Dispatcher):
    """Keeps what it hears, and has no study."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, bool]] = []

    def fault(self, trial_id: str, text: str, *, final: bool) -> None:
        self.faults.append((text, final))


class StandIn(Trial):  # type: ignore[misc]  # ray has no types
    """What a callback reads of one of Tune's trials."""

    def __init__(self) -> None:
        self.trial_id = "a"
        self.file = ""

    def __repr__(self) -> str:
        return self.trial_id

    @property
    def error_file(self) -> str:
        return self.file


@pytest.fixture
def heard() -> Heard:
    return Heard()


def fail(callback: FaultCallback, trial: Any) -> None:
    """Fail as Tune does: it counts first, and asks afterwards."""
    trial.run_metadata.num_failures += 1
    callback.on_trial_recover(0, [trial], trial)


def make(heard: Heard, tmp_path: Path, text: str) -> tuple[FaultCallback, Any]:
    path = tmp_path / "error.txt"
    path.write_text(text, encoding="utf-8")
    failures = SimpleNamespace(num_failures=0)
    trial = StandIn()
    trial.run_metadata, trial.file = failures, str(path)
    return FaultCallback(heard, StallWatch(print, lambda: "")), trial


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LOST, "its machine 10.0.0.3 was lost"),
        (DIED + LOST, "its machine 10.0.0.3 was lost"),
        (CUT_OFF, "its machine was not reached"),
    ],
)
def test_a_lost_machine_costs_no_try_within_reason(
    heard: Heard, tmp_path: Path, text: str, told: str
) -> None:
    callback, trial = make(heard, tmp_path, text)
    for _ in range(MOST_LOSSES):
        fail(callback, trial)
    assert trial.run_metadata.num_failures == 0
    fail(callback, trial)
    assert trial.run_metadata.num_failures == 1
    assert heard.faults == [(told, False)] * (MOST_LOSSES + 1)


@pytest.mark.parametrize("text", [DIED, LOST + DIED, ""])
def test_a_process_that_dies_costs_one(heard: Heard, tmp_path: Path, text: str) -> None:
    callback, trial = make(heard, tmp_path, text)
    fail(callback, trial)
    assert trial.run_metadata.num_failures == 1
    first = "The actor died unexpectedly before finishing this task." if text else "its worker died"
    assert heard.faults == [(first, False)]
