"""The benchmark of clusters runs, and measures what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.hosts import missing

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def test_cluster_quick(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "cluster.json"
    words = [sys.executable, str(ROOT / "benchmarks" / "cluster.py"), "--quick", "--out", str(out)]
    done = subprocess.run(
        words,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["environment"]["packages"]["ray"]
    copied = {line["way"]: line for line in found["data"]}
    a_node, a_trial = copied["one copy a node"], copied["one copy a trial"]
    # Two trials share a node's copy.
    assert 0.95 < a_trial["bytes"] / a_node["bytes"] / found["trials_a_node"] < 1.05
    assert all(line["seconds"] > 0 for line in found["data"])
    assert {line["driver"] for line in found["busy"]} == {"raycolor", "stock"}
    for line in found["busy"]:
        assert 0.05 < line["whole"] <= line["while_trials_are_left"] + 0.2 <= 1.2
    assert "| 2 |" in done.stdout
    if (reason := missing()) is not None:
        assert f"not measured, {reason}" in done.stdout
    else:
        lost = found["losses"]["medians"]["raycolor"]["killed"]
        assert 0 < lost["noticed_s"] < lost["next_report_s"]
