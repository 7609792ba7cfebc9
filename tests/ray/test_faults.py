"""Each kind of fault once, through the command line, with real Ray and real, tiny trials."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from raycolor.config import TrialConfig, nested
from raycolor.data import PHOTOS, open_prepared
from raycolor.kept_plan import restored_plan
from raycolor.study.journal import read_journal
from raycolor.study.records import Ask, End, Fault, FinalScores, Record, Reopened, Reported, Session
from raycolor.study.rules import replay
from raycolor.study.state import StudyState, fold
from raycolor.trial import train

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SPACE = """
study:
  concurrent: 1
  searcher: {kind: grid}
  scheduler: {kind: none}
  resources: {cpus: 1, price_per_hour: 1}
fixed:
  data.size: 32
  generator.backbone: scratch
  generator.width: 8
  discriminator.width: 8
  evaluation.images: 8
  evaluation.extractor_size: 64
  budget.images: 96
  budget.report_every: 32
  budget.batch_size: 32
search:
  losses.l1_lambda: {kind: choice, values: [100, 50, 20]}
"""

DIVERGING = """
study:
  concurrent: 1
  searcher: {kind: grid}
  scheduler: {kind: none}
  resources: {cpus: 1}
  guards:
    divergence: {patience: null}
    discriminator_at_chance: {patience: null}
fixed:
  data.size: 32
  generator.backbone: scratch
  generator.width: 8
  discriminator.width: 8
  discriminator.downs: 2
  evaluation.images: 8
  evaluation.extractor_size: 64
  budget.images: 1600
  budget.report_every: 160
  budget.batch_size: 16
  optimizers.discriminator.beta2: 0
search:
  optimizers.discriminator.learning_rate: {kind: choice, values: [1, 2.0e-4]}
