"""Prepared data sets: pixels on disk, mapped into memory.

A prepared data set is a folder:

    dataset.json       name, size, counts, source, fingerprint, what was skipped and why, and how
                       the pictures were made if `raycolor.prepare` made them
    train.arrow        Arrow IPC file, uncompressed: `pixels` (size * size * 3 uint8, row by row,
    validation.arrow   R G B) and `source` (the picture's name), one row a picture
    test.arrow

The files are memory-mapped: all trials of a node share one copy in the page cache. `raycolor.crops`
cuts batches from them. This module does not import torch, so that a driver checks its data at once.
"""

import hashlib
import json
import mmap
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raycolor.errors import DataError
from raycolor.files import replacing, write_text

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
FORMAT = 1
PHOTOS = Path(__file__).parent / "photos"
"""The built-in data set."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""Ends of the names of archives of photographs, which are not prepared yet."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic")
"""The same of photographs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """One split, memory-mapped."""

    pixels: np.ndarray
    """uint8, (number, size, size, 3), read-only."""
    sources: tuple[str, ...]
    """Name of each picture."""

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """A prepared data set, opened."""

    path: Path
    name: str
    size: int
    """Side of the stored square pictures, in pixels."""
    counts: Mapping[SplitName, int]
    fingerprint: str
    """SHA-256 over splits, names and pixels; equal on every machine."""

    def pictures(self, split: SplitName) -> Pictures:
        """Map one split into memory."""
        return _read_split(self.path / f"{split}.arrow", self.size)


def open_prepared(path: Path) -> PreparedData:
    """Open a prepared data set and check that it is complete.

    Args:
        path: its folder.

    Returns:
        The data set; pixels are mapped only when a split is asked for.

    Raises:
        DataError: the folder or one of its files is missing, of another format, or incomplete.
    """
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder; --data takes a prepared data set")
    about_path = path / "dataset.json"
    if not about_path.is_file():
        raise DataError(f"{path}: no dataset.json in it, so this is no prepared data set")
    data = described(about_path.read_bytes(), str(about_path), path)
    for split in SPLITS:
        found = len(data.pictures(split))
        if found != data.counts[split]:
            raise DataError(
                f"{path / split}.arrow: {found} pictures, but dataset.json says "
                f"{data.counts[split]}; prepare the data set again"
            )
    return data


