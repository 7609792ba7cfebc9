"""A folder on shared storage, through pyarrow's file systems: S3, Google's, or a mounted disk.

Every file in it is complete or absent. Object stores give that themselves; elsewhere a file is
written beside its place and moved. All calls are tried again for half a minute before they raise.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from raycolor.files import PART, replacing
from raycolor.remote.address import below
from raycolor.storage import HopelessError, Patience

T = TypeVar("T")

BLOCK = 8 * 2**20
"""Bytes that are copied at once."""
CONNECT_S, REQUEST_S = 5.0, 60.0
"""How long one request to S3 may take; pyarrow's own limits give up on slow links."""

_KEYS = "check the credentials (environment, ~/.aws, or the machine's role) and their rights"
_HOPELESS: Mapping[str, str] = {
    "NO_SUCH_BUCKET": "there is no such bucket; make it, or name another one",
    "ACCESS_DENIED": f"access is denied; {_KEYS}",
    "INVALID_ACCESS_KEY_ID": f"the access key is not known; {_KEYS}",
    "SIGNATURE_DOES_NOT_MATCH": f"the secret key is not the right one; {_KEYS}",
    "INVALID_CLIENT_TOKEN_ID": f"the credentials are not known; {_KEYS}",
    "UNRECOGNIZED_CLIENT": f"the credentials are not known; {_KEYS}",
    "MISSING_AUTHENTICATION_TOKEN": f"no credentials were found; {_KEYS}",
    "EXPIRED_TOKEN": f"the credentials have run out; {_KEYS}",
}
"""What no waiting mends, by the name that S3 gives it."""


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
            with system.open_input_stream(f"{base}/{name}") as file:
                return bytes(file.read(at_most))

        return self._patience.read(self.where(name), _translated(attempt))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, complete or not at all; an older one is replaced.

        Args:
            name: of the file.
            content: all of it.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            with self._put(name) as stream:
                stream.write(content)

        self._patience.write(self.where(name), _translated(attempt))

    def upload(self, path: Path, name: str) -> None:
        """Write a file of this machine, complete or not at all.

        Raises:
            FileNotFoundError: it is not there any more.
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> None:
            with path.open("rb") as source, self._put(name) as stream:
                while block := source.read(BLOCK):
                    stream.write(block)

        if not path.is_file():
            raise FileNotFoundError(path)
        self._patience.write(self.where(name), _translated(attempt))

    def download(self, name: str, path: Path) -> None:
        """Copy a file to this machine, complete or not at all.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the storage, or this machine's disk, refuses and went on refusing.
        """

        def attempt() -> None:
            system, base = self._open()
            with (
                system.open_input_stream(f"{base}/{name}") as source,
                replacing(path) as beside,
                beside.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, BLOCK)

        self._patience.read(self.where(name), _translated(attempt))

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

        self._patience.write(self.where(target), _translated(attempt))

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

        self._patience.write(self.where(name), _translated(attempt))

    def files(self, under: str = "") -> dict[str, Entry]:
        """List the complete files below a folder; none if there is no such folder.

        Args:
            under: the folder, without a slash at its end; all of the bucket's if empty.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """

        def attempt() -> dict[str, Entry]:
            from pyarrow.fs import FileSelector, FileType

            system, base = self._open()
            top = f"{base}/{under}" if under else base
            selector = FileSelector(top, recursive=True, allow_not_found=True)
            found = sorted(system.get_file_info(selector), key=lambda info: info.path)
            if not found and system.type_name == "s3":
                # An empty listing is all that S3's client tells of a bucket that is not there.
                (bucket,) = system.get_file_info([base.partition("/")[0]])
                if bucket.type == FileType.NotFound:
                    raise HopelessError(_HOPELESS["NO_SUCH_BUCKET"])
            return {
                info.path.removeprefix(f"{base}/"): Entry(size=info.size)
                for info in found
                if info.type == FileType.File and not info.path.endswith(PART)
            }

        return self._patience.read(
            self.where(under) if under else self.address, _translated(attempt)
        )

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

    def __enter__(self) -> Any:
        if not self._atomic:
            _make_folder(self._system, self._path)
        self._stream = self._system.open_output_stream(self._written)
        return self._stream

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._stream.close()
            if not self._atomic:
                self._system.move(self._written, self._path)
        elif not self._atomic:
            # What an object store was given so far may become a short file; readers check hashes.
            try:
                self._stream.close()
                self._system.delete_file(self._written)
            except OSError:
                return


def open_address(address: str) -> tuple[Any, str]:
    """Open pyarrow's file system of an address.

    Returns:
        The file system, and the path in it.

    Raises:
        OSError: it cannot be opened.
    """
    from pyarrow import fs

    parts = urlsplit(address)
    if parts.scheme != "s3":
        system, path = fs.FileSystem.from_uri(address)
        return system, path
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    system, path = fs.FileSystem.from_uri(f"s3://{parts.netloc}{parts.path}?region=us-east-1")
    if isinstance(system, fs.S3FileSystem):
        elsewhere = "endpoint_override" in options or any(
            os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
        )
        if "region" not in options:
            named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            if named or elsewhere:
                options["region"] = named or "us-east-1"
            else:
                options["region"] = fs.resolve_s3_region(parts.netloc)
        system = fs.S3FileSystem(
            **options,
            # A small file is one request then, not three.
            allow_delayed_open=True,
            connect_timeout=CONNECT_S,
            request_timeout=REQUEST_S,
        )
    return system, path


def _is_atomic(system: Any) -> bool:
    """Tell whether a file of a storage appears only when it is closed."""
    return system.type_name in ("s3", "gcs")


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{secrets.token_hex(4)}{PART}"


def _make_folder(system: Any, path: str) -> None:
    system.create_dir(path.rpartition("/")[0], recursive=True)


def _translated(attempt: Callable[[], T]) -> Callable[[], T]:
    """Tell errors that no waiting mends from others."""

    def translating() -> T:
        try:
            return attempt()
        except HopelessError:
            raise
        except OSError as error:
            name = re.search(r"AWS Error ([A-Z_]+)", str(error))
            if name and name[1] in _HOPELESS:
                raise HopelessError(_HOPELESS[name[1]]) from error
            raise

    return translating
