"""Trials that run out of GPU memory, with real Ray and a GPU that is declared and not there.

Ray keeps its books of the GPU as of a real one. In its workers CUDA's calls are made up, and two of
three real, tiny trials meet the error that torch has for a GPU that is too small.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raycolor.kept_plan import restored_plan
from raycolor.study.explain import explain
from raycolor.study.journal import read_journal
from raycolor.study.records import Fault, Resources, Session
from raycolor.study.rules import replay
from raycolor.study.state import fold
from tests.ray.test_faults import SPACE as TINY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SPACE = TINY.replace("concurrent: 1", "concurrent: 2").replace("price_per_hour: 1", "gpus: 0.5")

WORKERS = '''
"""Python reads this when a worker starts: it waits for the trial's module, and alters it."""

import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from pathlib import Path

NOTES = Path(os.environ["RAYCOLOR_NOTES"])


def alter(trial):
    import ray
    import torch

    whole = trial.train
    cuda = torch.cuda
    capped = []
    there = True  # but not while a trial trains, on the CPU
    cuda.is_available = cuda.is_initialized = lambda: there
    cuda.set_per_process_memory_fraction = capped.append
    cuda.reset_peak_memory_stats = lambda: None
    cuda.mem_get_info = lambda: (2**30, 16 * 2**30)
    cuda.memory_reserved = lambda: 15 * 2**30
    cuda.empty_cache = lambda: None

    def train(config, prepared, **named):
        weight = config.losses.l1_lambda
        gpus = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
        note = {"weight": weight, "gpus": gpus, "capped": capped[-1], "pid": os.getpid()}
        note["time"] = time.time()
        (NOTES / f"{len(list(NOTES.iterdir()))}-{os.getpid()}.json").write_text(json.dumps(note))
        nonlocal there
        there = False
        try:
            for report in whole(config, prepared, device=torch.device("cpu"), **named):
                yield report
                if weight == 20 or (weight == 50 and gpus < 1):
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        finally:
            there = True

    trial.train = train


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "raycolor.trial" or not any("default_worker" in word for word in sys.orig_argv):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            alter(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
'''


def test_each_runs_once_more_alone_on_the_whole_gpu(home: Path, tmp_path: Path) -> None:
    space, altered, notes = tmp_path / "short.yaml", tmp_path / "altered", tmp_path / "notes"
    altered.mkdir()
    notes.mkdir()
    space.write_text(SPACE, encoding="utf-8")
    (altered / "sitecustomize.py").write_text(WORKERS, encoding="utf-8")
    paths = [str(altered), os.environ.get("PYTHONPATH", ""), str(Path.cwd())]
    environment = {
        **os.environ,
        "HOME": str(home),
        "RAY_TMPDIR": str(home),
        "RAY_OVERRIDE_RESOURCES": '{"GPU": 1}',
        "RAYCOLOR_NOTES": str(notes),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    out = tmp_path / "results"
    words = [sys.executable, "-m", "raycolor.search", "--space", str(space), "--out", str(out)]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said

    records = read_journal(out / "short" / "journal")
    (session,) = [record for record in records if isinstance(record, Session)]
    plan = restored_plan(session.plan, out / "short")
    assert replay(plan, records) == []
    state = fold(records)
    well, once, twice = state.trials
    assert [trial.status for trial in state.trials] == ["completed", "completed", "failed"]
    assert [trial.images_seen for trial in (well, once)] == [96, 96]
    (given,) = [record for record in records if isinstance(record, Resources)]
    assert given.gpus == 0.5
    faults = [record for record in records if isinstance(record, Fault)]
    assert sorted((fault.number, fault.final, fault.cause) for fault in faults) == [
        (1, False, "memory"),
        (2, False, "memory"),
        (2, True, "memory"),
    ]
    assert twice.reason == (
        "ran out of GPU memory on a whole GPU of 16.0 GiB, with batch size 32 at 32 pixels; take a "
        "smaller budget.batch_size, data.size or generator, or a GPU with more memory"
    )
    assert "1/2 of a GPU of 16.0 GiB" in faults[0].text
    assert "alone on a whole GPU" in "".join(explain(once, state, plan))

    begun: list[dict[str, Any]] = [
        json.loads(path.read_text(encoding="utf-8")) for path in notes.iterdir()
    ]
    shares = {
        weight: sorted(note["gpus"] for note in begun if note["weight"] == weight)
        for weight in (100, 50, 20)
    }
    assert shares == {100: [0.5], 50: [0.5, 1.0], 20: [0.5, 1.0]}
    assert all(note["capped"] == note["gpus"] for note in begun)
    shared = {note["pid"] for note in begun if note["gpus"] < 1}
    assert not shared & {note["pid"] for note in begun if note["gpus"] == 1}
    # Alone: all that shared the GPU have ended.
    assert well.reports[-1].time < min(note["time"] for note in begun if note["gpus"] == 1)