def described(content: bytes, where: str, path: Path) -> PreparedData:
    """Read the description of a prepared data set, whose pixels may lie elsewhere.

    Args:
        content: of its `dataset.json`.
        where: what messages call that file.
        path: folder of the pixels.

    Raises:
        DataError: of another format, or damaged.
    """
    try:
        about = json.loads(content.decode("utf-8"))
        if about["format"] != FORMAT:
            raise DataError(
                f"{where}: format is {about['format']}, this raycolor reads {FORMAT}; "
                "prepare the data set again"
            )
        return PreparedData(
            path=path,
            name=about["name"],
            size=int(about["size"]),
            counts={split: int(about["counts"][split]) for split in SPLITS},
            fingerprint=about["fingerprint"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: not readable as a data set's description ({error!r}); "
            "prepare the data set again"
        ) from error


def verify(data: PreparedData) -> None:
    """Read all pixels and compare them with the fingerprint.

    Raises:
        DataError: a file was changed or damaged after it was prepared.
    """
    found = _fingerprint({split: data.pictures(split) for split in SPLITS})
    if found != data.fingerprint:
        raise DataError(
            f"{data.path}: the pixels have fingerprint {found[:12]}, dataset.json says "
            f"{data.fingerprint[:12]}: a file was changed or damaged; prepare the data set again"
        )


def write_prepared(
    path: Path,
    splits: Mapping[SplitName, Sequence[tuple[str, np.ndarray]]],
    *,
    name: str,
    source: str,
    skipped: Mapping[str, str] | None = None,
) -> PreparedData:
    """Write a prepared data set; `dataset.json` comes last, so that a torn one is never accepted.

    Args:
        path: an existing, empty folder, or one that holds an older version of the data set.
        splits: for each split, (name, uint8 pixels of shape (size, size, 3)).
        name: the data set's name.
        source: where the pictures came from, for people.
        skipped: pictures that were left out, with the reason.

    Returns:
        The data set, opened.

    Raises:
        DataError: pictures of different sizes or types, or a split without any.
    """
    shapes = {pixels.shape for rows in splits.values() for _, pixels in rows}
    dtypes = {pixels.dtype for rows in splits.values() for _, pixels in rows}
    if len(shapes) != 1 or dtypes != {np.dtype(np.uint8)}:
        raise DataError(
            f"{path}: pictures have shapes {sorted(shapes)} and types "
            f"{sorted(str(dtype) for dtype in dtypes)}; all must be uint8 of one square size"
        )
    (shape,) = shapes
    size = shape[0]
    if shape != (size, size, 3):
        raise DataError(f"{path}: pictures are {shape}; they must be (size, size, 3)")
    empty = [split for split in SPLITS if not splits.get(split)]
    if empty:
        raise DataError(f"{path}: no picture for {', '.join(empty)}; each split needs at least one")
    return write_rows(path, splits, size=size, name=name, source=source, skipped=skipped)


def write_rows(
    path: Path,
    splits: Mapping[SplitName, Iterable[tuple[str, np.ndarray]]],
    *,
    size: int,
    name: str,
    source: str,
    skipped: Mapping[str, str] | None = None,
    preparation: Mapping[str, Any] | None = None,
) -> PreparedData:
    """Write a prepared data set from rows that come one by one, as `write_prepared` does.

    Memory holds one row at a time; disk holds, besides, the rows of one split for a while.

    Args:
        path: as for `write_prepared`.
        splits: for each split, an iterable of (name, uint8 pixels of shape (size, size, 3)).
        size: side of the pictures in pixels.
        name: the data set's name.
        source: where the pictures came from, for people.
        skipped: pictures that were left out, with the reason.
        preparation: how the pictures were made, for people; as JSON.

    Returns:
        The data set, opened.

    Raises:
        DataError: a split without any picture.
    """
    (path / "dataset.json").unlink(missing_ok=True)
    for split in SPLITS:
        _write_split(path / f"{split}.arrow", splits[split], size)
    written = {split: _read_split(path / f"{split}.arrow", size) for split in SPLITS}
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "size": size,
        "counts": {split: len(written[split]) for split in SPLITS},
        "source": source,
        "fingerprint": _fingerprint(written),
        "skipped": dict(skipped or {}),
    }
    if preparation is not None:
        about["preparation"] = dict(preparation)
    write_text(path / "dataset.json", json.dumps(about, indent=2) + "\n")
    return open_prepared(path)


def _write_split(path: Path, rows: Iterable[tuple[str, np.ndarray]], size: int) -> None:
    """Write one split as a single record batch, as the reader wants it."""
    names: list[str] = []
    with tempfile.TemporaryFile(dir=path.parent) as raw:
        for name, pixels in rows:
            assert pixels.shape == (size, size, 3), (name, pixels.shape)
            names.append(name)
            raw.write(np.ascontiguousarray(pixels).data)
        if not names:
            raise DataError(f"{path}: no picture for it; each split needs at least one")
        raw.flush()
        # Arrow writes a record batch in one go: mapped, the pixels need not be in memory for it.
        mapped = pa.py_buffer(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))
        with replacing(path) as beside, pa.OSFile(str(beside), "wb") as sink:
            _write_batch(sink, names, mapped, size)


def _write_batch(sink: pa.NativeFile, names: Sequence[str], pixels: pa.Buffer, size: int) -> None:
    flat = pa.Array.from_buffers(pa.uint8(), pixels.size, [None, pixels])
    batch = pa.record_batch(
        {
            "source": pa.array(names, pa.string()),
            "pixels": pa.FixedSizeListArray.from_arrays(flat, size * size * 3),
        }
    )
    # A split may well have more than 2^31 bytes of pixels.
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def _read_split(path: Path, size: int) -> Pictures:
    try:
        # The map lives as long as the arrays that look into it.
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        if len(batches) != 1:
            raise DataError(f"{path}: {len(batches)} record batches, expected 1")
        column = batches[0].column("pixels")
        sources = tuple(batches[0].column("source").to_pylist())
        flat = column.flatten().to_numpy(zero_copy_only=True)
        return Pictures(pixels=flat.reshape(len(sources), size, size, 3), sources=sources)
    except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path}: not readable as a split of a prepared data set ({error}); prepare it again"
        ) from error


def _fingerprint(splits: Mapping[SplitName, Pictures]) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:
        pictures = splits[split]
        digest.update(f"{split}\0{len(pictures)}\0{pictures.pixels.shape[1]}\0".encode())
        digest.update("\0".join(pictures.sources).encode())
        digest.update(np.ascontiguousarray(pictures.pixels).data)
    return digest.hexdigest()
