"""The benchmark beside stock Ray Tune: what it counts as lost."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from against_stock_tune import lost_reports


@pytest.mark.parametrize(
    ("received", "lost"),
    [
        ("a1 a2 b1", 0),
        # Killed between the journal's line and this file's.
        ("a1 b1", 0),
        # Trained again after the kill.
        ("a1 a2 a2 b1", 1),
        # That, and a line that was not written: the one does not make up for the other.
        ("a1 a1 b1", 1),
        # Its trial began anew under another name.
        ("c1 c2 a1 a2 b1", 2),
    ],
)
def test_lost_reports(received: str, lost: int) -> None:
    lines: list[dict[str, Any]] = [
        {"trial": word[0], "images": 512 * int(word[1]), "time": 0.0} for word in received.split()
    ]
    assert lost_reports(lines, {("a", 512), ("a", 1024), ("b", 512)}) == lost
