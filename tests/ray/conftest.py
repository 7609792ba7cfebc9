"""A home for Ray that leaves nothing behind, for every module of these tests."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home and a folder for Ray of this module's own; nothing may run in it afterwards."""
    # Ray's sockets have paths of at most 107 characters, so not under pytest's long folder.
    folder = Path(tempfile.mkdtemp(prefix="rc-"))
    yield folder
    deadline = time.monotonic() + 20
    while (left := _processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"still running: {left}"


def _processes(home: Path) -> list[psutil.Process]:
    """Processes that were started with this home, or name it."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            # Ray's workers write their titles over their environment, but end with their raylet.
            if alive and str(home) in (process.environ().get("HOME"), *process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
