"""A look at a study of somebody else: its views, built from its journal in a folder of one's own.

    leaderboard.csv  trials.parquet  reports.parquet  plan.yaml  environment.json  report.html
    tensorboard/<trial>/  best/
    checkpoints/   pictures that were fetched for these

The study is only read: nothing of it is written, tidied, moved or deleted. The folder is not the
one in which a search on this machine keeps what it brings to the shared storage, and one look at a
time builds in it, which a lock beside it sees to.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from raycolor.errors import CheckpointError, ConfigError
from raycolor.files import write_text
from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.remote.address import check_address, is_address, last_name, look_of, parent, path_of
from raycolor.remote.mirror import LOCK, ORIGIN
from raycolor.storage import refusal
from raycolor.study.best import write_best
from raycolor.study.closing import PAGE
from raycolor.study.findings import findings
from raycolor.study.lock import Lock
from raycolor.study.news import JournalReader, Reader, SegmentReader
from raycolor.study.opening import studies_in
from raycolor.study.records import Session
from raycolor.study.segments import FOLDER
from raycolor.study.state import StudyState
from raycolor.study.tables import ReportsTable
from raycolor.study.tensorboard import TensorBoardView
from raycolor.study.views import write_environment, write_plan, write_tables

SHARE = 0.1
"""Share of the time that writing tables takes at most, and the page."""


class BusyError(CheckpointError):
    """Another look builds in the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which study is looked at, and from where."""

    named: str
    """The study, as the user named it."""
    folder: Path
    """Where its views are built; its last part is the study's name."""

    @property
    def address(self) -> str | None:
        """The study's on shared storage; None for one in a folder."""
        return self.named if is_address(self.named) else None

    def reader(self) -> Reader:
        """Return what reads the study's journal."""
        if self.address is not None:
            return SegmentReader(self.address)
        return JournalReader(Path(self.named).absolute())

    def plan(self, session: Session) -> Plan:
        """Make the study's plan again, with the look's folder for what is built.

        Raises:
            ConfigError: another raycolor wrote it.
        """
        if self.address is not None:
            return restored_plan(session.plan, self.folder, remote=parent(self.address))
        return restored_plan(session.plan, self.folder, seen=Path(self.named))

    def missing(self) -> CheckpointError:
        """Say that there is no study, and what is there instead.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        studies = studies_in(Path(self.named), self.address)
        hint = (
            f"it holds studies: {', '.join(studies)}"
            if studies
            else "name the folder of a study, as results/quickstart"
        )
        return CheckpointError(f"{self.named}: no study there; {hint}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other looks out of the folder.

        Raises:
            BusyError: another one builds there.
            CheckpointError: it cannot be written.
            ConfigError: it is a study's, or holds other files.
        """
        self._check()
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.folder.with_name(f".{self.folder.name}.lock"))
        except BlockingIOError as error:
            raise BusyError(
                f"{self.folder}: another raycolor.show builds there already; look at what it "
                "builds, or name another folder: --into FOLDER"
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: cannot be written ({error.strerror or error}); name another "
                "folder: --into FOLDER"
            ) from error
        try:
            yield
        finally:
            lock.close()

    def _check(self) -> None:
        here, study = self.folder.resolve(), path_of(self.named)
        of_study = study is not None and study.resolve() in (here, *here.parents)
        if of_study or (here / FOLDER).exists() or (here / LOCK).exists():
            raise ConfigError(
                f"{self.folder}: is a study's own folder, which is left as it is; name another "
                "folder: --into FOLDER"
            )
        if here.is_dir() and any(here.iterdir()) and not (here / ORIGIN).exists():
            raise ConfigError(
                f"{self.folder}: holds files that raycolor.show did not build; name another "
                "folder: --into FOLDER"
            )


def look_at(named: str, into: Path | None = None) -> Look:
    """Choose where a study's views are built.

    Args:
        named: the study, a folder or an address on shared storage.
        into: folder in which the look's folder is, under the study's name; one in the cache folder
            if not given.

    Raises:
        ConfigError: the address is none.
    """
    if is_address(named):
        check_address("STUDY", named)
        address, name = named, last_name(named)
    else:
        path = Path(named).resolve()
        address, name = path.as_uri(), path.name
    return Look(named=named, folder=look_of(address) if into is None else into / name)


class Builder:
    """Builds the views of a study in a look's folder, again and again.

    Attributes:
        plan: of the study's newest session.
    """

    def __init__(
        self, plan: Plan, *, page: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin.

        Args:
            plan: of the study, made by a look.
            page: where the page goes, if not into the folder.
            clock: seconds of this machine.
        """
        self.plan = plan
        self._events: TensorBoardView | None = None
        self._page = page or plan.folder / PAGE
        self._reports = ReportsTable()
        self._parts = {
            "tables": _Part(self._write_tables, clock),
            "page": _Part(self._write_page, clock),
        }

    def note(self) -> None:
        """Take note that the study has gone on."""
        for part in self._parts.values():
            part.behind = True

    def build(self, state: StudyState, *, all_of_it: bool = False) -> None:
        """Write what is new.

        Events come at once. Tables and the page are written anew each time, and wait where that
        would take more than a tenth of the time.

        Args:
            state: of the study, which has begun.
            all_of_it: wait with nothing.

        Raises:
            CheckpointError: the storage, or this machine's disk, refuses; the next time makes up
                for it.
        """
        try:
            if self._events is None:
                events = TensorBoardView(self.plan)
                events.rebuild(state)
                self._events = events
            else:
                self._events.catch_up(state)
            for part in self._parts.values():
                if part.behind and (all_of_it or part.is_due()):
                    part.write(state)
        except OSError as error:
            raise refusal(self.plan.folder, error) from error

    def close(self) -> None:
        """Close the files; the next `build` opens them again."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _write_tables(self, state: StudyState) -> None:
        write_plan(state.sessions[-1], self.plan)
        write_environment(state, self.plan)
        write_tables(state, self.plan, self._reports)
        # A trial that has a better generator by now has removed this one; the next report tells it.
        with suppress(FileNotFoundError):
            write_best(state, self.plan)
            for path in self.plan.folder.glob("checkpoints/*/best_*.safetensors"):
                path.unlink()

    def _write_page(self, state: StudyState) -> None:
        # It takes plotly, and a second.
        from raycolor.study.page.write import render

        write_text(self._page, render(findings(state, self.plan), state, self.plan))


class _Part:
    """Some views that are written anew each time, as seldom as they take long."""

    def __init__(self, write: Callable[[StudyState], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._next = clock()
        self.behind = True

    def is_due(self) -> bool:
        """Tell whether enough time has passed."""
        return self._clock() >= self._next

    def write(self, state: StudyState) -> None:
        """Write them."""
        began = self._clock()
        self._write(state)
        now = self._clock()
        self._next = now + (now - began) * (1 / SHARE - 1)
        self.behind = False
