"""A disk behind a file system of pyarrow that counts calls, and fails when it is told to."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from raycolor.remote import bucket as bucket_module
from raycolor.remote.bucket import Bucket
from raycolor.storage import Patience

Fails = Callable[[int, str], bool]
"""From the number of a call, beginning with 1, and its name: whether it fails."""


class FailingDisk(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """Hands all calls on to a disk, but those that fail."""

    def __init__(self, fails: Fails) -> None:
        self._disk = fs.LocalFileSystem()
        self._fails = fails
        self.calls: list[str] = []

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        if self._fails(len(self.calls), name):
            raise OSError(errno.EIO, f"call {len(self.calls)} ({name}) fails")
        return getattr(self._disk, name)(*arguments, **options)

    def get_type_name(self) -> str:
        return "failing"

    def normalize_path(self, path: str) -> str:
        return str(self._disk.normalize_path(path))

    def get_file_info(self, paths: list[str]) -> Any:
        return self._call("get_file_info", paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self._call("get_file_info", selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self._call("create_dir", path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._call("delete_dir", path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool) -> None:
        self._call("delete_dir_contents", path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._call("delete_file", path)

    def move(self, source: str, target: str) -> None:
        self._call("move", source, target)

    def copy_file(self, source: str, target: str) -> None:
        self._call("copy_file", source, target)

    def open_input_stream(self, path: str) -> Any:
        return self._call("open_input_stream", path)

    def open_input_file(self, path: str) -> Any:
        return self._call("open_input_file", path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return self._call("open_output_stream", path, metadata=metadata)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return self._call("open_append_stream", path, metadata=metadata)


@contextmanager
def disk(monkeypatch: pytest.MonkeyPatch, fails: Fails) -> Iterator[FailingDisk]:
    """All buckets that are opened in the block lie on such a disk."""
    handler = FailingDisk(fails)
    system = fs.PyFileSystem(handler)
    with monkeypatch.context() as patched:
        patched.setattr(
            bucket_module, "open_address", lambda address: (system, address.removeprefix("file://"))
        )
        yield handler


def bucket(folder: Path, *, tries: int = 6) -> Bucket:
    """A bucket in a folder, which does not wait between its tries."""
    waits = Patience((0.0,) * (tries - 1), sleep=lambda seconds: None)
    return Bucket(f"file://{folder}", patience=waits)
