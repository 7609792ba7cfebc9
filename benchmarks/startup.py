"""Seconds until the first training step, and from one trial's end to the next one's first step.

    python benchmarks/startup.py [--rounds 3] [--trials 4] [--quick] [--out startup.json]

Whole searches of the space `smoke` run one trial at a time, with a home, a cache and a Ray of their
own; when things happened is read from their journals. Then trials follow each other in this
process, in turns with the evaluator kept from the last one and with one of their own, round after
round, so that a noisy machine disturbs both alike. The output is a table, and JSON with hardware
and versions.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from told import tell

from raycolor.config import TrialConfig, nested
from raycolor.data import PHOTOS, open_prepared
from raycolor.environment import describe_environment
from raycolor.evaluation import Evaluators
from raycolor.steps import build_networks
from raycolor.trial import train

COMMAND = "from the command to"
BETWEEN = "from a trial's end to the next one's first step"
KEPT, OWN, NETWORKS = "evaluator kept", "evaluator of its own", "of it building networks"
SHORT = {
    "data.size": 64,
    "generator.backbone": "efficientnet_lite0",
    "generator.decoder_width": 64,
    "discriminator.width": 32,
    "discriminator.downs": 2,
    "evaluation.images": 54,
    "evaluation.extractor_size": 224,
    "budget.batch_size": 16,
    "budget.report_every": 16,
    "budget.images": 16,
    "pretraining.images": 0,
}
"""The networks and the evaluation of the quickstart, for a single step."""

Seconds = dict[str, list[float]]


def records_of(folder: Path) -> list[dict[str, Any]]:
    """Read the journal of a study."""
    text = (folder / "journal" / "journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def begun(report: Mapping[str, Any]) -> float:
    """Return when a trial took its first step, from its first report."""
    spent = ("train_seconds", "evaluate_seconds", "checkpoint_seconds")
    return float(report["time"]) - sum(float(report["metrics"][name]) for name in spent)


def phases(
    records: Sequence[Mapping[str, Any]], started: float
) -> tuple[dict[str, float], list[float]]:
    """Tell when a search reached its phases, and how long it took between trials.

    Args:
        records: of its journal, of a search with one trial at a time.
        started: when the command was given, in seconds since the epoch.
    """
    reports = [record for record in records if record["record"] == "report"]
    times = {
        record["record"]: float(record["time"]) - started
        for record in records
        if record["record"] in ("session", "resources")
    }
    between = [
        begun(report) - float(last["time"])
        for last, report in itertools.pairwise(reports)
        if report["number"] != last["number"]
    ]
    found = {
        f"{COMMAND} the study's opening": times["session"],
        f"{COMMAND} Ray's start": times["resources"],
        f"{COMMAND} the first training step": begun(reports[0]) - started,
    }
    return found, between


def search(trials: int) -> tuple[dict[str, float], list[float]]:
    """Run one search in a process of its own and look into its journal."""
    with tempfile.TemporaryDirectory(prefix="rc-") as scratch:
        place = Path(scratch)
        (place / "home").mkdir()
        environment = {
            **os.environ,
            "HOME": str(place / "home"),
            "RAY_TMPDIR": scratch,
            "RAYCOLOR_CACHE": str(place / "cache"),
        }
        words = ["--space", "smoke", "--concurrent", "1", "--trials", str(trials)]
        words += ["--out", str(place / "results")]
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "raycolor.search", *words],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"the search failed:\n{done.stderr}")
        return phases(records_of(place / "results" / "smoke"), started)


def follow(cache: Path, evaluators: Evaluators | None) -> float:
    """Return the seconds that a trial in this process takes beside steps, evaluation and files."""
    config = TrialConfig.model_validate(nested(SHORT))
    started = time.perf_counter()
    report = next(train(config, open_prepared(PHOTOS), cache=cache, evaluators=evaluators))
    spent = report.metrics["train_seconds"] + report.metrics["evaluate_seconds"]
    return time.perf_counter() - started - spent


def networks() -> float:
    """Return the seconds of building the networks of such a trial."""
    config = TrialConfig.model_validate(nested(SHORT))
    started = time.perf_counter()
    build_networks(config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return time.perf_counter() - started


def measure(rounds: int, trials: int) -> Seconds:
    """Measure all, round after round."""
    found: Seconds = {}
    evaluators = Evaluators()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        follow(cache, evaluators)  # the first of a process pays for everything
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
            once, between = search(trials)
            for name, seconds in once.items():
                found.setdefault(name, []).append(seconds)
            found.setdefault(BETWEEN, []).extend(between)
            for _ in range(3):
                for name, kept in ((KEPT, evaluators), (OWN, None)):
                    found.setdefault(name, []).append(follow(cache, kept))
                found.setdefault(NETWORKS, []).append(networks())
    return found


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the results as Markdown."""
    lines = ["| what | seconds | times measured |", "| --- | ---: | ---: |"]
    lines += [f"| {row['what']} | {row['seconds']:.3f} | {row['times']} |" for row in results]
    return "\n".join(lines)


def main() -> None:
    """Measure in rounds, write medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one round, two trials")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    found = measure(1, 2) if flags.quick else measure(flags.rounds, flags.trials)
    results = [
        {"what": what, "seconds": round(statistics.median(some), 4), "times": len(some)}
        for what, some in found.items()
    ]
    about = {"environment": describe_environment(), "threads": flags.threads, "results": results}
    tell(about, table(results), flags.out)


if __name__ == "__main__":
    main()
