"""A study's journal, wherever the study lies."""

from collections.abc import Callable
from pathlib import Path

from raycolor.plan import Plan
from raycolor.remote.address import below
from raycolor.remote.bucket import Bucket
from raycolor.study import lease
from raycolor.study.journal import FILE, Journal, read_journal
from raycolor.study.lease import FileSlot, Holder, read_holder
from raycolor.study.records import Record
from raycolor.study.segments import (
    FOLDER,
    SegmentJournal,
    holder,
    origin_of,
    read_segments,
)

AnyJournal = Journal | SegmentJournal


def open_journal(plan: Plan, *, tell: Callable[[str], None] | None = None) -> AnyJournal:
    """Open or create the journal of a study, for this process alone.

    Args:
        plan: of the study.
        tell: hears why opening it takes a minute, where it does.

    Raises:
        CheckpointError: another process writes it, it is damaged, or the storage refuses.
    """
    if plan.address_of_study is None:
        return Journal(plan.folder / "journal", tell=tell)
    journal = SegmentJournal(Bucket(plan.address_of_study), plan.folder, tell=tell)
    try:
        plan.files.belong(journal.origin)
    except BaseException:
        journal.close()
        raise
    return journal


def read_records(folder: Path, address: str | None) -> list[Record]:
    """Read all records of a study; an empty list if there is no journal.

    Args:
        folder: the study's on this machine.
        address: the study's on shared storage; None where it lies in `folder`.

    Raises:
        CheckpointError: the journal is damaged, or the storage refuses.
    """
    if address is None:
        return read_journal(folder / "journal")
    return read_segments(Bucket(address))


def is_here(plan: Plan) -> bool:
    """Tell whether the study's folder on this machine holds its views, not an older study's."""
    if plan.address_of_study is None:
        return True
    origin = origin_of(Bucket(plan.address_of_study))
    return origin is not None and plan.files.belongs(origin)


def holder_of(plan: Plan) -> Holder | None:
    """Read which driver works on a study, or did when it was killed; None if none does."""
    if plan.address_of_study is not None:
        return holder(Bucket(plan.address_of_study))
    return read_holder(FileSlot(plan.folder / "journal" / lease.FILE))


def studies_in(folder: Path, address: str | None) -> list[str]:
    """Name the studies in a folder, as command lines take them.

    Args:
        folder: on this machine.
        address: on shared storage; None for `folder` itself.
    """
    if address is None:
        return sorted(str(path.parent.parent) for path in folder.glob(f"*/journal/{FILE}"))
    parts = [name.split("/") for name in Bucket(address).files()]
    return [below(address, name) for name in sorted({p[0] for p in parts if p[1:2] == [FOLDER]})]
