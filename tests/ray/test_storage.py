"""A search on a disk that fills up, with real Ray and real, tiny trials: it pauses and goes on."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from raycolor.study.records import End, Fault
from raycolor.study.state import fold
from tests.ray.test_search import (
    assert_lawful,
    command,
    essence,
    first,
    journal,
    run,
    started,
    wait_for,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 64 MiB in a folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return path


@pytest.mark.parametrize("full", [".", "tiny/journal"])
def test_a_search_on_a_full_disk_pauses_and_the_same_command_goes_on(
    home: Path,
    undisturbed: Path,
    tmp_path: Path,
    full: str,
) -> None:
    """A worker cannot keep its checkpoint, or the driver not what it decided."""
    out = tmp_path / "out"
    words = command(out, "--trials", "2")
    with small_disk(out / full):
        with started(home, words) as process:
            wait_for(out, 3, process)
            filler = fill(out / full)
            text, _ = process.communicate(timeout=180)
        assert process.returncode == 2, text
        assert "Traceback" not in text
        said = [line for line in text.splitlines() if "cannot be written" in line]
        assert len(said) == 1, text
        why = "(No space left on device) after 6 tries; make room or mend the storage, then give"
        assert why in said[0]
        paused = journal(out)
        assert not [record for record in paused if isinstance(record, Fault)]
        assert {trial.status for trial in fold(paused).trials} == {"open"}

        filler.unlink()
        code, text = run(home, words)
        assert code == 0, text
        assert_lawful(out, 2)
        assert essence(journal(out)) == essence(first(journal(undisturbed), 2))
        last = journal(out)[-1]
        assert isinstance(last, End)
        assert last.reason == "finished"
        # Trials that have ended keep one checkpoint each.
        kept = sorted((out / "tiny" / "checkpoints").glob("*/checkpoint*"))
        assert [path.name for path in kept] == ["checkpoint.safetensors"] * 2
