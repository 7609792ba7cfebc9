"""What a trial and a report cost a driver when there are very many, here and with stock Ray Tune.

    python benchmarks/scale.py [--trials 1000] [--rounds 3] [--alone 1000 10000] [--out scale.json]

Random configurations on the curves of `record_curves.py` (or `--analytic` ones), pruned by halving,
two workers that do not train. First both drivers on a real Ray with all their logging, one after
the other in each round; then engine, journal and views of raycolor alone, without Ray. A driver
that fails is told, and the others go on; with `--out` the same command goes on where one was cut
off. The output is Markdown, and JSON with hardware and versions where `--out` names a file.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from against_stock_tune import HERE, run
from replayed import SETTINGS, Settings
from replayed_curves import add_curves, chosen_curves
from told import Kept, tell

from raycolor.environment import describe_environment

DRIVERS = ("raycolor", "stock")
LONGEST_S = 7200.0


def study(curves: list[list[float]], every: int) -> Settings:
    """Settings of a study of many short trials; how many is left to say."""
    return Settings(
        folder="",
        curves=curves,
        every=every,
        first_rung=every,
        reduction=3,
        searcher="random",
        trials=0,
        concurrent=2,
        seconds=0.0,
        sick=None,
        keep=None,
        restore=False,
    )


def driven(driver: str, settings: Settings) -> dict[str, Any]:
    """Run one driver on a real Ray; of one that fails, only its error is returned."""
    ran = run(driver, settings, longest_s=LONGEST_S)
    if ran.error is not None or ran.trials is None:
        return {"error": ran.error or f"no result in {LONGEST_S:.0f} s"}
    lines = ran.received
    fifth = max(2, len(lines) // 5)

    def milliseconds_a_report(some: Sequence[dict[str, Any]]) -> float:
        return float(1e3 * (some[-1]["time"] - some[0]["time"]) / (len(some) - 1))

    seconds = lines[-1]["time"] - lines[0]["time"]
    return {
        "trials": len(ran.trials),
        "reports": len(lines),
        "seconds": seconds,
        "ms_a_trial": 1e3 * seconds / len(ran.trials),
        "ms_a_report": milliseconds_a_report(lines),
        "ms_a_report_first_fifth": milliseconds_a_report(lines[:fifth]),
        "ms_a_report_last_fifth": milliseconds_a_report(lines[-fifth:]),
        "kib_a_trial": (lines[-1]["memory"] - lines[0]["memory"]) / 1024 / len(ran.trials),
    }


def alone(settings: Settings) -> dict[str, Any]:
    """Run raycolor's bookkeeping without Ray, in a process of its own."""
    home = Path(tempfile.mkdtemp(prefix="rb-"))
    try:
        replace(settings, folder=str(home)).write(home / "settings.json")
        subprocess.run(
            [sys.executable, str(HERE / "drive_bookkeeping.py")],
            env={**os.environ, SETTINGS: str(home / "settings.json")},
            check=True,
        )
        found: dict[str, Any] = json.loads((home / "result.json").read_text(encoding="utf-8"))
        return found
    finally:
        shutil.rmtree(home, ignore_errors=True)


def table(medians: dict[str, dict[str, float]], bookkeeping: Sequence[dict[str, Any]]) -> str:
    """Write what was measured as Markdown."""
    lines = []
    if medians:
        names = list(medians)
        lines += ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
        for key, text, digits in (
            ("trials", "trials", 0),
            ("reports", "reports", 0),
            ("ms_a_trial", "ms a trial", 0),
            ("ms_a_report", "ms a report", 1),
            ("ms_a_report_first_fifth", "ms a report, first fifth", 1),
            ("ms_a_report_last_fifth", "ms a report, last fifth", 1),
            ("kib_a_trial", "KiB of the driver a trial", 0),
        ):
            values = (f"{medians[name][key]:,.{digits}f}" for name in names)
            lines.append(f"| {text} | " + " | ".join(values) + " |")
        lines.append("")
    lines += [
        "| bookkeeping alone, without Ray | "
        + " | ".join(f"{b['trials']:,}" for b in bookkeeping)
        # One column a number of trials.
        + " |",
        "| --- |" + " ---: |" * len(bookkeeping),
    ]
    rows: tuple[tuple[str, Any], ...] = (
        ("reports", lambda b: f"{b['reports']:,}"),
        ("ms to the next trial: median, 99 %", lambda b: _pair(b["ask_ms"])),
        ("ms to the next trial, last fifth", lambda b: _pair(b["ask_ms_last_fifth"])),
        ("ms a report: median, 99 %", lambda b: _pair(b["report_ms"])),
        ("ms a report, first fifth: mean", lambda b: f"{b['report_ms_first_fifth']['mean']:.1f}"),
        ("ms a report, last fifth: mean", lambda b: f"{b['report_ms_last_fifth']['mean']:.1f}"),
        (
            "of a core, first and last fifth: mean",
            lambda b: (
                f"{b['core_ms_a_report_first_fifth']:.1f}, {b['core_ms_a_report_last_fifth']:.1f}"
            ),
        ),
        ("ms of the slowest report", lambda b: f"{b['report_ms']['most']:.0f}"),
        ("KiB a trial", lambda b: f"{b['kib_a_trial']:.0f}"),
    )
    for text, cell in rows:
        lines.append(f"| {text} | " + " | ".join(cell(b) for b in bookkeeping) + " |")
    return "\n".join(lines)


def _pair(told: dict[str, float]) -> str:
    return f"{told['median']:.1f}, {told['p99']:.1f}"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="on a real Ray; 0 for none")
    parser.add_argument("--rounds", type=int, default=3, help="of both drivers")
    parser.add_argument(
        "--alone", type=int, nargs="*", default=[1000, 10_000], help="trials without Ray"
    )
    add_curves(parser)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--quick", action="store_true", help="a few trials without Ray, for a test")
    flags = parser.parse_args()
    sizes, trials = ([60], 0) if flags.quick else (flags.alone, flags.trials)
    settings = study(*chosen_curves(parser, flags))
    started = time.monotonic()
    curves = "analytic" if flags.analytic else flags.curves.name
    kept = Kept(flags.out, (trials, curves))
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in DRIVERS if trials}
    for number in range(flags.rounds if trials else 0):
        for name in DRIVERS if number % 2 == 0 else reversed(DRIVERS):
            through = partial(driven, name, replace(settings, trials=trials))
            rounds[name].append(kept.measure(f"{trials:,}, round {number + 1}: {name}", through))
    failures = {
        name: [one["error"] for one in found if "error" in one] for name, found in rounds.items()
    }
    medians = {
        name: {key: statistics.median(one[key] for one in whole) for key in whole[0]}
        for name, found in rounds.items()
        if (whole := [one for one in found if "error" not in one])
    }
    bookkeeping = [
        kept.measure(f"{size:,} without Ray", partial(alone, replace(settings, trials=size)))
        for size in sizes
    ]
    results = {
        "environment": describe_environment(),
        "curves": curves,
        "rounds": rounds,
        "medians": medians,
        "failures": failures,
        "bookkeeping": bookkeeping,
        "seconds": round(time.monotonic() - started),
    }
    told = [f"{name} failed: {error}" for name, errors in failures.items() for error in errors]
    tell(results, "\n".join([table(medians, bookkeeping), *told]), flags.out)
    kept.close()


if __name__ == "__main__":
    main()
