"""How long a trial stands still whose machine is lost; `cluster.py` runs this.

Machines are namespaces of this one (`tests/cluster/hosts.py`), with a Ray of their own. A single
trial runs on one of them, and others are idle. Its machine is lost in two ways:

    killed    all its processes end at once; the kernel closes their connections, which Ray notices
    silent    its cable is cut first, as when its power fails: nobody is told anything

The time is from the loss to the trial's next report that the driver takes in. It holds the time
between two reports, which is the same for all drivers that replay.
"""

import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from replayed import SETTINGS, Settings, analytic_curves, read_lines

from raycolor.study.journal import read_journal
from raycolor.study.records import Fault, Reported
from tests.cluster.hosts import ROOT, SHARED, Host, Network

Kind = Literal["killed", "silent"]
KINDS: tuple[Kind, ...] = ("killed", "silent")
DRIVERS = ("raycolor, training", "raycolor", "stock")
PACE_S = 0.5
"""Seconds between two reports of a trial that replays."""
EVERY = 512
LONGEST_S = 240.0
"""After which something that is waited for counts as hanging."""
TRAINS = re.compile(rb"ray::\w*Trainable")
"""Title of a process that has a trial; Ray wraps trainables in a class of this name."""
TINY = {
    "generator.width": 8,
    "generator.backbone": "scratch",
    "discriminator.width": 8,
    "evaluation.images": 8,
    "evaluation.extractor_size": 64,
    "budget.images": 320_000,
    "budget.report_every": 32,
    "pretraining.images": 64,
    "study.scheduler.first_rung": 320_000,
    "study.resources.cpus": 1,
}
"""Of a trial that really trains: small, and longer than the benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When the driver took something in, in seconds since the epoch."""

    reports: list[float]
    faults: list[float]


def lose(driver: str, kinds: tuple[Kind, ...]) -> dict[Kind, dict[str, float]]:
    """Run a study of one trial, and lose its machine once in each way.

    Args:
        driver: one of `DRIVERS`.
        kinds: ways to lose a machine.

    Returns:
        For each way: seconds until the driver noticed, and until the trial's next report.

    Raises:
        RuntimeError: something did not happen in time.
    """
    network = Network(2 + len(kinds))
    try:
        _start_ray(network)
        with _study(driver, network) as look:
            return {kind: _lost(network, look, kind) for kind in kinds}
    finally:
        network.close()


def _start_ray(network: Network) -> None:
    """Start Ray on all machines; the first is the head, and trains nothing."""
    quiet = {
        # No way leads out of these machines' network.
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Workers import what replays from here, and inherit what names its settings.
        "PYTHONPATH": f"{ROOT / 'benchmarks'}{os.pathsep}{ROOT}",
        SETTINGS: f"{SHARED}/settings.json",
    }
    common = ["--object-store-memory=80000000", "--disable-usage-stats"]
    for place, host in enumerate(network.hosts):
        role = ["--head", "--port=6379", "--num-cpus=0", "--include-dashboard=false"]
        if place:
            role = [f"--address={network.ips[0]}:6379", "--num-cpus=1"]
        words = ["env", *_given(quiet), str(Path(sys.prefix) / "bin" / "ray"), "start"]
        host.run(*words, *role, *common)


def _given(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


@contextmanager
def _study(driver: str, network: Network) -> Iterator[Callable[[], Seen]]:
    """Start a study on the head; it ends with the machines.

    Yields:
        What tells which reports and faults the driver took in so far.
    """
    folder = network.shared / "study"
    folder.mkdir()
    if driver == "raycolor, training":
        sets = [word for path, value in TINY.items() for word in ("--set", f"{path}={value}")]
        words = ["-m", "raycolor.search", "--address", "auto", "--out", SHARED, "--study", "study"]
        words += ["--trials", "1", "--concurrent", "1", *sets]
        look = _from_journal(folder)
    else:
        settings = Settings(
            folder=f"{SHARED}/study",
            curves=analytic_curves(1, 2_000, 0),
            every=EVERY,
            first_rung=2_000 * EVERY,
            reduction=3,
            trials=1,
            concurrent=1,
            seconds=PACE_S,
            sick=None,
            keep=None,
            restore=False,
        )
        replace(settings, address="auto").write(network.shared / "settings.json")
        words = [str(ROOT / "benchmarks" / f"drive_{driver}.py")]
        look = _from_lines(folder)
    environment = {
        "RAY_AUTH_MODE": "disabled",
        "PYTHONPATH": str(ROOT),
        SETTINGS: f"{SHARED}/settings.json",
    }
    command = shlex.join(["env", *_given(environment), sys.executable, *words])
    log = network.shared / "driver.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            network.hosts[0].enter(["sh", "-c", f"exec {command}"]),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield look
    except RuntimeError as error:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise RuntimeError("\n".join([f"{driver}: {error}", *said])) from error
    finally:
        network.hosts[0].kill()
        process.wait(timeout=30)


def _from_journal(folder: Path) -> Callable[[], Seen]:
    def look() -> Seen:
        place = folder / "journal"
        records = read_journal(place) if place.is_dir() else []
        return Seen(
            reports=[record.time for record in records if isinstance(record, Reported)],
            faults=[record.time for record in records if isinstance(record, Fault)],
        )

    return look


def _from_lines(folder: Path) -> Callable[[], Seen]:
    def look() -> Seen:
        reports, faults = (
            [float(line["time"]) for line in read_lines(folder / f"{name}.jsonl")]
            for name in ("received", "faults")
        )
        return Seen(reports=reports, faults=faults)

    return look


def _lost(network: Network, look: Callable[[], Seen], kind: Kind) -> dict[str, float]:
    """Lose the trial's machine right after a report, so that none is on its way."""
    before = len(look().reports)
    _wait(lambda: len(look().reports) >= before + 3, "reports of the trial")
    places: list[int] = []

    def is_seen() -> bool:
        # Ray writes a process's title now and then, so that it may come late.
        places[:] = [place for place, host in enumerate(network.hosts) if _has_trial(host)]
        return bool(places)

    _wait(is_seen, "a machine on which the trial is seen")
    (place,) = places
    before = len(look().reports)
    _wait(lambda: len(look().reports) > before, "a report")
    began, count = time.time(), len(look().reports)
    if kind == "silent":
        network.cut(place)
    network.hosts[place].kill()
    _wait(lambda: len(look().reports) > count, "a report of the trial whose machine was lost")
    seen = look()
    noticed = next(moment for moment in seen.faults if moment > began)
    return {
        "noticed_s": round(noticed - began, 2),
        "next_report_s": round(seen.reports[count] - began, 2),
    }


def _has_trial(host: Host) -> bool:
    for pid in host.processes():
        try:
            if TRAINS.match(Path(f"/proc/{pid}/cmdline").read_bytes()):
                return True
        except OSError:
            continue
    return False


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {LONGEST_S:g} s for {what}")
        time.sleep(0.02)


def medians(rounds: list[dict[Kind, dict[str, float]]]) -> dict[Kind, dict[str, float]]:
    """Take the median of each time over rounds."""
    return {
        kind: {name: statistics.median(one[kind][name] for one in rounds) for name in found}
        for kind, found in rounds[0].items()
    }
