"""Whether a file is the expected one: by SHA-256, MD5, size, beginning, or gzip's check sums."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from functools import cache
from io import BufferedRandom, BufferedReader
from pathlib import Path

CHUNK = 2**18
BEGINNING = 2**20
"""Bytes of a file that some publishers hash alone: the first MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a file's content."""

    sha256: str | None
    md5: str | None
    size: int | None
    md5_of_beginning: str | None = None
    """Of its first `BEGINNING` bytes."""

    @property
    def mark(self) -> str:
        """Part of the hidden name: what was left of other content is not gone on with."""
        return (self.sha256 or self.md5 or "unknown")[:8]

    def is_there(self, target: Path) -> bool:
        """Tell whether a file that has its name already is the expected one.

        Without a hash of all of it, size and beginning have to do: what has its name was read
        through before.
        """
        try:
            with target.open("rb") as file:
                return self._quick_problem(file) is None and self._hash_problem(file) is None
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False

    def problem(self, file: BufferedReader | BufferedRandom) -> str | None:
        """Say what is wrong with a file, from its beginning; None if nothing is."""
        problem = self._quick_problem(file) or self._hash_problem(file)
        if problem is None and self.sha256 is None and self.md5 is None:
            return _gzip_problem(file)
        return problem

    def _quick_problem(self, file: BufferedReader | BufferedRandom) -> str | None:
        """Say what is wrong with its size and its beginning."""
        size = os.fstat(file.fileno()).st_size
        if self.size not in (None, size):
            return f"it has {size} bytes, and not {self.size}"
        if self.md5_of_beginning is not None:
            file.seek(0)
            if hashlib.md5(file.read(BEGINNING)).hexdigest() != self.md5_of_beginning:
                return f"its first MiB has another MD5 than {self.md5_of_beginning}"
        return None

    def _hash_problem(self, file: BufferedReader | BufferedRandom) -> str | None:
        """Say which hash of all of it is another one."""
        size = os.fstat(file.fileno()).st_size
        for name, wanted in (("sha256", self.sha256), ("md5", self.md5)):
            file.seek(0)
            if wanted is None:
                continue
            # MD5 is what some publishers give; against accidents, not against forgers.
            if not hashlib.file_digest(file, name).hexdigest().startswith(wanted):
                title = "SHA-256" if name == "sha256" else "MD5"
                return f"its {size} bytes have another {title} than {wanted}"
        return None


def fits(path: Path, sha256: str) -> bool:
    """Tell whether a file is there and its SHA-256 begins with these hex digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(sha256)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False


def sha256_of(path: Path) -> str:
    """Hash a file, once as long as its size and time stay the same; in hex.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    about = path.stat()
    return _hashed(path, about.st_size, about.st_mtime_ns)


@cache
def _hashed(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file; size and time tell whether an earlier answer still holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _gzip_problem(file: BufferedReader | BufferedRandom) -> str | None:
    """Unpack a gzip file to its end, which compares its check sums; nothing is kept of it."""
    file.seek(0)
    if file.read(2) != b"\x1f\x8b":
        return None
    file.seek(0)
    try:
        with gzip.open(file) as unpacked:
            while unpacked.read(CHUNK):
                pass
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"as a gzip file it is damaged: {error}"
    return None
