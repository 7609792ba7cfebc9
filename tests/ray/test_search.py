"""The main job through its command line, with real Ray and real, tiny trials; and kills."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raycolor.plan import Plan, make_plan
from raycolor.spaces.domains import Scalar
from raycolor.study.journal import read_journal
from raycolor.study.records import Ask, Record, References, Reported
from raycolor.study.rules import replay

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

TINY: dict[str, Scalar] = {
    "generator.width": 8,
    "generator.backbone": "scratch",
    "discriminator.width": 8,
    "evaluation.images": 8,
    "evaluation.extractor_size": 64,
    "budget.images": 288,
    "budget.report_every": 32,
    "study.scheduler.first_rung": 32,
    "pretraining.images": 64,
    "study.resources.cpus": 1,
}
MEASURED = {
    "images_per_second",
    "images_inherited",
    "seconds_inherited",
    "train_seconds",
    "evaluate_seconds",
    "checkpoint_seconds",
}
"""Metrics that differ from run to run."""
TRIALS = 4


def command(out: Path | str, *more: str) -> list[str]:
    sets = [word for path, value in TINY.items() for word in ("--set", f"{path}={value}")]
    base = [sys.executable, "-m", "raycolor.search", "--study", "tiny", "--out", str(out)]
    flags = ["--trials", str(TRIALS), "--concurrent", "1", *sets]
    return [*base, *flags, *more]


@contextmanager
def started(home: Path, words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, which does not outlive the block."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "RAY_TMPDIR": str(home),
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(home: Path, words: list[str]) -> tuple[int, str]:
    with started(home, words) as process:
        text, _ = process.communicate(timeout=300)
    return process.returncode, text


def journal(out: Path) -> list[Record]:
    return read_journal(out / "tiny" / "journal")


def wait_for(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a study has that many reports."""
    wait_until(lambda: len(reports(out)) >= count, process)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is true of a process that goes on."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "waited two minutes"
        time.sleep(0.02)


def reports(out: Path) -> list[Reported]:
    return reports_of(journal(out))


def reports_of(records: list[Record]) -> list[Reported]:
    return [record for record in records if isinstance(record, Reported)]


def essence(records: list[Record]) -> list[Any]:
    """What two runs of one study have in common: no times, no sessions."""
    kept: list[Any] = []
    for record in records:
        match record:
            case Ask():
                kept.append((record.number, record.seed, record.chosen))
            case Reported():
                metrics = {k: v for k, v in record.metrics.items() if k not in MEASURED}
                kept.append((record.number, record.images_seen, metrics, record.decision))
            case References():
                kept.append(record.scores)
            case _:
                pass
    return kept


def first(records: list[Record], trials: int) -> list[Record]:
    """What a study with fewer trials, one at a time, would have."""
    further = (n for n, r in enumerate(records) if isinstance(r, Ask) and r.number >= trials)
    return records[: next(further, None)]


def plan_of(out: Path | str, trials: int = TRIALS) -> Plan:
    return make_plan(
        space="quickstart",
        study="tiny",
        out=out,
        data="photos",
        trials=trials,
        concurrent=1,
        overrides=TINY,
        address=None,
        time_budget_s=None,
        seed=0,
    )


def assert_lawful(out: Path, trials: int = TRIALS) -> None:
    assert replay(plan_of(out, trials), journal(out)) == []
    keys = [(report.number, report.images_seen) for report in reports(out)]
    assert len(keys) == len(set(keys))


@pytest.fixture(scope="module")
def uninterrupted(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study that these tests may change."""
    return shutil.copytree(undisturbed, tmp_path_factory.mktemp("copy") / "uninterrupted")


def test_study_folder_is_complete(uninterrupted: Path) -> None:
    folder = uninterrupted / "tiny"
    with (folder / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} <= {"completed", "pruned", "reference"}
    assert sorted(row["rank"] for row in rows if row["rank"]) == [
        str(rank) for rank in range(1, TRIALS + 1)
    ]
    assert [row["trial"] for row in rows if row["status"] == "reference"] == ["gray"]
    assert all(row["reason"] for row in rows)
    for name in (
        "plan.yaml",
        "environment.json",
        "trials.parquet",
        "reports.parquet",
        "best/generator.safetensors",
        "best/config.yaml",
        "best/samples.png",
    ):
        assert (folder / name).is_file(), name
    assert json.loads((folder / "environment.json").read_text())["packages"]["ray"]
    runs = {path.name for path in (folder / "tensorboard").glob("*/")}
    assert runs == {row["trial"] for row in rows} - {"gray"}
    assert "report.html" in {path.name for path in folder.iterdir()}
    assert not list(folder.rglob("*.pkl"))
    assert_lawful(uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_cleanly(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, and what `kill` and `ray job stop` send."""
    with started(home, command(tmp_path)) as process:
        wait_for(tmp_path, 2, process)
        process.send_signal(number)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Interrupted" in text
    assert "the same command goes on" in text
    assert "Traceback" not in text
    assert (tmp_path / "tiny" / "best" / "samples.png").is_file()


def test_time_budget_ends_at_a_report_and_leaves_the_trial_open(home: Path, tmp_path: Path) -> None:
    code, text = run(home, command(tmp_path, "--time-budget", "0.001"))
    assert code == 0, text
    assert "not finished" in text
    assert len(reports(tmp_path)) <= 1


def test_finished_study_answers_without_ray_and_more_trials_extend_it(
    home: Path, uninterrupted: Path
) -> None:
    before = essence(journal(uninterrupted))
    code, text = run(home, command(uninterrupted))
    assert code == 0
    assert "finished" in text
    assert "starting Ray" not in text
    code, text = run(home, command(uninterrupted, "--trials", str(TRIALS + 1)))
    assert code == 0, text
    after = essence(journal(uninterrupted))
    assert after[: len(before)] == before
    assert len([r for r in journal(uninterrupted) if isinstance(r, Ask)]) == TRIALS + 1
    assert_lawful(uninterrupted, TRIALS + 1)


def test_another_plan_in_the_same_folder_is_refused(home: Path, uninterrupted: Path) -> None:
    content = (uninterrupted / "tiny" / "journal" / "journal.jsonl").read_bytes()
    code, text = run(home, command(uninterrupted, "--set", "losses.l1_lambda=7"))
    assert code == 2
    assert "losses.l1_lambda" in text
    assert "Traceback" not in text
    assert (uninterrupted / "tiny" / "journal" / "journal.jsonl").read_bytes() == content


def test_winner_colours_a_photograph(home: Path, uninterrupted: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    ramp = np.linspace(0, 255, 150 * 97 * 3).reshape(97, 150, 3).astype(np.uint8)
    Image.fromarray(ramp).save(photo)
    words = [sys.executable, "-m", "raycolor.colorize", str(photo)]
    words += ["--from", str(uninterrupted / "tiny"), "--out", str(tmp_path / "out")]
    code, text = run(home, words)
    assert code == 0, text
    with Image.open(tmp_path / "out" / "photo.png") as picture:
        assert picture.size == (150, 97)
    code, text = run(home, words)
    assert code == 2
    assert "--overwrite" in text
