"""Processes that train side by side, as real ones that only say that they do."""

import sys
from pathlib import Path

import pytest

from raycolor.tuning import pacers
from raycolor.tuning.pacers import OutOfTime, Pacers
from raycolor.tuning.packing import Packing, speeds_of
from tests.toy import TinyConfig

STAND_IN = """
import json, os, sys
from pathlib import Path
sys.stdin.readline()
card = Path(sys.argv[1])
# A card that holds so many processes, dead ones among them no more.
there = [p for p in card.glob("*.pid") if Path("/proc", p.stem).exists()]
(card / f"{os.getpid()}.pid").touch()
if len(there) >= int(sys.argv[2]):
    sys.exit("torch.OutOfMemoryError: CUDA out of memory.")
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["threads"] == 7:
        sys.exit(1)
    share = 0.95 if asked["threads"] == 2 else 0.2
    print(json.dumps({"images": 30, "seconds": 2.0, "gpu_share": share}), flush=True)
"""


def started(card: Path) -> int:
    return len(list(card.glob("*.pid")))


def test_processes_train_side_by_side(tiny_config: TinyConfig, tmp_path: Path) -> None:
    command = (sys.executable, "-c", STAND_IN, str(tmp_path), "9")
    with Pacers(tiny_config(), None, command=command) as running:
        assert started(tmp_path) == 0
        assert running.speed(1, 1) == 15.0
        assert started(tmp_path) == 1
        assert running.speed(2, 1) == 30.0
        assert started(tmp_path) == 2
        assert running.speed(1, 2) == 15.0  # alone it may have the whole memory
        assert running.speed(2, 2) is None
        assert running.trouble == "2 of them fill the memory of the GPU"
        assert running.speed(2, 7) is None
        assert running.trouble == "a process that trains it ended: exit code 1"
        assert started(tmp_path) == 2
        assert running.speed(2, 1) == 30.0  # by new ones
        assert started(tmp_path) == 4


def test_what_does_not_fit_leaves_the_smaller_ones(tiny_config: TinyConfig, tmp_path: Path) -> None:
    command = (sys.executable, "-c", STAND_IN, str(tmp_path), "2")
    tried = [Packing(trials=number, cpus=1, gpus=1 / number) for number in (1, 2, 3, 4, 8)]
    with Pacers(tiny_config(), None, command=command) as running:
        found = speeds_of(
            tried,
            lambda packing: running.speed(packing.trials, packing.cpus, packing.gpus),
            through=tried[0],
        )
        assert found.speeds == {tried[0]: 15.0, tried[1]: 30.0}
        assert found.ended == "unfit"
        assert running.trouble == (
            "a process that trains it ended: torch.OutOfMemoryError: CUDA out of memory"
        )
    assert started(tmp_path) == 3


def test_processes_that_take_too_long_are_ended(tiny_config: TinyConfig) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    with Pacers(tiny_config(), None, command=command, most_seconds=0.2) as running:
        for _ in range(2):
            with pytest.raises(OutOfTime):
                running.speed(2, 1)
            assert running.trouble == "it took longer than 0 seconds"


def test_more_than_the_machine_holds_are_not_started(
    tiny_config: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, "-c", STAND_IN, str(tmp_path), "9")
    with Pacers(tiny_config(), None, command=command) as running:
        assert running.speed(1, 1) == 15.0
        largest = running._largest()
        assert 2**20 < largest < 2**30
        monkeypatch.setattr(pacers, "_free_bytes", lambda: 2.5 * largest)
        assert running.speed(3, 1) == 45.0
        assert running.speed(8, 1) is None
        assert running.trouble == "8 of them would fill this machine's memory"
        assert started(tmp_path) == 3
        # A GPU has memory of its own.
        assert running.speed(4, 1, 1 / 4) == 60.0
