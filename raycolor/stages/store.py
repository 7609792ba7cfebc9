"""The files of published prefixes on this machine, and those that other machines published.

    <prefix>-<images>-<hash>.safetensors    the state and the report at one image count

A file is complete or absent, and is checked by hash when it is read. Any of them may be deleted at
any time. Nothing here is ever a fault of the run that uses it: what cannot be read is trained, what
cannot be kept is not kept, and the first time a sentence says why.
"""

import math
import os
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from raycolor.cache import cache_folder
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.errors import CheckpointError
from raycolor.files import PART, is_there
from raycolor.stages.key import Point
from raycolor.storage import Patience, StorageError

VARIABLE = "RAYCOLOR_STAGES_GIB"
"""Environment variable: the most that a machine keeps, in GiB; 0 keeps and shares nothing."""
MOST_GIB = 4.0
ENDING = ".safetensors"
DAMAGED = ".damaged"
FORGOTTEN_SECONDS = 3600.0
"""A file that nobody has gone on writing for so long was left by a process that was killed."""


@runtime_checkable
class SharedStages(Protocol):
    """What other machines published; it raises nothing."""

    def has(self, name: str) -> bool:
        """Tell whether there is a file that takes less time to fetch than to train."""

    def fetch(self, name: str, path: Path) -> None:
        """Copy it to this machine, complete or not at all."""

    def offer(self, name: str, path: Path, seconds: float) -> None:
        """Publish a file of this machine, without waiting for it.

        Args:
            name: of it.
            path: where it lies.
            seconds: that it took to train.
        """


def stages_folder() -> Path:
    """Name the folder of this machine where prefixes are kept."""
    return cache_folder() / "stages"


def most_bytes() -> int:
    """Return how much may be kept, from the environment."""
    said = os.environ.get(VARIABLE, "").strip()
    try:
        gib = float(said or MOST_GIB)
    except ValueError:
        gib = math.nan
    if not 0 <= gib <= 2**20:
        warnings.warn(
            f"{VARIABLE}: {said!r} is no number of GiB; give one from 0 to {2**20}. Until then "
            f"{MOST_GIB:g} is taken",
            stacklevel=2,
        )
        gib = MOST_GIB
    return int(gib * 2**30)


class StageStore:
    """Published prefixes, as one process sees them."""

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int,
        shared: SharedStages | None = None,
        publishes: bool = True,
    ) -> None:
        """Name the folder; it is made when something is kept.

        Args:
            folder: on this machine.
            most_bytes: kept there; what was used least recently goes first.
            shared: what other machines published; None without others.
            publishes: whether anything is written, and not read alone.
        """
        self._folder = folder
        self._most_bytes = most_bytes
        self._shared = shared
        self._writable = publishes and most_bytes > 0

    def has(self, point: Point) -> bool:
        """Tell whether a prefix seems to be there."""
        if not self._most_bytes:
            return False
        return is_there(self._path(point)) or (
            self._shared is not None and self._shared.has(point.name)
        )

    def read(self, point: Point) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read a prefix; None if there is none that is whole.

        A damaged file is set aside as `*.damaged`.
        """
        path = self._path(point)
        if not self.has(point):
            return None
        if not is_there(path) and self._shared is not None:
            self._shared.fetch(point.name, path)
            self._trim(spared=path)
        try:
            tensors, about = load_tensors(path)
        except CheckpointError:
            tensors, about = {}, {}
        if about.get("key") != point.key:
            # Another process may have removed it since: then there is nothing to set aside.
            with suppress(OSError):
                path.replace(path.with_name(f"{path.name}{DAMAGED}"))
            return None
        with suppress(OSError):
            os.utime(path)
        return tensors, about

    def write(
        self, point: Point, tensors: Mapping[str, Tensor], about: Mapping[str, Any], seconds: float
    ) -> None:
        """Publish a prefix, unless it is there already.

        Args:
            point: which.
            tensors: its state.
            about: the rest of it, as JSON can hold.
            seconds: that it took to train since the prefix before it.
        """
        path = self._path(point)
        if not self._writable or is_there(path):
            return
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size > self._most_bytes:
            self._give_up(
                f"{self._folder}: the state of a pretraining takes {size / 2**30:.2f} GiB, more "
                f"than the {self._most_bytes / 2**30:.2f} of {VARIABLE}"
            )
            return
        try:
            save_tensors(path, tensors, {**about, "key": point.key}, patience=Patience(()))
        except StorageError as error:
            self._give_up(str(error))
            return
        self._trim()
        if self._shared is not None:
            self._shared.offer(point.name, path, seconds)

    def _path(self, point: Point) -> Path:
        return self._folder / f"{point.name}{ENDING}"

    def _give_up(self, why: str) -> None:
        self._writable = False
        warnings.warn(f"{why}; until then its trials share no pretraining", stacklevel=3)

    def _trim(self, *, spared: Path | None = None) -> None:
        """Remove what killed writers left, and what is too much.

        The pretraining that was used least recently goes first, its longest prefix before the
        others: a run comes to the long ones through the short ones.

        Args:
            spared: a file that is about to be read.
        """
        kept: list[tuple[Path, int, float]] = []
        with suppress(OSError):
            for entry in os.scandir(self._folder):
                # Other processes add and remove files meanwhile.
                with suppress(FileNotFoundError):
                    about = entry.stat()
                    if not entry.name.endswith(PART):
                        kept.append((Path(entry.path), about.st_size, about.st_mtime))
                    elif time.time() - about.st_mtime > FORGOTTEN_SECONDS:
                        Path(entry.path).unlink()
        used: dict[str, float] = {}
        for path, _, changed in kept:
            used[_family(path)] = max(used.get(_family(path), 0.0), changed)
        kept.sort(key=lambda item: item[0].name, reverse=True)
        kept.sort(key=lambda item: (item[0].suffix != DAMAGED, used[_family(item[0])]))
        total = sum(size for _, size, _ in kept)
        for path, size, _ in kept:
            if total <= self._most_bytes:
                return
            if path != spared:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                total -= size


def _family(path: Path) -> str:
    """Name the pretraining that a file belongs to."""
    return path.name.partition("-")[0]
