"""A machine whose memory Ray finds too full, with Ray's own monitor: the search outlives it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raycolor.study.journal import read_journal
from raycolor.study.state import fold
from tests.ray.test_faults import SPACE

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_workers_that_ray_ends_for_memory_cost_their_trials_alone(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.yaml").write_text(SPACE, encoding="utf-8")
    words = ["--space", str(tmp_path / "full.yaml"), "--out", str(tmp_path), "--trials", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "raycolor.search", *words],
        env={
            **os.environ,
            "HOME": str(home),
            "RAY_TMPDIR": str(home / "ray"),
            # Every machine uses more than that, so no worker lives for long.
            "RAY_memory_usage_threshold": "0.001",
            "RAY_memory_monitor_refresh_ms": "100",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    state = fold(read_journal(tmp_path / "full" / "journal"))
    assert state.ending is not None
    assert state.ending.reason == "finished"
    assert [trial.status for trial in state.trials] == ["failed"] * 2
    for trial in state.trials:
        # Taken up again as after any death, and at last given up.
        assert [fault.final for fault in trial.faults] == [False, False, False, True]
        assert all("ran out of memory" in fault.text for fault in trial.faults)
        assert "run fewer trials at once (--concurrent N)" in trial.reason
