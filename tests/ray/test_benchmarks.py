"""The benchmarks of clusters and of stock Ray Tune run, and measure what they say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.hosts import missing

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def quick(script: str, home: Path, out: Path) -> tuple[dict[str, Any], str]:
    """Run a benchmark, small; return what it wrote, and its table."""
    words = [sys.executable, str(ROOT / "benchmarks" / script), "--quick", "--out", str(out)]
    done = subprocess.run(
        words,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert found["environment"]["packages"]["ray"]
    return found, done.stdout


def test_against_stock_tune_quick(home: Path, tmp_path: Path) -> None:
    found, table = quick("against_stock_tune.py", home, tmp_path / "stock.json")
    # Those that a clone of the repository has.
    assert (found["curves"], found["number_of_curves"]) == ("curves.parquet", 54)
    for name in ("raycolor", "stock"):
        assert found["speed"][name]["milliseconds_a_report"] > 0
        killed = found["faults"][name]["killed"]
        assert killed["error"] is None
        assert (killed["ended"], killed["kills"]) == (3, 1)
    ours = found["faults"]["raycolor"]["killed"]
    assert (ours["decisions_changed_a_kill"], ours["reports_lost_a_kill"]) == (0, 0)
    for text in ("decisions changed", "reports lost", "reports a second", "KiB of the driver"):
        assert f"| {text}" in table


def test_cluster_quick(home: Path, tmp_path: Path) -> None:
    found, table = quick("cluster.py", home, tmp_path / "cluster.json")
    copied = {line["way"]: line for line in found["data"]}
    a_node, a_trial = copied["one copy a node"], copied["one copy a trial"]
    # Two trials share a node's copy.
    assert 0.95 < a_trial["bytes"] / a_node["bytes"] / found["trials_a_node"] < 1.05
    assert all(line["seconds"] > 0 for line in found["data"])
    assert {line["driver"] for line in found["busy"]} == {"raycolor", "stock"}
    for line in found["busy"]:
        assert 0.05 < line["whole"] <= line["while_trials_are_left"] + 0.2 <= 1.2
    assert "| 2 |" in table
    if (reason := missing()) is not None:
        assert f"not measured, {reason}" in table
    else:
        lost = found["losses"]["medians"]["raycolor"]["killed"]
        assert 0 < lost["noticed_s"] < lost["next_report_s"]
