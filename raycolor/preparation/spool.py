"""Rows of pixels on disk until it is known which of them are used, and where.

A hundred thousand pictures of 256 pixels are 20 GB: more than memory should hold.
"""

import os
from pathlib import Path

import numpy as np


class Spool:
    """A file with a place for each row; places that are never filled take no disk."""

    def __init__(self, path: Path, size: int) -> None:
        """Make the file.

        Args:
            path: where; nothing is there yet.
            size: side of the pictures in pixels.
        """
        self._size = size
        self._row_bytes = size * size * 3
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def put(self, place: int, pixels: bytes) -> None:
        """Keep a row."""
        assert len(pixels) == self._row_bytes
        rest, offset = memoryview(pixels), place * self._row_bytes
        while rest:
            num_written = os.pwrite(self._file, rest, offset)
            rest, offset = rest[num_written:], offset + num_written

    def get(self, place: int) -> np.ndarray:
        """Return a row that was kept: uint8, (size, size, 3)."""
        pixels = os.pread(self._file, self._row_bytes, place * self._row_bytes)
        return np.frombuffer(pixels, np.uint8).reshape(self._size, self._size, 3)
