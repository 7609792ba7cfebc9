"""Plans from flags and files, and the command that makes them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from raycolor.plan import Plan, make_plan


def make(space: str = "quickstart", **flags: Any) -> Plan:
    """Make a plan; flags are those of `make_plan`."""
    defaults: dict[str, Any] = {
        "study": None,
        "out": Path("results"),
        "data": "photos",
        "trials": None,
        "concurrent": None,
        "overrides": {},
        "address": None,
        "time_budget_s": None,
        "seed": 0,
    }
    return make_plan(space=space, **(defaults | flags))


def write(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def command(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "raycolor.search", *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
