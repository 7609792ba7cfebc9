"""Views on their way to shared storage while a study runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote.mirror import Publisher
from raycolor.study.opening import AnyJournal
from raycolor.study.segments import SegmentJournal


@contextmanager
def publishing(plan: Plan, journal: AnyJournal, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Bring a study's views to its shared storage now and then, and at the end of the block.

    Nothing is done for a study in a folder of this machine.

    Args:
        plan: of the study.
        journal: of the study, open; once another driver has taken it over, nothing more is brought.
        tell: hears what could not be brought there.
    """
    if not isinstance(journal, SegmentJournal):
        yield
        return
    publisher = Publisher(plan.files, may_bring=lambda: not journal.is_taken)
    try:
        yield
    except CheckpointError:
        # The storage is away, and it was waited for already; or the study is another driver's.
        publisher.stop()
        raise
    except BaseException:
        publisher.close()
        raise
    publisher.close()
    if publisher.problem is not None:
        tell(publisher.problem)
