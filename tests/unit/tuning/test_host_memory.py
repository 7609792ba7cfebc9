"""A worker that Ray ends for want of memory is one that died: told plainly, and taken up again."""

from pathlib import Path

import pytest
from ray.air.execution._internal import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError, RayError
from ray.tune.experiment import Trial

from raycolor.tuning.host_memory import deaths_for_memory, lack_of_memory
from tests.unit.tuning.test_faults import Heard, fail, make

SAID = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "10.0.0.3, ID: 91d5498a2d584286) was 15.21GB used / 16.00GB limit (0.950625)\n"
    "Object store memory usage: [0.12GB / 1.00GB]\n"
    "Refer to the documentation on how to address the out of memory issue."
)
"""As the raylet of Ray 2.60 puts it together."""
PLAIN = (
    "the machine 10.0.0.3 ran out of memory (15.21 of 16.00 GB), and Ray ended the worker: run "
    "fewer trials at once (--concurrent N), or take a smaller budget.batch_size"
)


class Freed:
    """What a manager of actors needs of resources: to give them back."""

    def __init__(self) -> None:
        self.given_back: list[str] = []

    def free_resources(self, acquired_resource: str) -> None:
        self.given_back.append(acquired_resource)


def die(error: Exception) -> tuple[list[Exception], list[Exception], Freed]:
    """Let a task of a live actor fail; return what Tune hears of the actor and of the task."""
    freed = Freed()
    manager = RayActorManager(resource_manager=freed)
    of_actor: list[Exception] = []
    of_task: list[Exception] = []
    actor = TrackedActor(actor_id=7, on_error=lambda _, error: of_actor.append(error))
    manager._live_actors_to_ray_actors_resources[actor] = (None, "a core")
    task = TrackedActorTask(actor, on_error=lambda _, error: of_task.append(error))
    manager._actor_task_failed(tracked_actor_task=task, exception=error)  # as Tune calls it
    return of_actor, of_task, freed


def test_ray_s_own_error_would_end_the_search() -> None:
    """Where this fails, Tune has learnt it, and `deaths_for_memory` can go."""
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        die(OutOfMemoryError(SAID))


def test_tune_hears_of_a_dead_worker() -> None:
    whole = RayActorManager._actor_task_failed
    with deaths_for_memory():
        of_actor, of_task, freed = die(OutOfMemoryError(SAID))
        with pytest.raises(RuntimeError, match="unexpected"):
            die(RayError("another"))
    assert RayActorManager._actor_task_failed is whole
    (error,) = of_actor
    assert of_task == [error]
    assert isinstance(error, RayActorError)
    assert not error.preempted
    assert str(error) == SAID
    assert freed.given_back == ["a core"], "its core is free for another trial"


def test_the_fault_is_told_plainly_and_costs_one_try(tmp_path: Path) -> None:
    heard = Heard()
    # As Tune writes an error to the file that it keeps of a trial.
    callback, trial = make(heard, tmp_path, f"Failure # 1 (occurred at ...)\n{SAID}\n")
    fail(callback, trial)
    assert trial.run_metadata.num_failures == 1
    callback.on_trial_error(0, [trial], trial)
    assert heard.faults == [(PLAIN, False), (PLAIN, True)]


def test_tune_counts_it_as_any_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Tune's own book-keeping of a trial: it recovers as often as from other deaths."""
    heard = Heard()
    callback, trial = make(heard, tmp_path, "")
    monkeypatch.setattr(Trial, "local_path", str(tmp_path))
    monkeypatch.setattr(Trial, "is_restoring", False)
    trial.run_metadata.invalidate_cache = lambda: None
    Trial.handle_error(trial, RayActorError(error_msg=SAID))
    assert trial.run_metadata.num_failures == 1
    callback.on_trial_recover(0, [trial], trial)
    assert heard.faults == [(PLAIN, False)]


@pytest.mark.parametrize(
    "said",
    [
        "The actor died unexpectedly before finishing this task.\nWorker exit type: SYSTEM_ERROR",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "",
    ],
)
def test_other_deaths_are_none_of_these(said: str) -> None:
    assert lack_of_memory(said) is None


def test_words_that_change_leave_the_sense() -> None:
    told = lack_of_memory("2 worker(s) were killed due to the node running low on memory. Oh.")
    assert told is not None
    assert told.startswith("the machine ran out of memory, and Ray ended the worker: run fewer")


def test_what_ray_said_before_this_release_is_known_too() -> None:
    said = (
        "Task was killed due to the node running low on memory.\nMemory on the node (IP: 10.0.0.3, "
        "ID: 91d5) where the task (actor ID: 23fe, name=StudyTrainable.__init__, pid=212, memory "
        "used=2.31GB) was running was 7.62GB / 8.00GB (0.9525), which exceeds the memory usage "
        "threshold of 0.95."
    )
    told = lack_of_memory(said)
    assert told is not None
    assert told.startswith("the machine 10.0.0.3 ran out of memory (7.62 of 8.00 GB), and Ray")
