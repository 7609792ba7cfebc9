"""Pretraining prefixes on a study's shared storage: what one machine trained, others fetch.

    stages/<prefix>-<images>-<hash>.<milliseconds>.safetensors

The name tells how long it took to train, so that a machine fetches only what it gets faster than it
would train it. Uploads go on beside the training and never hold it up; one that cannot keep pace is
left out. A storage that refuses is left alone from then on: sharing is no duty of a trial.
"""

import queue
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

from raycolor.remote.bucket import Bucket
from raycolor.storage import StorageError

FOLDER = "stages"
"""In a study's folder."""
ENDING = ".safetensors"
BYTES_PER_SECOND = 25e6
"""Taken for the storage's speed until it was measured."""
LATENCY_SECONDS = 0.2
"""Of a transfer, whatever its size."""
LISTING_SECONDS = 0.5
"""For so long a listing holds: a trial looks, and then fetches."""
MOST_WAITING = 2
"""Uploads that wait for another one."""


class StageFiles:
    """The prefixes on one study's shared storage, as `raycolor.stages.store.SharedStages`."""

    def __init__(self, bucket: Bucket, *, most_bytes: int) -> None:
        """Name the folder.

        Args:
            bucket: the folder, without long patience: nothing is lost where it refuses.
            most_bytes: kept there; when it is full, nothing more is published.
        """
        self._bucket = bucket
        self._most_bytes = most_bytes
        self._listed: dict[str, tuple[str, int]] = {}
        self._listed_at = -float("inf")
        self._speed = BYTES_PER_SECOND
        self._lost = False
        self._waiting: queue.Queue[tuple[str, Path, float]] = queue.Queue(MOST_WAITING)
        self._sender: threading.Thread | None = None

    def has(self, name: str) -> bool:
        """Tell whether there is a file that takes less time to fetch than to train."""
        found = self._found(name)
        if found is None:
            return False
        file, size = found
        return self._pays(size, _milliseconds(file) / 1000)

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine, complete or not at all."""
        if (found := self._found(name)) is None:
            return
        file, size = found
        started = time.monotonic()
        try:
            self._bucket.download(file, path)
        except FileNotFoundError:
            return
        except StorageError as error:
            self._give_up(error)
            return
        self._measure(size, time.monotonic() - started)

    def offer(self, name: str, path: Path, seconds: float) -> None:
        """Publish a file of this machine, without waiting for it.

        Args:
            name: of it.
            path: where it lies.
            seconds: that it took to train.
        """
        with suppress(FileNotFoundError):
            if self._lost or not self._pays(path.stat().st_size, seconds):
                return
            if self._sender is None:
                # A daemon: a process that ends does not wait for it, and no file is left half done.
                self._sender = threading.Thread(target=self._send, daemon=True)
                self._sender.start()
            with suppress(queue.Full):
                self._waiting.put_nowait((name, path, seconds))

    def settle(self) -> None:
        """Wait for what is being uploaded."""
        self._waiting.join()

    def clear(self) -> None:
        """Remove all of it, as when the study is done.

        Raises:
            StorageError: the storage refuses.
        """
        for file in self._bucket.files():
            self._bucket.delete(file)

    def _send(self) -> None:
        while True:
            name, path, seconds = self._waiting.get()
            try:
                self._upload(name, path, seconds)
            except FileNotFoundError:
                pass  # removed to make room
            except StorageError as error:
                self._give_up(error)
            finally:
                self._waiting.task_done()

    def _upload(self, name: str, path: Path, seconds: float) -> None:
        size = path.stat().st_size
        there = self._bucket.files()
        full = sum(entry.size for entry in there.values()) + size > self._most_bytes
        if self._lost or full or any(file.startswith(f"{name}.") for file in there):
            return
        started = time.monotonic()
        self._bucket.upload(path, f"{name}.{round(seconds * 1000)}{ENDING}")
        self._measure(size, time.monotonic() - started)

    def _found(self, name: str) -> tuple[str, int] | None:
        """Return a file's name and size, as of a moment ago."""
        if self._lost:
            return None
        if time.monotonic() - self._listed_at > LISTING_SECONDS:
            try:
                there = self._bucket.files()
            except StorageError as error:
                self._give_up(error)
                return None
            self._listed = {
                file.partition(".")[0]: (file, entry.size) for file, entry in there.items()
            }
            self._listed_at = time.monotonic()
        return self._listed.get(name)

    def _pays(self, size: int, seconds: float) -> bool:
        return LATENCY_SECONDS + size / self._speed < seconds

    def _measure(self, size: int, seconds: float) -> None:
        """Take note of a transfer."""
        moving = max(seconds - LATENCY_SECONDS, 1e-3)
        self._speed = (self._speed + size / moving) / 2

    def _give_up(self, error: StorageError) -> None:
        self._lost = True
        warnings.warn(
            f"{error}; until then this machine shares no pretraining with others", stacklevel=3
        )


def _milliseconds(file: str) -> int:
    """Return how long a file took to train; a name of another kind tells nothing, and is 0."""
    said = file.removesuffix(ENDING).rpartition(".")[2]
    return int(said) if said.isdecimal() else 0
