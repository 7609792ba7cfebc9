"""An older study moved aside, so that a new one can have its name; nothing is deleted."""

from collections.abc import Callable
from itertools import count

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote.bucket import Bucket
from raycolor.study.opening import open_journal
from raycolor.study.segments import held


def move_aside(plan: Plan, *, tell: Callable[[str], None] | None = None) -> str | None:
    """Give a study the first free name of NAME.1, NAME.2 and so on.

    Args:
        plan: of the new study, whose name the old one has.
        tell: hears why this takes a minute, where it does.

    Returns:
        Where the old study is now; None if there was none.

    Raises:
        CheckpointError: a search works on it, or the storage refuses.
    """
    if plan.remote is not None:
        return _move_aside_there(plan, Bucket(plan.remote), tell)
    folder = plan.folder
    if not folder.exists():
        return None
    # Refuses while another driver works on it.
    open_journal(plan, tell=tell).close()
    place = next(n for n in count(1) if not folder.with_name(f"{folder.name}.{n}").exists())
    aside = folder.with_name(f"{folder.name}.{place}")
    try:
        folder.rename(aside)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be moved to {aside} ({error})") from error
    return str(aside)


def _move_aside_there(plan: Plan, bucket: Bucket, tell: Callable[[str], None] | None) -> str | None:
    """Copy a study on shared storage, then remove it; object stores cannot rename.

    The copy is complete before anything is removed. Then the journal goes first, its newest segment
    before the others: whatever kills this leaves the copy, and beside it a study that can be read
    or none at all.
    """
    if not bucket.files(plan.study):
        return None
    assert plan.address_of_study is not None
    with held(Bucket(plan.address_of_study), plan.folder, tell=tell):
        names = [n for n in bucket.files(plan.study) if not n.endswith("/lease.json")]
        journal = f"{plan.study}/journal/"
        names.sort(key=lambda name: (name.startswith(journal), name), reverse=True)
        aside = next(f"{plan.study}.{n}" for n in count(1) if not bucket.files(f"{plan.study}.{n}"))
        for name in names:
            bucket.copy(name, aside + name.removeprefix(plan.study))
        for name in names:
            bucket.delete(name)
    return bucket.where(aside)