"""


class Study:
    """One study in a folder of its own, and the command that works on it."""

    def __init__(self, home: Path, folder: Path, space: str = SPACE) -> None:
        self._home = home
        self._space = folder / "faulty.yaml"
        self._space.write_text(space, encoding="utf-8")
        self.out = folder / "results"
        self.folder = self.out / "faulty"

    @contextmanager
    def started(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """The command in the background; it does not outlive the block."""
        words = [sys.executable, "-m", "raycolor.search", "--space", str(self._space)]
        environment = {**os.environ, "HOME": str(self._home), "RAY_TMPDIR": str(self._home)}
        with subprocess.Popen(
            [*words, "--out", str(self.out), *flags],
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *flags: str) -> tuple[int, str]:
        """The command to its end: exit code and output."""
        with self.started(*flags) as process:
            text, _ = process.communicate(timeout=300)
        return process.returncode, text

    @property
    def records(self) -> list[Record]:
        """The journal so far."""
        return read_journal(self.folder / "journal")

    @property
    def state(self) -> StudyState:
        """What it says."""
        return fold(self.records)

    def wait(
        self, process: subprocess.Popen[str], happened: Callable[[list[Record]], bool]
    ) -> None:
        """Wait until the journal says something."""
        deadline = time.monotonic() + 240
        while not happened(self.records):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "waited four minutes"
            time.sleep(0.02)

    def assert_lawful(self) -> None:
        """Every suggestion and decision follows, and nothing was reported twice."""
        records = self.records
        sessions = [record for record in records if isinstance(record, Session)]
        assert replay(restored_plan(sessions[-1].plan, self.folder), records) == []
        keys = [(r.number, r.images_seen) for r in records if isinstance(r, Reported)]
        assert len(keys) == len(set(keys))


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process that trains; Ray writes what a worker does into its title."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for one in psutil.Process(process.pid).children(recursive=True):
            if re.match(r"ray::\w*Trainable", " ".join(one.cmdline())):
                return one
        time.sleep(0.02)
    raise AssertionError("no worker within a minute")


def reports(records: list[Record]) -> int:
    return sum(isinstance(record, Reported) for record in records)


def faults(records: list[Record]) -> list[Fault]:
    return [record for record in records if isinstance(record, Fault)]


def test_killed_in_a_storm_of_reports_and_during_confirmation(home: Path, tmp_path: Path) -> None:
    study = Study(home, tmp_path)
    confirm = ["--set", "study.confirm.top=1", "--set", "study.confirm.seeds=2"]
    # Two at once, each with a report after every step.
    storm = [*confirm, "--trials", "3", "--concurrent", "2"]

    def confirming(records: list[Record]) -> bool:
        asked = {r.number for r in records if isinstance(r, Ask) and r.phase == "confirm"}
        return any(isinstance(r, Reported) and r.number in asked for r in records)

    with study.started(*storm) as process:
        study.wait(process, lambda records: reports(records) >= 4)
        code, text = study.run(*storm)
        assert code == 2, text
        assert "another search works on this study" in text
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with study.started(*storm) as process:
        study.wait(process, confirming)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    code, text = study.run(*storm)
    assert code == 0, text
    assert "Going on" in text
    study.assert_lawful()
    state = study.state
    assert [trial.phase for trial in state.trials] == ["search"] * 3 + ["confirm"] * 2
    assert {trial.status for trial in state.trials} == {"completed"}
    scores = [record for record in study.records if isinstance(record, FinalScores)]
    assert len(scores) == 1
    assert set(scores[0].scores) >= {"3", "4", "gray"}


def test_limits_a_broken_trial_growth_and_a_fresh_start(home: Path, tmp_path: Path) -> None:
    study = Study(home, tmp_path)
    # The second trial finds another run's checkpoint in its folder: an exception of its own.
    broken = study.folder / "checkpoints" / "001_lambda50"
    other = {"data.size": 32, "generator.backbone": "scratch", "generator.width": 4}
    small = {"evaluation.images": 4, "evaluation.extractor_size": 64, "budget.images": 32}
    config = TrialConfig.model_validate(nested({**other, **small, "budget.report_every": 32}))
    next(train(config, open_prepared(PHOTOS), folder=broken))

    code, text = study.run("--max-cost", "1e-9")
    assert code == 0, text
    assert "not finished" in text
    assert [r.reason for r in study.records if isinstance(r, End)] == ["max_cost"]
    assert reports(study.records) == 1
    assert study.state.trials[0].status == "open"

    code, text = study.run("--max-cost", "1000")
    assert code == 0, text
    assert "Traceback" not in text
    study.assert_lawful()
    assert [trial.status for trial in study.state.trials] == ["completed", "failed", "completed"]
    (fault,) = faults(study.records)
    assert fault.final
    assert "CheckpointError" in fault.text

    code, text = study.run("--revive", "7")
    assert code == 2, text
    assert "--revive 7: the study has no such trial; it has 0 to 2" in text

    shutil.rmtree(broken)
    larger = ["--set", "budget.images=160", "--set", "study.searcher.kind=random"]
    code, text = study.run("--revive", "1", *larger, "--trials", "4")
    assert code == 0, text
    study.assert_lawful()
    state = study.state
    assert [trial.images_seen for trial in state.trials] == [160] * 4
    assert {trial.status for trial in state.trials} == {"completed"}
    reopened = [(r.number, r.cause) for r in study.records if isinstance(r, Reopened)]
    assert sorted(reopened) == [(0, "extension"), (1, "revival"), (2, "extension")]
    assert study.state.sessions[-1].plan["study"]["searcher"]["kind"] == "random"

    code, text = study.run("--fresh", "--time-budget", "0.001")
    assert code == 0, text
    assert "is kept in" in text
    assert len(fold(read_journal(study.out / "faulty.1" / "journal")).trials) == 4
    assert len(study.state.sessions) == 1


def test_a_real_run_that_diverges_costs_itself_alone(home: Path, tmp_path: Path) -> None:
    """Without a second moment Adam's steps have the size of its rate, and a rate of 1 explodes."""
    study = Study(home, tmp_path, DIVERGING)
    code, text = study.run()
    assert code == 0, text
    assert "Traceback" not in text
    study.assert_lawful()
    sick, healthy = study.state.trials
    assert sick.status == "pruned"
    last = sick.reports[-1]
    assert last.stage == "diverged"
    assert math.isnan(last.metrics["discriminator_loss"])
    assert last.images_seen < 1600
    assert last.decision.reason in text
    assert healthy.status == "completed"


def test_a_killed_and_a_frozen_worker_cost_nothing_but_time(home: Path, tmp_path: Path) -> None:
    """A frozen process cannot end itself, and Ray sees it alive: the driver has to end it."""
    study = Study(home, tmp_path)
    # Long enough for a worker to import torch on a busy machine.
    flags = ["--set", "study.guards.silence_seconds=25", "--set", "budget.images=2048"]
    with study.started(*flags, "--trials", "1") as process:
        study.wait(process, lambda records: reports(records) >= 2)
        worker_of(process).kill()
        study.wait(process, lambda records: len(faults(records)) == 1)
        known = reports(study.records)
        study.wait(process, lambda records: reports(records) >= known + 2)
        frozen = worker_of(process)
        frozen.send_signal(signal.SIGSTOP)
        try:
            study.wait(process, lambda records: len(faults(records)) == 2)
            text, _ = process.communicate(timeout=300)
        finally:
            if frozen.is_running():
                frozen.send_signal(signal.SIGCONT)
    assert process.returncode == 0, text
    assert not frozen.is_running()
    killed, silent = faults(study.records)
    assert not killed.final
    assert not silent.final
    assert "study.guards.silence_seconds: its process hung and was ended" in silent.text
    study.assert_lawful()
    (trial,) = study.state.trials
    assert (trial.status, trial.images_seen) == ("completed", 2048)
    images = [report.images_seen for report in trial.reports]
    assert images == list(range(32, 2049, 32))
