"""The archive of CIFAR-10 for Python: batches of pictures of 32 pixels, kept as pickles.

Each batch holds `data`, bytes of shape (pictures, 3072) with 1024 of red, of green and of blue, row
by row, and `filenames`. Nothing is unpickled: `raycolor.preparation.pickles` reads them.

Source: https://www.cs.toronto.edu/~kriz/cifar.html; Krizhevsky, "Learning Multiple Layers of
Features from Tiny Images", 2009.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raycolor.errors import DataError
from raycolor.preparation.listing import Contents, Listing
from raycolor.preparation.pickles import ByteArray, NotPlain, plain_value
from raycolor.preparation.skips import Skip, printable
from raycolor.preparation.tars import Tar

SIDE = 32
"""Of its pictures, in pixels."""
BATCH_NAME = re.compile(r"(?:.*/)?((data|test)_batch(?:_\d)?)")
HEADER = b"P6 %d %d 255\n" % (SIDE, SIDE)
"""Of a picture without compression. Source: the manual of Netpbm's format PPM."""


class Cifar:
    """The archive; it can only be read from its start, so it is read twice."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing:
        """List the pictures, as `train/data_batch_1/00000_NAME.png`.

        Raises:
            DataError: damaged, no archive of CIFAR-10, or one that would run something.
        """
        listing = Listing()
        for names, _ in self._batches():
            for name in names:
                listing.add(name, name)
        listing.settle()
        if not listing.candidates:
            raise DataError(
                f"{self._path}: has no data_batch and no test_batch in it; take the archive for "
                "Python, cifar-10-python.tar.gz"
            )
        return listing

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Read pictures in the order in which they lie in the archive.

        Raises:
            DataError: damaged, or changed since it was listed.
        """
        missing = set(wanted)
        for names, rgb_u8 in self._batches():
            for name, picture in zip(names, rgb_u8, strict=True):
                if name in missing:
                    missing.remove(name)
                    yield name, HEADER + np.ascontiguousarray(picture).tobytes()
        if missing:
            raise DataError(f"{self._path}: was changed while it was read; begin again")

    def _batches(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Go through the batches; memory holds one.

        Yields:
            Its pictures' names, and their pixels: uint8, (pictures, 32, 32, 3).
        """
        for name, content in Tar(self._path).members(BATCH_NAME.fullmatch):
            match = BATCH_NAME.fullmatch(name)
            assert match is not None
            where = f"{self._path}: {printable(name)}"
            if isinstance(content, Skip):
                raise DataError(f"{where} cannot be read ({content}); take the published archive")
            try:
                batch = plain_value(content)
            except NotPlain as error:
                raise DataError(
                    f"{where} is no batch of CIFAR-10: its pickle {printable(str(error))}; nothing "
                    "of it was run; take the published archive"
                ) from error
            files, pixels = _checked(batch, where)
            split = "train" if match[2] == "data" else "test"
            names = [f"{split}/{match[1]}/{n:05}_{_safe(file)}" for n, file in enumerate(files)]
            planes = np.frombuffer(pixels.content, np.uint8).reshape(-1, 3, SIDE, SIDE)
            yield names, planes.transpose(0, 2, 3, 1)


def _checked(batch: Any, where: str) -> tuple[list[bytes | str], ByteArray]:
    """Take the names and pixels out of a batch.

    Raises:
        DataError: it has others, or none.
    """
    tree = {_text(key): value for key, value in batch.items()} if isinstance(batch, dict) else {}
    files, pixels = tree.get("filenames"), tree.get("data")
    if (
        not isinstance(files, list)
        or not all(isinstance(file, bytes | str) for file in files)
        or not isinstance(pixels, ByteArray)
        or pixels.shape != (len(files), 3 * SIDE * SIDE)
    ):
        raise DataError(
            f"{where} is no batch of CIFAR-10: it needs `data` of {3 * SIDE * SIDE} bytes for each "
            "of its `filenames`; take the published archive"
        )
    return files, pixels


def _text(key: object) -> object:
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _safe(file: bytes | str) -> str:
    """Keep what may stand in a name; the number before it makes it the only one."""
    text = file.decode("latin-1") if isinstance(file, bytes) else file
    name = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:100]
    return name if name.lower().endswith(".png") else f"{name}.png"
