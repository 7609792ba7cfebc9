"""A folder on shared storage, through pyarrow's file systems: S3, Google's, or a mounted disk.

Every file in it is complete or absent. Object stores give that themselves; elsewhere a file is
written beside its place and moved. All calls are tried again for half a minute
before they raise; for longer, where each try hangs first.
"""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any, TypeVar

from raycolor.cache import VARIABLE
from raycolor.files import PART, replacing
from raycolor.remote.address import below
from raycolor.remote.systems import HOPELESS, open_address, translated
from raycolor.storage import HopelessError, Patience

T = TypeVar("T")

BLOCK = 8 * 2**20
"""Bytes that are copied at once."""
AS_IT_IS: Mapping[str, None] = {"compression": None}
"""Otherwise pyarrow packs and unpacks files whose names end as those of packed ones, as `.gz`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a bucket."""

    size: int
    """In bytes."""


class Bucket:
    """A folder on shared storage.

    Names of files are relative to it, with slashes between their parts. It can be pickled, and is
    opened anew where it arrives.
    """

    def __init__(self, address: str, *, patience: Patience | None = None) -> None:
        """Name the folder; nothing is opened yet.

        Args:
            address: as `s3://bucket/studies/a`; settings of pyarrow's S3 may follow a `?`, as
                `?region=eu-west-1` or `?endpoint_override=localhost:9000&scheme=http`.
            patience: of all calls; half a minute if not given.
        """
        self.address = address
        self._patience = patience or Patience()
        self._opened: tuple[Any, str] | None = None
        self._writer = ThreadPoolExecutor(1)

    def __reduce__(self) -> tuple[type["Bucket"], tuple[str]]:
        return type(self), (self.address,)

    def __str__(self) -> str:
        return self.address

    def where(self, name: str) -> str:
        """Return the address of a file in it."""
        return below(self.address, name)

    def read(self, name: str, *, at_most: int | None = None) -> bytes:
        """Read a file, or its beginning.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> bytes:
            system, base = self._open()
            with system.open_input_stream(f"{base}/{name}", **AS_IT_IS) as file:
                return bytes(file.read(at_most))

        return self._patience.read(self.where(name), translated(attempt))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, complete or not at all; an older one is replaced.

        Args:
            name: of the file.
            content: all of it.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            with self._put(name) as put:
                put.write(content)

        def whole() -> None:
            # In a thread of its own: Ctrl-C between opening and writing would leave a stream that
            # an object store takes as an empty file, whenever it is forgotten. One thread for all,
            # so that what comes after an interrupted write comes after it.
            writing = self._writer.submit(translated(attempt))
            try:
                writing.result()
            except BaseException:
                wait([writing])
                raise

        self._patience.write(self.where(name), whole)

    def upload(self, path: Path, name: str) -> None:
        """Write a file of this machine, complete or not at all.

        Raises:
            FileNotFoundError: it is not there any more.
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            with path.open("rb") as source, self._put(name) as put:
                while block := source.read(BLOCK):
                    put.write(block)

        if not path.is_file():
            raise FileNotFoundError(path)
        self._patience.write(self.where(name), translated(attempt))

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if there is none.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> int | None:
            system, base = self._open()
            (info,) = system.get_file_info([f"{base}/{name}"])
            return int(info.size) if info.is_file else None

        return self._patience.read(self.where(name), translated(attempt))

    def download(self, name: str, path: Path) -> None:
        """Copy a file to this machine, complete or not at all.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the storage, or this machine's disk, refuses and went on refusing.
        """

        def attempt() -> None:
            system, base = self._open()
            with (
                system.open_input_stream(f"{base}/{name}", **AS_IT_IS) as source,
                replacing(path) as beside,
                beside.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, BLOCK)

        self._patience.read(self.where(name), translated(attempt))

    def download_on(self, name: str, path: Path) -> None:
        """Append to a file of this machine what it lacks of a large file; the reader checks hashes.

        Args:
            name: of the file.
            path: the beginning of it, from an earlier try; it may be absent. Its folder is there.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the storage, or this machine's disk, refuses and went on refusing.
        """

        def attempt() -> None:
            system, base = self._open()
            with system.open_input_file(f"{base}/{name}") as source, _on_disk(path) as target:
                size = source.size()
                if target.seek(0, os.SEEK_END) > size:
                    target.truncate(0)
                while (have := target.seek(0, os.SEEK_END)) < size:
                    # One request a block, and what came stays.
                    block = source.read_at(min(BLOCK, size - have), have)
                    if not block:
                        raise OSError("it ended before its end")
                    with _disk_told(path):
                        target.write(block)
                        target.flush()

        self._patience.read(self.where(name), translated(attempt))

    def copy(self, name: str, target: str) -> None:
        """Copy a file within the storage.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            system, base = self._open()
            if _is_atomic(system):
                system.copy_file(f"{base}/{name}", f"{base}/{target}")
                return
            beside = _beside(f"{base}/{target}")
            _make_folder(system, beside)
            system.copy_file(f"{base}/{name}", beside)
            system.move(beside, f"{base}/{target}")

        self._patience.write(self.where(target), translated(attempt))

    def delete(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            system, base = self._open()
            try:
                system.delete_file(f"{base}/{name}")
            except FileNotFoundError:
                return

        self._patience.write(self.where(name), translated(attempt))

    def children(self, under: str = "") -> list[str]:
        """Name what lies in a folder itself, sorted; names of folders end with a slash.

        Args:
            under: the folder, without a slash at its end; the bucket's own if empty.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> list[str]:
            from pyarrow.fs import FileType

            top, found = self._listed(under, recursive=False)
            names = {
                info.path.removeprefix(f"{top}/"): info.type == FileType.Directory for info in found
            }
            return [
                f"{name}/" if is_folder else name
                for name, is_folder in names.items()
                if not name.endswith(PART)
            ]

        return self._patience.read(
            self.where(under) if under else self.address, translated(attempt)
        )

    def files(self, under: str = "") -> dict[str, Entry]:
        """List the complete files below a folder; none if there is no such folder.

        Args:
            under: the folder, without a slash at its end; all of the bucket's if empty.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> dict[str, Entry]:
            from pyarrow.fs import FileType

            _, found = self._listed(under, recursive=True)
            _, base = self._open()
            return {
                info.path.removeprefix(f"{base}/"): Entry(size=info.size)
                for info in found
                if info.type == FileType.File and not info.path.endswith(PART)
            }

        return self._patience.read(
            self.where(under) if under else self.address, translated(attempt)
        )

    def _listed(self, under: str, *, recursive: bool) -> tuple[str, list[Any]]:
        """List a folder, in order; return its path in the storage too."""
        from pyarrow.fs import FileSelector, FileType

        system, base = self._open()
        top = f"{base}/{under}" if under else base
        selector = FileSelector(top, recursive=recursive, allow_not_found=True)
        found = sorted(system.get_file_info(selector), key=lambda info: info.path)
        if not found and system.type_name == "s3":
            # An empty listing is all that S3's client tells of a bucket that is not there.
            (bucket,) = system.get_file_info([base.partition("/")[0]])
            if bucket.type == FileType.NotFound:
                raise HopelessError(HOPELESS["NO_SUCH_BUCKET"])
        return top, found

    def _open(self) -> tuple[Any, str]:
        """Return pyarrow's file system and the folder's path in it."""
        if self._opened is None:
            system, path = open_address(self.address)
            self._opened = (system, path.rstrip("/"))
        return self._opened

    def _put(self, name: str) -> "_Put":
        system, base = self._open()
        return _Put(system, f"{base}/{name}")


class _Put:
    """A file that is there when the block ends well."""

    def __init__(self, system: Any, path: str) -> None:
        self._system = system
        self._path = path
        self._atomic = _is_atomic(system)
        self._written = path if self._atomic else _beside(path)

    def __enter__(self) -> "_Put":
        if not self._atomic:
            _make_folder(self._system, self._path)
        self._stream = self._system.open_output_stream(self._written, **AS_IT_IS)
        return self

    def write(self, content: bytes) -> None:
        """Add to it."""
        self._stream.write(content)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Nobody else has it, so it is gone here and not at some later time: an object store takes
        # what a forgotten stream was given as the whole file. Readers of long files check hashes.
        stream, self._stream = self._stream, None
        if kind is None:
            stream.close()
            if not self._atomic:
                _sync(self._system, self._written)
                self._system.move(self._written, self._path)
        elif not self._atomic:
            try:
                stream.close()
                self._system.delete_file(self._written)
            except OSError:
                return


@contextmanager
def _disk_told(path: Path) -> Iterator[None]:
    """Tell errors of this machine's disk from those of the storage."""
    try:
        yield
    except OSError as error:
        raise HopelessError(
            f"cannot be copied to {path} ({error.strerror or error}); make room there, or name "
            f"another folder in the environment variable {VARIABLE}"
        ) from error


@contextmanager
def _on_disk(path: Path) -> Iterator[BufferedRandom]:
    with _disk_told(path):
        file = path.open("a+b")
    with file:
        yield file


def _sync(system: Any, path: str) -> None:
    """Let a file outlive a power cut, where it lies on a disk of this machine."""
    if system.type_name == "local":
        with Path(path).open("rb") as file:
            os.fsync(file.fileno())


def _is_atomic(system: Any) -> bool:
    """Tell whether a file of a storage appears only when it is closed."""
    return system.type_name in ("s3", "gcs")


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{secrets.token_hex(4)}{PART}"


def _make_folder(system: Any, path: str) -> None:
    system.create_dir(path.rpartition("/")[0], recursive=True)
