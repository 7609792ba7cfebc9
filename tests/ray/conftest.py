"""A home for Ray that leaves nothing behind, for every module of these tests."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home and a folder for Ray of this module's own; nothing may run in it afterwards."""
    with _home() as folder:
        yield folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a study of four tiny trials lies that nothing disturbed; to be read, not changed."""
    from tests.ray.test_search import command, run

    out = tmp_path_factory.mktemp("undisturbed")
    with _home() as folder:
        code, text = run(folder, command(out))
    assert code == 0, text
    assert "Best:" in text
    assert "Traceback" not in text
    return out


@contextmanager
def _home() -> Iterator[Path]:
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
