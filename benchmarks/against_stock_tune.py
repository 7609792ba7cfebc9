"""raycolor's driver against stock Ray Tune, on the same learning curves.

    python benchmarks/against_stock_tune.py [--rounds 3] [--analytic] [--out FILE]

Trials replay curves instead of training, so that only the drivers differ: those of
`record_curves.py`, of 54 real runs, or `--analytic` ones. Each session is a process with a home and
a Ray of its own. Speed is measured in rounds, one driver after the other, and given as medians: on
a shared machine only the ratios count. What a fault costs is counted in images. The output is a
Markdown table, and JSON with commit, hardware and versions where `--out` names a file.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replayed import OBJECTIVE, SETTINGS, Settings, analytic_curves, read_lines
from replayed_curves import add_curves, chosen_curves
from told import tell

from raycolor.environment import describe_environment

HERE = Path(__file__).parent
DRIVERS = {
    "raycolor": "drive_raycolor.py",
    "stock": "drive_stock.py",
    "stock, num_to_keep=1": "drive_stock.py",
}
FAST = ("raycolor", "stock")
"""Drivers whose speed is measured; how many checkpoints are kept is no matter of it."""
KILLS = (22, 44)
"""Reports after which the driver is killed."""
QUICK_KILLS = (4,)
PACE_S = 0.8
"""Between reports of a study whose driver is killed: Tune keeps its state every 10 s."""
LONGEST_S = 240.0
"""After which a session counts as hanging, if it is not said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one study came to."""

    trials: list[dict[str, Any]] | None
    """Of the last session; None if it ended with an error."""
    trained: list[dict[str, Any]]
    """A line a report that a worker made."""
    received: list[dict[str, Any]]
    """A line a report that the driver took in."""
    error: str | None


def run(
    driver: str, settings: Settings, *, kills: Sequence[int] = (), longest_s: float = LONGEST_S
) -> Ran:
    """Run a study to its end, through kills of its driver.

    Args:
        driver: a key of `DRIVERS`.
        settings: of the study; the folder is replaced by a new one.
        kills: numbers of trained reports at which the driver is killed.
        longest_s: after which a session counts as hanging.
    """
    # Ray's sockets have paths of at most 107 characters.
    home = Path(tempfile.mkdtemp(prefix="rb-"))
    settings = replace(settings, folder=str(home / "study"))
    Path(settings.folder).mkdir()
    if driver.endswith("=1"):
        settings = replace(settings, keep=1)
    try:
        for kill in kills:
            _session(driver, settings, home, kill, longest_s)
            settings = replace(settings, restore=True)
        error = _session(driver, settings, home, None, longest_s)
        folder = Path(settings.folder)
        result = folder / "result.json"
        return Ran(
            trials=json.loads(result.read_text(encoding="utf-8")) if result.exists() else None,
            trained=read_lines(folder / "trained.jsonl"),
            received=read_lines(folder / "received.jsonl"),
            error=error,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _session(
    driver: str, settings: Settings, home: Path, kill: int | None, longest_s: float
) -> str | None:
    """Run one process; return the last line of its error, if it ended with one."""
    path = home / "settings.json"
    settings.write(path)
    environment = {
        **os.environ,
        "HOME": str(home),
        "RAY_TMPDIR": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        SETTINGS: str(path),
        # As raycolor's driver sets it for itself.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    with (home / "output.txt").open("w+", encoding="utf-8") as output:
        with subprocess.Popen(
            [sys.executable, str(HERE / DRIVERS[driver])],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + longest_s
            log = Path(settings.folder) / "trained.jsonl"
            while process.poll() is None:
                reached = kill is not None and len(read_lines(log)) >= kill
                if reached or time.monotonic() > deadline:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.05)
        if kill is not None:
            time.sleep(2)  # its workers notice that it is gone
        if kill is not None or process.returncode == 0:
            return None
        output.seek(0)
        lines = [line.strip() for line in output.read().splitlines() if line.strip()]
        # What follows would name this machine.
        return lines[-1][:120] if lines else f"exit code {process.returncode}"


# --- speed


def speed(driver: str, base: Settings) -> dict[str, float]:
    """Measure what a report costs in long trials, and what a trial costs in short ones."""
    curves = analytic_curves(2, 300, 0)
    long = run(driver, replace(base, trials=2, curves=curves, first_rung=300 * base.every))
    curves = analytic_curves(64, 1, 0)
    short = run(driver, replace(base, trials=40, curves=curves, first_rung=base.every))
    return rates(long, short)


def rates(long: Ran, short: Ran) -> dict[str, float]:
    """Tell what a report and a trial cost, from a study of long trials and one of short ones."""
    reports, trials = long.received, short.received
    report_s = (reports[-1]["time"] - reports[0]["time"]) / (len(reports) - 1)
    trial_s = (trials[-1]["time"] - trials[0]["time"]) / (len(trials) - 1)
    grown = trials[-1]["memory"] - trials[0]["memory"]
    return {
        "milliseconds_a_report": 1e3 * report_s,
        "reports_a_second": 1 / report_s,
        "milliseconds_a_trial": 1e3 * trial_s,
        "driver_kib_a_trial": grown / 1024 / (len(trials) - 1),
    }


# --- sick trials


def sickness(driver: str, base: Settings, kind: str) -> dict[str, Any]:
    """Let a quarter of the trials be sick."""
    ran = run(driver, replace(base, sick=kind, trials=16))
    sick = [line["trial"] for line in ran.trained if line["sick"]]
    return {
        "ended": sum(trial["ended"] for trial in ran.trials or []),
        "trials": 16,
        "error": ran.error,
        "sick_trials": len(set(sick)),
        # The first report of each tells that it is sick; what comes after is for nothing.
        "images_after_it_was_sick": (len(sick) - len(set(sick))) * base.every,
    }


# --- kills


def killed(driver: str, base: Settings, kills: Sequence[int], whole: Ran) -> dict[str, Any]:
    """Kill the driver, and compare with a study that was not.

    A decision has changed where a trial has another configuration, and where one with the same
    configuration ends at another image count. A report is lost that the driver had taken in, and
    that is in no trial of the end, or was taken in again after it was trained again.
    """
    ran = run(driver, replace(base, seconds=PACE_S), kills=kills)
    before, after = whole.trials or [], ran.trials or []
    pairs = list(zip(before, after, strict=False))
    other = sum(a["position"] != b["position"] for a, b in pairs)
    other += abs(len(before) - len(after))
    elsewhere = sum(a["position"] == b["position"] and a["images"] != b["images"] for a, b in pairs)
    kept = {
        (trial["trial"], images)
        for trial in after
        for images in range(base.every, trial["images"] + 1, base.every)
    }
    return {
        "kills": len(kills),
        "error": ran.error,
        "ended": sum(trial["ended"] for trial in after),
        "trials": base.trials,
        "reports_lost_a_kill": lost_reports(ran.received, kept) / len(kills),
        "reports_trained_for_nothing_a_kill": (len(ran.trained) - len(kept)) / len(kills),
        "decisions_changed_a_kill": (other + elsewhere) / len(kills),
        "trials_with_another_configuration": other,
        "trials_that_end_elsewhere": elsewhere,
    }


def lost_reports(received: Sequence[dict[str, Any]], kept: set[tuple[str, int]]) -> int:
    """Count reports that a driver had taken in and did not keep.

    A kill may come after a report was kept and before this file's line about it was written: such a
    report is not lost, and makes up for no other.

    Args:
        received: `trial` and `images` of each, as often as it was taken in.
        kept: the same of the reports that the study has at its end.
    """
    return len(received) - len({(line["trial"], line["images"]) for line in received} & kept)


# --- all together


def table(results: dict[str, Any]) -> str:
    """Write what was measured as Markdown."""
    names = list(DRIVERS)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]

    def row(text: str, values: Sequence[str]) -> None:
        if any(values):
            lines.append(f"| {text} | " + " | ".join(values) + " |")

    def fate(found: dict[str, Any] | None) -> str:
        if found is None:
            return ""
        return f"{found['ended']} of {found['trials']}" + (
            ", the study ended with an error" if found["error"] else ""
        )

    def count(kind: str, key: str, digits: int = 0) -> list[str]:
        """Return what was counted for each driver, or nothing."""
        return [f"{fault[n][kind][key]:.{digits}f}" if kind in fault[n] else "" for n in names]

    fault = results["faults"]
    for kind, text in (("nan", "NaN"), ("none", "`None`"), ("missing", "no metric")):
        row(
            f"trials that ended, a quarter reporting {text}",
            [fate(fault[name].get(kind)) for name in names],
        )
    row(
        "images trained on NaN after its first report",
        [
            f"{found['nan']['images_after_it_was_sick']:,} in {found['nan']['sick_trials']} trials"
            if "nan" in found
            else ""
            for found in (fault[name] for name in names)
        ],
    )
    row(
        f"trials that ended, kills of the driver: {results['kills']}",
        [fate(fault[name].get("killed")) for name in names],
    )
    row("decisions changed, a kill of the driver", count("killed", "decisions_changed_a_kill", 1))
    row("reports lost, a kill", count("killed", "reports_lost_a_kill", 1))
    nothing = "reports_trained_for_nothing_a_kill"
    row("reports trained for nothing, a kill", count("killed", nothing, 1))
    row(
        "trials with another configuration than without kills",
        count("killed", "trials_with_another_configuration"),
    )
    row(
        "trials that end elsewhere than without kills",
        count("killed", "trials_that_end_elsewhere"),
    )
    for key, text, digits in (
        ("milliseconds_a_report", "ms a report", 1),
        ("reports_a_second", "reports a second", 0),
        ("milliseconds_a_trial", "ms a trial of one report", 0),
        ("driver_kib_a_trial", "KiB of the driver a trial", 0),
    ):
        medians = [results["speed"].get(name, {}).get(key) for name in names]
        row(text, ["" if value is None else f"{value:.{digits}f}" for value in medians])
    return "\n".join(lines)


def measured(base: Settings, rounds: int) -> tuple[dict[str, list[dict[str, float]]], Any]:
    """Measure speed in rounds, then faults; return both, by driver."""
    speeds: dict[str, list[dict[str, float]]] = {name: [] for name in FAST}
    for number in range(rounds):
        print(f"speed, round {number + 1} of {rounds}", file=sys.stderr)
        for name in FAST if number % 2 == 0 else reversed(FAST):
            speeds[name].append(speed(name, base))
    print("faults", file=sys.stderr)
    # Counts, which do not depend on how busy the machine is: several drivers at once.
    alone = replace(base, trials=14, concurrent=1)
    with ThreadPoolExecutor(3) as pool:
        whole = {name: pool.submit(run, name, alone) for name in FAST}

        def kill(name: str) -> dict[str, Any]:
            return killed(name, alone, KILLS, whole[name.partition(",")[0]].result())

        jobs = {(name, "killed"): pool.submit(kill, name) for name in DRIVERS}
        jobs |= {
            (name, kind): pool.submit(sickness, name, base, kind)
            for kind in ("nan", "none", "missing")
            for name in FAST
        }
    faults: dict[str, Any] = {name: {} for name in DRIVERS}
    for (name, kind), job in jobs.items():
        faults[name][kind] = job.result()
    return speeds, faults


def glimpsed(base: Settings) -> tuple[dict[str, list[dict[str, float]]], Any]:
    """Run each driver on three trials, undisturbed and killed once: enough for a test."""
    small = replace(base, trials=3, concurrent=1)
    with ThreadPoolExecutor(2) as pool:
        whole = dict(zip(FAST, pool.map(lambda name: run(name, small), FAST), strict=True))
        ends = pool.map(lambda name: killed(name, small, QUICK_KILLS, whole[name]), FAST)
        faults: dict[str, Any] = {name: {} for name in DRIVERS}
        faults |= {name: {"killed": end} for name, end in zip(FAST, ends, strict=True)}
    return {name: [rates(whole[name], whole[name])] for name in FAST}, faults


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the measurements of speed")
    add_curves(parser)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--quick", action="store_true", help="three trials, for a test")
    flags = parser.parse_args()
    curves, every = chosen_curves(parser, flags)
    base = Settings(
        folder="",
        curves=curves,
        every=every,
        first_rung=every,
        reduction=3,
        trials=16,
        concurrent=2,
        seconds=0.0,
        sick=None,
        keep=None,
        restore=False,
    )
    started = time.monotonic()
    speeds, faults = glimpsed(base) if flags.quick else measured(base, flags.rounds)
    results = {
        "environment": describe_environment(),
        "objective": OBJECTIVE,
        "curves": "analytic" if flags.analytic else flags.curves.name,
        "number_of_curves": len(curves),
        "reports_a_trial": len(curves[0]),
        "kills": len(QUICK_KILLS if flags.quick else KILLS),
        "rounds": speeds,
        "speed": {
            name: {key: statistics.median(one[key] for one in found) for key in found[0]}
            for name, found in speeds.items()
        },
        "faults": faults,
        "seconds": round(time.monotonic() - started),
    }
    tell(results, table(results), flags.out)


if __name__ == "__main__":
    main()
