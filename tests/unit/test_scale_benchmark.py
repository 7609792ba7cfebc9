"""The benchmark of many trials, on a few: what it counts adds up."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import scale


def test_bookkeeping_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scale.json"
    monkeypatch.setattr("sys.argv", ["scale.py", "--quick", "--out", str(out)])
    scale.main()
    (found,) = json.loads(out.read_text(encoding="utf-8"))["bookkeeping"]
    assert found["trials"] == 60
    # Every trial reports, none more often than its curve is long, and halving ends most early.
    assert 60 < found["reports"] < 60 * 27 / 2
    assert 0 < found["ask_ms"]["median"] <= found["ask_ms"]["p99"] <= found["ask_ms"]["most"]
    assert f"| reports | {found['reports']:,} |" in capsys.readouterr().out
