"""Views on their way to shared storage while a study runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raycolor.plan import Plan
from raycolor.remote.mirror import Publisher
from raycolor.storage import StorageError


@contextmanager
def publishing(plan: Plan, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Bring a study's views to its shared storage now and then, and at the end of the block.

    Nothing is done for a study in a folder of this machine.

    Args:
        plan: of the study.
        tell: hears what could not be brought there.
    """
    if plan.address_of_study is None:
        yield
        return
    publisher = Publisher(plan.files)
    try:
        yield
    except StorageError:
        # The storage is away, and it was waited for already.
        publisher.stop()
        raise
    except BaseException:
        publisher.close()
        raise
    publisher.close()
    if publisher.problem is not None:
        tell(publisher.problem)
