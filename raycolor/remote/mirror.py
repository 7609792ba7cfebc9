"""The driver's folder on its own disk, for a study on shared storage.

Views are written there and brought to the shared storage now and then; what trials kept there is
fetched when a view needs it. The folder can be deleted at will while no search runs.

    trial of another machine -> shared storage -> here: pictures and the best generators
    here -> shared storage: leaderboard, tables, TensorBoard, page, best/
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

from raycolor.errors import CheckpointError
from raycolor.files import PART
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience, StorageError

TRIALS = "checkpoints"
"""Folder of what trials keep, which they bring to the shared storage themselves."""
JOURNAL = "journal"
LOCK = "driver.lock"
"""As in `raycolor.study.segments`; it is of this machine alone."""
ORIGIN = ".origin"
"""File with the name of the journal's first segment: of which study this is a mirror."""
HEAD = 65_536
"""Bytes at the beginning of a file that are compared."""
SECONDS_BETWEEN = 30.0
"""Views are brought to the shared storage at most this often."""


class Mirror:
    """A study's folder on this machine, and its files on shared storage where it lies there."""

    def __init__(self, folder: Path, address: str | None) -> None:
        """Name both.

        Args:
            folder: on this machine.
            address: of the study on shared storage; None where `folder` is the study itself.
        """
        self.folder = folder
        self.bucket = None if address is None else Bucket(address)
        self._verified: dict[str, tuple[int, int]] = {}

    def fetch(self, name: str) -> Path:
        """Return the path of a file that a trial kept, on this machine.

        Args:
            name: relative to the study's folder.

        Returns:
            Its path; nothing is there if the study has no such file.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        path = self.folder / name
        if self.bucket is None:
            return path
        state = _state(path)
        if state is not None and state == self._verified.get(name):
            return path
        # One of that name may be of an older study with this one's name.
        if not is_copy(path, self.bucket, name):
            with suppress(FileNotFoundError):
                self.bucket.download(name, path)
        if (state := _state(path)) is not None:
            self._verified[name] = state
        return path

    def files(self, under: str) -> list[str]:
        """Name the files in a folder of the study, relative to the study's folder.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        if self.bucket is not None:
            return list(self.bucket.files(under))
        found = (self.folder / under).rglob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file())

    def remove(self, name: str) -> None:
        """Remove a file that a trial kept, here and there.

        Raises:
            OSError, StorageError: a storage refuses.
        """
        (self.folder / name).unlink(missing_ok=True)
        if self.bucket is not None:
            self.bucket.delete(name)

    def belongs(self, first_segment: str) -> bool:
        """Tell whether this folder is known to mirror this study."""
        try:
            return (self.folder / ORIGIN).read_text(encoding="utf-8") == first_segment
        except OSError:
            return False

    def belong(self, first_segment: str) -> None:
        """Make sure that this folder mirrors this study, and not an older one of its address.

        Args:
            first_segment: name of the journal's first segment.

        Raises:
            CheckpointError: the folder of the older one cannot be moved aside.
        """
        mark = self.folder / ORIGIN
        if self.belongs(first_segment):
            return
        try:
            # Without a mark it may be that of a machine that worked for an older study.
            if self.folder.is_dir() and any(p.name != LOCK for p in self.folder.iterdir()):
                number = next(
                    n
                    for n in count(1)
                    if not self.folder.with_name(f"{self.folder.name}.{n}").exists()
                )
                aside = self.folder.with_name(f"{self.folder.name}.{number}")
                aside.mkdir()
                for path in self.folder.iterdir():
                    if path.name != LOCK:
                        path.rename(aside / path.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            mark.write_text(first_segment, encoding="utf-8")
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: cannot be written ({error.strerror or error}); name another "
                "folder in the environment variable RAYCOLOR_CACHE"
            ) from error


@cache
def study_files(folder: Path, address: str | None) -> Mirror:
    """Return the files of a study; the same object for the same study, since opening takes time."""
    return Mirror(folder, address)


def is_copy(path: Path, bucket: Bucket, name: str) -> bool:
    """Tell whether a file of this machine is that of a bucket, by its size and beginning.

    Checkpoints and generators have the SHA-256 of all their content at their beginning.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    if not path.is_file() or path.stat().st_size != bucket.size(name):
        return False
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        return head == bucket.read(name, at_most=HEAD)
    except FileNotFoundError:
        return False


def _state(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size


class Publisher:
    """Brings views to the shared storage, in a thread of its own, until it is closed.

    Attributes:
        problem: after `close`, why not all could be brought there; None if all is well.
    """

    def __init__(
        self,
        mirror: Mirror,
        *,
        may_bring: Callable[[], bool],
        seconds_between: float = SECONDS_BETWEEN,
    ) -> None:
        """Begin.

        Args:
            mirror: of a study on shared storage.
            may_bring: tells whether the study is still this driver's.
            seconds_between: two times that all is looked through.
        """
        self._may_bring = may_bring
        assert mirror.bucket is not None
        self._folder = mirror.folder
        # Of its own: a storage that is away must not make the journal impatient.
        self._bucket = Bucket(mirror.bucket.address, patience=Patience())
        self._brought: dict[str, tuple[int, int]] = {}
        self._foreign_removed = False
        self._closed = threading.Event()
        self._seconds_between = seconds_between
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._bring_until_closed, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Bring nothing more."""
        self._closed.set()
        self._thread.join()

    def close(self) -> None:
        """Bring the last views there."""
        self.stop()
        try:
            self._bring()
        except StorageError as error:
            self.problem = (
                f"{error}. The journal lacks nothing; leaderboard, tables, page, TensorBoard and "
                f"best/ are complete in {self._folder}."
            )

    def _bring_until_closed(self) -> None:
        while not self._closed.wait(self._seconds_between):
            # The next time may succeed, and `close` says it if the last does not.
            with suppress(StorageError, OSError):
                self._bring()

    def _bring(self) -> None:
        if not self._may_bring():
            return
        found: dict[str, tuple[int, int]] = {}
        for path in sorted(self._folder.rglob("*")):
            name = str(path.relative_to(self._folder))
            if _is_view(name):
                with suppress(FileNotFoundError):
                    about = path.stat()
                    if path.is_file():
                        found[name] = (about.st_mtime_ns, about.st_size)
        for name, state in found.items():
            if self._brought.get(name) != state:
                # A view that was replaced meanwhile comes the next time.
                with suppress(FileNotFoundError):
                    self._bucket.upload(self._folder / name, name)
                    self._brought[name] = state
        stale = [name for name in self._brought if name not in found]
        if not self._foreign_removed and any(name.startswith("tensorboard/") for name in found):
            # Event files of earlier sessions on other machines would be curves beside the curves.
            stale += [name for name in self._bucket.files("tensorboard") if name not in found]
            self._foreign_removed = True
        for name in stale:
            self._bucket.delete(name)
            self._brought.pop(name, None)


def _is_view(name: str) -> bool:
    top, _, _ = name.partition("/")
    hidden = any(part.startswith(".") for part in name.split("/"))
    return top not in (TRIALS, JOURNAL, LOCK) and not hidden and not name.endswith(PART)
