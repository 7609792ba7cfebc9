"""A trial's folder on a worker's own disk, and its copy on shared storage.

The copy is what counts: a trial that goes on, on whatever machine, begins with it. What each file
is stands in `raycolor.run_folder`. The checkpoint goes up last, so that all that it speaks of is
there; the one before is kept by a copy within the storage.
"""

from pathlib import Path

from raycolor.files import PART
from raycolor.intact import is_intact
from raycolor.remote.bucket import Bucket
from raycolor.remote.mirror import is_copy

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint_previous.safetensors"
"""As in `raycolor.run_folder`, which takes torch to import."""


class TrialFiles:
    """The two folders of one trial."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        """Name both.

        Args:
            folder: on this machine.
            bucket: the trial's folder on shared storage.
        """
        self._folder = folder
        self._bucket = bucket
        self._pushed: dict[str, tuple[int, int]] = {}

    def pull(self) -> None:
        """Make the folder on this machine what the shared one is.

        Pictures of rungs are left there: nobody on this machine reads them.

        Raises:
            StorageError: a storage refuses, and went on refusing.
        """
        there = self._bucket.files()
        shared = [name for name in there if name == CHECKPOINT or name.startswith("best_")]
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name not in shared and path.suffix in (".safetensors", ".png"):
                # Of a run that ended before it could be kept; a newer one may have gone on.
                path.unlink()
        for name in shared:
            path = self._folder / name
            if not is_copy(path, self._bucket, name):
                try:
                    self._bucket.download(name, path)
                except FileNotFoundError:
                    # A worker that has lost the trial, and does not know it yet, replaced it.
                    continue
            self._pushed[name] = _state(path)
        if CHECKPOINT in self._pushed and not is_intact(self._folder / CHECKPOINT):
            # The one before stays where it is: a damaged file must not take its place.
            del self._pushed[CHECKPOINT]
            if PREVIOUS in there:
                self._bucket.download(PREVIOUS, self._folder / PREVIOUS)

    def push(self) -> None:
        """Bring all that is new to the shared folder, and remove there what is superseded.

        Raises:
            StorageError: a storage refuses, and went on refusing.
        """
        new = {
            path.name: _state(path)
            for path in self._folder.glob("*.*")
            if path.suffix in (".safetensors", ".png")
            and path.name != PREVIOUS
            and not path.name.endswith(PART)
        }
        changed = [name for name, state in new.items() if self._pushed.get(name) != state]
        for name in sorted(changed, key=lambda name: name == CHECKPOINT):
            if name == CHECKPOINT and CHECKPOINT in self._pushed:
                self._bucket.copy(CHECKPOINT, PREVIOUS)
            self._bucket.upload(self._folder / name, name)
            self._pushed[name] = new[name]
        for name in [n for n in self._pushed if n.startswith("best_") and n not in new]:
            self._bucket.delete(name)
            del self._pushed[name]


def _state(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
