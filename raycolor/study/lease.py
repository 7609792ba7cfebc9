"""The lease of a study: which driver works on it, written beside its journal and renewed.

On one machine, and on network folders that pass locks on, the journal's lock (flock) lets one
driver in; the lease tells a second one who the first is. Some network folders know no locks, and
no object store does: there the lease is the guard. The driver changes it every 20 s; another driver
takes it over only after it has watched it for a minute without seeing a change. So no clocks are
compared, and one that is set back or forward does no harm.

What that does not give where there are no locks: two drivers that take over in the same second
may both begin, until one of them finds the other's lease, at the latest after 20 s, and ends. A
driver that was stopped for more than a minute (SIGSTOP, a sleeping laptop) and goes on may write
until then too. Writing the lease only if it is unchanged would close both gaps; plain files cannot,
and pyarrow does not offer it for object stores. `raycolor.study.segments` closes both there in
another way.
"""

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from raycolor.errors import CheckpointError
from raycolor.files import PART

FILE = "lease.json"
RENEW_S = 20.0
"""Seconds between two renewals."""
EXPIRY_S = 60.0
"""Seconds without a change after which a lease is void."""
READS = 3
"""Times that a lease which makes no sense is read."""
POLL_S = 1.0
"""Seconds between two looks at the lease of another driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A driver, as its lease names it."""

    host: str
    pid: int
    since: str
    """When it began: date and time, UTC."""
    token: str
    """Of this driver alone."""
    beat: int = 0
    """Renewals so far: what changes while it lives."""
    mirror: str = ""
    """Its folder on its machine, which it has locked, where the study lies elsewhere."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def lives(self) -> bool | None:
        """Tell whether it is there; None of a driver on another machine."""
        if self.host != platform.node():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@runtime_checkable
class Slot(Protocol):
    """A place for one small text, as a file."""

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is.

        Raises:
            OSError, StorageError: it cannot be told.
        """
        ...

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all.

        Raises:
            OSError, StorageError: the storage refuses.
        """
        ...

    def clear(self) -> None:
        """Remove it.

        Raises:
            OSError, StorageError: the storage refuses.
        """
        ...


class FileSlot:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        """Return what is there; None if nothing is."""
        try:
            return self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all."""
        # Not `replacing`: a lease that is lost with the power is no loss, so nothing is synced.
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}{PART}")
        try:
            beside.write_bytes(content)
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)


class Lease:
    """The lease that this driver holds.

    Attributes:
        taken_by: another driver that has taken it over, once that is noticed; None before.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        tell: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        host: str | None = None,
        mirror: str = "",
    ) -> None:
        """Take the lease, if need be after the former one has run out.

        Args:
            slot: where it is written. The caller holds the lock of the folder that it lies in, or
                of `mirror`.
            tell: hears that this waits for a lease to run out.
            sleep: waits that many seconds.
            host: name of this machine, if not the system's.
            mirror: this driver's folder on this machine, where the study lies elsewhere.

        Raises:
            CheckpointError: another driver works on the study, or the storage refuses.
        """
        self.taken_by: Holder | None = None
        self._slot = slot
        self._holder = Holder(
            host=host or platform.node(),
            pid=os.getpid(),
            since=f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M:%S} UTC",
            token=secrets.token_hex(8),
            mirror=mirror,
        )
        try:
            former = read_holder(slot)
        except OSError as error:
            raise CheckpointError(
                f"{slot}: cannot be read ({error.strerror or error}); mend the storage, then give "
                "the same command again"
            ) from error
        # On this machine the lock has already told that the former driver is gone.
        here = (self._holder.host, self._holder.mirror)
        elsewhere = former is not None and (former.host, former.mirror) != here
        if former is not None and elsewhere:
            self._outwait(former, tell or (lambda text: None), sleep)
        try:
            self._write()
        except OSError as error:
            raise CheckpointError(
                f"{self._slot}: cannot be written ({error.strerror or error}); make room or mend "
                "the storage, then give the same command again"
            ) from error
        self._confirmed_at = time.time()
        if elsewhere:
            # Another one may have waited for the same lease; the last to write has it.
            sleep(POLL_S)
            self.renew()
            if self.taken_by is not None:
                raise self._refusal(self.taken_by)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_released, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Renew it before its time, if it was not renewed for long, as after a machine's sleep.

        The clock of the day is asked: the monotonic one may stand still while a machine sleeps.
        """
        if not 0 <= time.time() - self._confirmed_at <= EXPIRY_S / 2:
            self.renew()

    @property
    def is_doubtful(self) -> bool:
        """Tell whether it could not be renewed for so long that another driver may have it."""
        return not 0 <= time.time() - self._confirmed_at <= EXPIRY_S

    def renew(self) -> None:
        """Show that this driver lives, or notice that another one has taken over."""
        try:
            found = read_holder(self._slot)
        except (OSError, CheckpointError):
            # It cannot be told; written blindly it might end another driver's.
            return
        if found is not None and found.token != self._holder.token:
            self.taken_by = found
            return
        self._holder = replace(self._holder, beat=self._holder.beat + 1)
        # A storage that is away for a moment: the next renewal may come in time.
        with suppress(OSError, CheckpointError):
            self._write()
            self._confirmed_at = time.time()

    def release(self) -> None:
        """Give the lease back."""
        self._released.set()
        self._thread.join()
        with suppress(OSError, CheckpointError):
            found = read_holder(self._slot)
            if found is not None and found.token == self._holder.token:
                self._slot.clear()

    def _renew_until_released(self) -> None:
        while not self._released.wait(RENEW_S) and self.taken_by is None:
            self.renew()

    def _outwait(
        self, former: Holder, tell: Callable[[str], None], sleep: Callable[[float], None]
    ) -> None:
        """Watch another machine's lease until it has run out.

        Raises:
            CheckpointError: it is renewed.
        """
        tell(
            f"{former} worked on this study and has not said that it ended; watching for "
            f"{EXPIRY_S:g} s whether it lives."
        )
        for _ in range(round(EXPIRY_S / POLL_S)):
            sleep(POLL_S)
            try:
                found = read_holder(self._slot)
            except (OSError, CheckpointError):
                continue
            if found is None:
                return
            if found != former:
                raise self._refusal(found)

    def _refusal(self, holder: Holder) -> CheckpointError:
        return CheckpointError(
            f"{self._slot}: another search works on this study: {holder}; wait for it, or choose "
            "another --study"
        )

    def _write(self) -> None:
        self._slot.write(json.dumps(asdict(self._holder)).encode("utf-8"))


def read_holder(slot: Slot) -> Holder | None:
    """Read who holds a lease; None if nobody does, or what is there is none.

    Raises:
        OSError, StorageError: it cannot be told.
    """
    for _ in range(READS):
        content = slot.read()
        try:
            return None if content is None else Holder(**json.loads(content))
        except (ValueError, TypeError):
            # It may have been replaced while it was read.
            continue
    return None
