"""Workers that Ray ends as their machine runs out of memory, before Linux would end any process.

Ray tells of that by an error of its own. Tune takes it for one that cannot happen, and would end
the whole search (2.60); here it hears of a worker that died, as of any other.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ray.air.execution._internal import RayActorManager
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError

LOW = "killed due to the node running low on memory"
"""What Ray says of such a worker."""
_USED = re.compile(r"([\d.]+) ?GB(?: used)? / ([\d.]+) ?GB")
_WHERE = re.compile(r"node \(IP: ([^,\s]+)")


@contextmanager
def deaths_for_memory() -> Iterator[None]:
    """Let Tune go on when Ray ends a worker for want of memory.

    There is no public way to tell Tune what an error means.
    """
    whole = RayActorManager._actor_task_failed

    def heard(
        self: RayActorManager, tracked_actor_task: TrackedActorTask, exception: Exception
    ) -> None:
        # Tune calls it by the names of its arguments.
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        whole(self, tracked_actor_task=tracked_actor_task, exception=exception)

    RayActorManager._actor_task_failed = heard
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = whole


def lack_of_memory(said: str) -> str | None:
    """Say that a worker's machine ran out of memory, and what to do, if that is what Ray says.

    Args:
        said: by Ray, of a worker that died.

    Returns:
        One sentence without its end; None for another death.
    """
    if LOW not in said:
        return None
    used, where = _USED.search(said), _WHERE.search(said)
    machine = f"the machine{f' {where[1]}' if where else ''}"
    of = f" ({used[1]} of {used[2]} GB)" if used else ""
    return (
        f"{machine} ran out of memory{of}, and Ray ended the worker: run fewer trials at once "
        "(--concurrent N), or take a smaller budget.batch_size"
    )
