"""What happens to the processes of a search, at moments that a test chooses.

`sitecustomize.py` of a test imports this into every process that a search starts. The environment
variable `RAYCOLOR_MOMENTS` names a file with a list of `Moment`s as JSON; the first of them is
waited for, by all processes, and struck off when it comes. `RAYCOLOR_SICK` says which trials report
what in place of their objective.

    before report     the journal has nothing of the record yet
    within report     half of its line is on the disk; also of other records
    after report      all of it is on the disk, and nobody has heard of it
    before NAME       a file is whole beside its place; `after NAME`: it is in its place
    within NAME       half of a file of tensors is on the disk, beside its place
    within event      half an event of TensorBoard is in its file
"""

import importlib.abc
import importlib.util
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

LIST = "RAYCOLOR_MOMENTS"
SICK = "RAYCOLOR_SICK"
HERE = "import tests.ray.moments; tests.ray.moments.begin()\n"
"""What `sitecustomize.py` has to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment in the life of one process, and what happens then."""

    at: str
    call: int = 1
    """Which time, counted in each process anew from when the moment is the first of the list."""
    clock_s: float | None = None
    """Seconds by which the clock of the day jumps; None where the process is killed instead."""


def write_moments(path: Path, moments: list[Moment]) -> None:
    """Write the list that processes look at."""
    beside = path.with_suffix(".beside")
    beside.write_text(json.dumps([asdict(moment) for moment in moments]), encoding="utf-8")
    # `Path.replace` is one of the moments.
    os.replace(beside, path)  # noqa: PTH105


def read_moments(path: Path) -> list[Moment]:
    """Read what is still to come."""
    return [Moment(**tree) for tree in json.loads(path.read_text(encoding="utf-8"))]


# --- in the processes of a search

_calls: Counter[int] = Counter()
_jumped_s = 0.0


def _comes(at: str) -> bool:
    """Tell whether the process has to die here; a clock jumps at once."""
    global _jumped_s  # noqa: PLW0603  (the clock of a process is one)
    path = Path(os.environ[LIST])
    left = read_moments(path)
    if not left or left[0].at != at:
        return False
    _calls[len(left)] += 1
    if _calls[len(left)] < left[0].call:
        return False
    write_moments(path, left[1:])
    if left[0].clock_s is None:
        return True
    _jumped_s += left[0].clock_s
    return False


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _HalfFile:
    """A file whose process dies when half of what it writes is on the disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        self._file.write(content[: len(content) // 2])
        os.fsync(self._file.fileno())
        _die()
        raise AssertionError("killed")


def _in_journal(module: ModuleType) -> None:
    append = module.Journal.append

    def mortal(journal: Any, record: Any) -> None:
        if _comes(f"before {record.record}"):
            _die()
        if _comes(f"within {record.record}"):
            journal._file = _HalfFile(journal._file)
        append(journal, record)
        if _comes(f"after {record.record}"):
            _die()

    module.Journal.append = mortal


def _in_checkpoint(module: ModuleType) -> None:
    save_file = module.save_file

    def mortal(contents: Any, path: Path, **more: Any) -> None:
        save_file(contents, path, **more)
        # `.NAME.0123abcd.part`
        if _comes(f"within {path.name[1:].rsplit('.', 2)[0]}"):
            os.truncate(path, path.stat().st_size // 2)
            _die()

    module.save_file = mortal  # type: ignore[attr-defined]


def _in_events(module: ModuleType) -> None:
    write = module.EventFile.write

    def mortal(file: Any, content: bytes) -> None:
        if _comes("within event"):
            write(file, content[: len(content) // 2])
            _die()
        write(file, content)

    module.EventFile.write = mortal


def _in_trial(module: ModuleType) -> None:
    train, sick = module.train, json.loads(os.environ.get(SICK, "{}"))

    def sickened(config: Any, *others: Any, folder: Path, **more: Any) -> Iterator[Any]:
        kind = sick.get(folder.name.partition("_")[0])
        for report in train(config, *others, folder=folder, **more):
            metrics = dict(report.metrics)
            for name in (config.fid_key, f"{config.fid_key}_best"):
                match kind:
                    case "infinite":
                        metrics[name] = math.inf
                    case "none":
                        metrics[name] = None
                    case "missing":
                        del metrics[name]
                    case _:
                        pass
            yield replace(report, metrics=metrics)

    module.train = sickened  # type: ignore[attr-defined]


_CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "raycolor.study.journal": _in_journal,
    "raycolor.checkpoint": _in_checkpoint,
    "raycolor.study.event_file": _in_events,
    "raycolor.trial": _in_trial,
}


class _Changing(importlib.abc.MetaPathFinder):
    """Changes modules when they are imported: importing torch everywhere would take minutes."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        change = _CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def changed(module: ModuleType) -> None:
            run(module)
            change(module)

        spec.loader.exec_module = changed  # type: ignore[method-assign]
        return spec


def begin() -> None:
    """Change this process."""
    put, now = Path.replace, time.time

    def mortal(path: Path, target: Path) -> Path:
        name = Path(target).name
        if _comes(f"before {name}"):
            _die()
        put(path, target)
        if _comes(f"after {name}"):
            _die()
        return Path(target)

    Path.replace = mortal  # type: ignore[method-assign,assignment]
    time.time = lambda: now() + _jumped_s
    sys.meta_path.insert(0, _Changing())
