"""Learning curves of every configuration of a small grid, recorded once.

    python benchmarks/record_curves.py [--processes 2] [--out results/curves]

Each configuration trains to its end on the built-in photographs, in a process with one thread. A
curve that is recorded stays: the same command goes on with those that are missing, and at last
writes all of them into one table, `curves.parquet`, from which `search.py` draws.
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raycolor.environment import describe_environment
from raycolor.errors import Diverged
from raycolor.files import write_text
from raycolor.plan import Plan, make_plan
from raycolor.spaces.domains import Scalar, combinations

HERE = Path(__file__).parent
SPACE = HERE / "recorded_grid.yaml"
CURVES = HERE.parent / "results" / "curves"
TABLE = "curves.parquet"
KEPT = (
    "fd_efficientnet_lite0",
    "fd_efficientnet_lite0_best",
    "generator_adversarial_loss",
    "discriminator_accuracy",
    "psnr",
    "train_seconds",
    "evaluate_seconds",
)
"""Metrics of a report that the table holds: the objective, what guards look at, what it cost."""


REPORTS = (1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27)
"""Reports that are measured, as multiples of `budget.report_every`: all rungs, and some between.
Measuring takes as long as training does."""


def grid_plan(out: Path = CURVES) -> Plan:
    """Make the plan of a study over the grid."""
    return make_plan(
        space=str(SPACE),
        study=None,
        out=out,
        data="photos",
        trials=None,
        concurrent=None,
        overrides={},
        address=None,
        time_budget_s=None,
        seed=0,
    )


def grid() -> list[dict[str, Scalar]]:
    """Return the configurations of the grid, in its own order."""
    return list(combinations(grid_plan().space.search))


def record(number: int, out: Path) -> str:
    """Train one configuration to its end and write its curve.

    Args:
        number: its place in the grid.
        out: folder of the curves.

    Returns:
        A line about it.
    """
    # Here, since every process begins anew.
    import torch

    from raycolor import trial
    from raycolor.data import PHOTOS, open_prepared

    os.nice(5)
    torch.set_num_threads(1)
    chosen = grid()[number]
    config = grid_plan().space.config(chosen)
    points = [place * config.budget.report_every for place in REPORTS]
    # The steps do not depend on when they are reported.
    trial._next_report = lambda config, images_seen: next(p for p in points if p > images_seen)
    started, rows = time.process_time(), []
    state = "completed"
    try:
        for report in trial.train(config, open_prepared(PHOTOS), cache=out / "truth"):
            row: dict[str, Any] = {
                "configuration": number,
                **chosen,
                "images_seen": report.images_seen,
                "stage": report.stage,
                # Of a core: other programs on this machine make it no longer.
                "core_seconds": time.process_time() - started,
                "gray": report.references["gray"][config.fid_key],
            }
            rows.append(row | {name: report.metrics.get(name) for name in KEPT})
    except Diverged as error:
        state = f"diverged at {error.images_seen} images"
        rows.append({"configuration": number, **chosen, "images_seen": config.budget.images})
        rows[-1][KEPT[1]] = math.nan
    write_text(part(out, number), json.dumps(rows))
    return f"{number}: {state}, {rows[-1].get(KEPT[1])} after {rows[-1].get('core_seconds')} s"


def part(out: Path, number: int) -> Path:
    """Name the file of one curve."""
    return out / "parts" / f"{number:03d}.json"


def write_table(out: Path, count: int) -> None:
    """Write all curves into one table, with the machine that they are from."""
    rows = [
        row
        for number in range(count)
        for row in json.loads(part(out, number).read_text(encoding="utf-8"))
    ]
    names = list(rows[0])
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    about = {"environment": json.dumps(describe_environment())}
    pq.write_table(table.replace_schema_metadata(about), out / TABLE, compression="zstd")


def main() -> None:
    """Record what is missing, and write the table when nothing is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=CURVES, help="folder")
    parser.add_argument("--most", type=int, help="curves of this session")
    flags = parser.parse_args()
    (flags.out / "parts").mkdir(parents=True, exist_ok=True)
    count = len(grid())
    missing = [number for number in range(count) if not part(flags.out, number).exists()]
    missing = missing[: flags.most]
    context = multiprocessing.get_context("spawn")
    with context.Pool(flags.processes, maxtasksperchild=1) as pool:
        jobs = [pool.apply_async(record, (number, flags.out)) for number in missing]
        for job in jobs:
            print(job.get(), file=sys.stderr, flush=True)
    if all(part(flags.out, number).exists() for number in range(count)):
        write_table(flags.out, count)


if __name__ == "__main__":
    main()
