"""What a cluster costs: lost machines, copies of data sets, and workers that wait.

    python benchmarks/cluster.py [--rounds 3] [--curves TABLE] [--storage ADDRESS]
                                 [--out FILE] [--quick]

    lost machines   seconds from a machine's end to its trial's next report, see `node_loss.py`;
                    needs root and namespaces, and says what it lacks
    data            seconds and bytes for bringing a data set to 2, 4 and 8 nodes with two trials
                    each: one copy a node, as raycolor does it, and one a trial
    busy workers    share of the time that 2, 4 and 8 simulated workers train; their curves are
                    replayed, with a driver that is raycolor's or stock Ray Tune's

Measured in rounds, one after the other in turn, and given as medians: on a shared machine only the
ratios count. The output are Markdown tables, and JSON with commit, hardware and versions where
`--out` names a file. Each measurement is kept beside that file until all are done: after a kill, or
an error of one, the same command goes on with the others.
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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from against_stock_tune import run
from record_curves import CURVES, TABLE
from replayed import Settings
from replayed_curves import EVERY, recorded_curves
from told import Kept, tell

from raycolor.cache import VARIABLE
from raycolor.data import SPLITS, write_rows
from raycolor.environment import describe_environment
from raycolor.remote.address import below
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import ABOUT, SPLIT_FILES, upload

ROOT = Path(__file__).parents[1]
TRIALS_A_NODE = 2
COPIES = ("one copy a node", "one copy a trial")
DRIVERS = ("raycolor", "stock")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int
    nodes: tuple[int, ...] = (2, 4, 8)
    workers: tuple[int, ...] = (2, 4, 8)
    trials_a_worker: int = 8
    report_s: float = 0.5
    """That a simulated worker trains before each report."""
    megabytes: int = 64
    """Of the data set."""


QUICK = Sizes(rounds=1, nodes=(2,), workers=(2,), trials_a_worker=3, report_s=0.2, megabytes=2)


# --- data sets


def distribution(sizes: Sizes, address: str | None, kept: Kept) -> list[dict[str, Any]]:
    """Measure the copying of one data set from shared storage to nodes.

    Nodes are processes with cache folders of their own, all on this machine's disk, and what they
    read is in its page cache, unless `address` names another storage.
    """
    with tempfile.TemporaryDirectory(prefix="rb-") as scratch:
        prepared = Path(scratch) / "benchmark"
        prepared.mkdir()
        _make_data(prepared, sizes.megabytes)
        address = below(address or f"file://{scratch}", "benchmark-of-copies")
        upload(prepared, address)
        shutil.rmtree(prepared)
        try:
            found = []
            for number in range(sizes.rounds):
                for nodes in sizes.nodes:
                    for way in _in_turn(COPIES, number):
                        caches = Path(scratch) / "caches"
                        told = kept.measure(
                            f"copies: round {number + 1}, {nodes} nodes, {way}",
                            partial(_copied, caches, address, nodes, way),
                        )
                        found.append({"nodes": nodes, "way": way, **told})
            return found
        finally:
            for name in (ABOUT, *SPLIT_FILES):
                Bucket(address).delete(name)


def _make_data(folder: Path, megabytes: int) -> None:
    rng, size = np.random.default_rng(0), 64
    number = max(1, megabytes * 10**6 // (3 * size * size) - 2)
    counts = dict.fromkeys(SPLITS, 1) | {"train": number}

    def pictures(count: int) -> Iterable[tuple[str, np.ndarray]]:
        for place in range(count):
            yield f"{place}.png", rng.integers(0, 256, (size, size, 3), np.uint8)

    rows = {split: pictures(counts[split]) for split in SPLITS}
    write_rows(folder, rows, size=size, name="noise", source="drawn at random")


def _copied(caches: Path, address: str, nodes: int, way: str) -> dict[str, float]:
    """Have all trials of all nodes ask for the data set at once."""
    trials = []
    for trial in range(nodes * TRIALS_A_NODE):
        place = trial // TRIALS_A_NODE if way == COPIES[0] else trial
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "copy_data_set.py"), address],
            env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(caches / str(place))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        trials.append(process)
    for process in trials:
        assert process.stdout is not None
        process.stdout.readline()
    for process in trials:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in trials]
    shutil.rmtree(caches)
    return {
        "seconds": max(one["ended"] for one in told) - min(one["began"] for one in told),
        "bytes": sum(one["bytes"] for one in told),
    }


# --- busy workers


def busy(sizes: Sizes, curves: list[list[float]], kept: Kept) -> list[dict[str, Any]]:
    """Measure which share of its time a simulated worker trains."""
    found = []
    for number in range(sizes.rounds):
        for workers in sizes.workers:
            for driver in _in_turn(DRIVERS, number):
                shares = kept.measure(
                    f"busy: round {number + 1}, {workers} workers, {driver}",
                    partial(_busy, sizes, curves, workers, driver),
                )
                found.append({"workers": workers, "driver": driver, **shares})
    return found


def _busy(sizes: Sizes, curves: list[list[float]], workers: int, driver: str) -> dict[str, float]:
    settings = Settings(
        folder="",
        curves=curves,
        every=EVERY,
        first_rung=EVERY,
        reduction=3,
        trials=workers * sizes.trials_a_worker,
        concurrent=workers,
        seconds=sizes.report_s,
        sick=None,
        keep=None,
        restore=False,
        workers=workers,
    )
    ran = run(driver, settings)
    if ran.error is not None:
        raise RuntimeError(f"{driver}, {workers} workers: {ran.error}")
    return busy_shares(ran.trained, workers)


def busy_shares(trained: Sequence[Mapping[str, Any]], workers: int) -> dict[str, float]:
    """Compute shares of busy time from what workers trained.

    Args:
        trained: a line a report: its trial, when its training `began` and `ended`.
        workers: that there are.

    Returns:
        The share from the first training to the last; and that up to the last trial's begin, while
        there is work for all. Begins of processes count as idle.
    """
    first = min(line["began"] for line in trained)
    last = max(line["ended"] for line in trained)
    begins: dict[str, float] = {}
    for line in trained:
        begins[line["trial"]] = min(line["began"], begins.get(line["trial"], line["began"]))

    def share(until: float) -> float:
        spent = sum(max(0.0, min(line["ended"], until) - line["began"]) for line in trained)
        return float(spent / (workers * (until - first)))

    return {"whole": share(last), "while_trials_are_left": share(max(begins.values()))}


# --- lost machines


def losses(rounds: int, kept: Kept, *, quick: bool) -> dict[str, Any]:
    """Lose machines.

    Returns:
        `medians` and `rounds` by driver; or why it was `skipped`, alone.
    """
    # Its hosts stand with the tests.
    sys.path.insert(0, str(ROOT))
    from tests.cluster.hosts import missing

    if (reason := missing()) is not None:
        return {"skipped": reason}
    import node_loss

    drivers = ("raycolor",) if quick else node_loss.DRIVERS
    kinds = node_loss.KINDS[:1] if quick else node_loss.KINDS
    found: dict[str, list[Any]] = {driver: [] for driver in drivers}
    for number in range(rounds):
        for driver in _in_turn(drivers, number):
            what = f"lost machines: round {number + 1}, {driver}"
            told = kept.measure(what, partial(node_loss.lose, driver, kinds))
            found[driver].append(told)
    medians = {driver: node_loss.medians(told) for driver, told in found.items()}
    return {"medians": medians, "rounds": found}


# --- all together


def _in_turn(names: Sequence[T], number: int) -> Sequence[T]:
    """Turn the order every other round."""
    return names if number % 2 == 0 else names[::-1]


def _median(lines: Sequence[Mapping[str, Any]], key: str, **wanted: object) -> float:
    rows = [line[key] for line in lines if all(line[k] == v for k, v in wanted.items())]
    return float(statistics.median(rows))


def tables(results: Mapping[str, Any], sizes: Sizes) -> str:
    """Write what was measured as Markdown."""
    lines = []
    if reason := results["losses"].get("skipped"):
        lines.append(f"Lost machines: not measured, {reason}")
    else:
        lines += ["| driver | machine | s until noticed | s until the next report |"]
        lines += ["| --- | --- | ---: | ---: |"]
        for driver, kinds in results["losses"]["medians"].items():
            for kind, told in kinds.items():
                seconds = f"{told['noticed_s']:.1f} | {told['next_report_s']:.1f}"
                lines.append(f"| {driver} | {kind} | {seconds} |")
    lines += ["", f"| nodes | {' | '.join(f'{way}: s | MB' for way in COPIES)} |"]
    lines += ["| ---: |" + " ---: |" * 4]
    for nodes in sizes.nodes:
        cells = []
        for way in COPIES:
            cells.append(f"{_median(results['data'], 'seconds', nodes=nodes, way=way):.2f}")
            cells.append(f"{_median(results['data'], 'bytes', nodes=nodes, way=way) / 1e6:,.0f}")
        lines.append(f"| {nodes} | {' | '.join(cells)} |")
    shares = (("while_trials_are_left", "while trials are left"), ("whole", "to the end"))
    titles = [f"{driver}, {text}" for _, text in shares for driver in DRIVERS]
    lines += ["", f"| workers | {' | '.join(titles)} |", "| ---: |" + " ---: |" * len(titles)]
    for workers in sizes.workers:
        values = [
            _median(results["busy"], key, workers=workers, driver=driver)
            for key, _ in shares
            for driver in DRIVERS
        ]
        lines.append(f"| {workers} | {' | '.join(f'{value:.0%}' for value in values)} |")
    return "\n".join(lines)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--curves", type=Path, default=CURVES / TABLE, help="table of recorded curves"
    )
    parser.add_argument("--storage", help="address of a folder that the data set is copied from")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--quick", action="store_true", help="little of everything, as a test")
    flags = parser.parse_args()
    sizes = QUICK if flags.quick else Sizes(rounds=flags.rounds)
    curves, _ = recorded_curves(flags.curves)
    kept, started = Kept(flags.out, (sizes, flags.storage, flags.curves)), time.monotonic()
    data = distribution(sizes, flags.storage, kept)
    shares = busy(sizes, curves, kept)
    lost = losses(sizes.rounds, kept, quick=flags.quick)
    results = {
        "environment": describe_environment(),
        "curves": "/".join(flags.curves.parts[-2:]),
        "reports_a_trial": len(curves[0]),
        "seconds_a_report": sizes.report_s,
        "trials_a_node": TRIALS_A_NODE,
        "losses": lost,
        "data": data,
        "busy": shares,
        "seconds": round(time.monotonic() - started),
    }
    tell(results, tables(results, sizes), flags.out)
    kept.close()


if __name__ == "__main__":
    main()
