"""Runs without a study: reports, interruptions, refusals and tables."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from raycolor import trial
from raycolor.checkpoint import load_tensors
from raycolor.coloring.generators import find_generator
from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.errors import CheckpointError, ConfigError, RaycolorError
from raycolor.steps import Networks, StepLosses, adversarial_step
from raycolor.training.config_file import read_config
from raycolor.training.job import RUN, Job, make_job
from raycolor.training.reports import FILE, Row, heading, read_rows, result, told, write_rows
from raycolor.training.run import train_alone
from raycolor.trial import train as trial_reports
from tests.toy import TINY
from tests.unit.config_files import write


@pytest.fixture
def job_of(tmp_path: Path, prepared: PreparedData) -> Callable[..., Job]:
    """Makes a job of the smallest trial; keywords are paths with `__` for dots."""

    def make(**changed: Any) -> Job:
        names = [name for name in ("threads", "data", "out") if name in changed]
        flags = {name: changed.pop(name) for name in names}
        overrides = {path.replace("__", "."): value for path, value in changed.items()}
        path = write(tmp_path / "tiny.yaml", TINY)
        defaults: dict[str, Any] = {
            "out": tmp_path / "run",
            "data": str(prepared.path),
            "threads": 1,
        }
        return make_job(path, **(defaults | flags), overrides=overrides)

    return make


def run(job: Job) -> str:
    """Train, and return what was printed."""
    text = io.StringIO()
    train_alone(job, Console(file=text, width=200, highlight=False))
    return text.getvalue()


def without_times(metrics: dict[str, float]) -> dict[str, float]:
    measured = ("_seconds", "_per_second")
    return {name: metrics[name] for name in sorted(metrics) if not name.endswith(measured)}


def essence(rows: list[Row]) -> list[Any]:
    """What is the same in all runs of a configuration, to the last bit."""
    return [
        (row.images_seen, row.stage, row.gray, repr(without_times(row.metrics))) for row in rows
    ]


def test_a_run_has_the_reports_of_the_trial(
    job_of: Callable[..., Job], prepared: PreparedData, tmp_path: Path
) -> None:
    job = job_of(pretraining__images=32)
    text = run(job)
    rows = read_rows(job.folder)
    expected = [
        Row(
            images_seen=report.images_seen,
            stage=report.stage,
            metrics=report.metrics,
            gray=report.references["gray"][job.config.fid_key],
        )
        for report in trial_reports(job.config, prepared)
    ]
    assert [row.images_seen for row in rows] == [32, 64]
    assert essence(rows) == essence(expected)
    about = json.loads((job.folder / RUN).read_text())
    assert (about["threads"], about["fingerprint"]) == (1, prepared.fingerprint)
    assert about["environment"]["weights"]
    assert read_config(job.folder / "config.yaml").config({}) == job.config
    best = min(rows, key=lambda row: row.metrics[job.config.fid_key]).images_seen
    assert find_generator(str(job.folder)).name == f"best_{best}.safetensors"
    assert (job.folder / "samples_64.png").is_file()
    assert (
        f"Best: fd_efficientnet_lite0 {rows[-1].metrics['fd_efficientnet_lite0_best']:.2f}" in text
    )
    assert not list(job.folder.glob(".*.part"))


def test_a_finished_run_tells_its_result_and_writes_nothing(job_of: Callable[..., Job]) -> None:
    first = run(job_of())
    folder = job_of().folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = run(job_of())
    assert "finished" in again
    assert again.splitlines()[-4:] == first.splitlines()[-4:]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


class _Interrupting(io.StringIO):
    """A terminal at which somebody presses Ctrl-C when a report appears."""

    def write(self, text: str) -> int:
        if text.lstrip().startswith("32 "):
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_run_goes_on_as_if_never_interrupted(
    job_of: Callable[..., Job], tmp_path: Path, damaged: bool
) -> None:
    whole = job_of(out=tmp_path / "whole", budget__images=96)
    run(whole)
    job = job_of(budget__images=96)
    with pytest.raises(KeyboardInterrupt):
        train_alone(job, Console(file=_Interrupting(), width=200, highlight=False))
    assert [row.images_seen for row in read_rows(job.folder)] == [32]
    if damaged:
        for path in job.folder.glob("checkpoint*.safetensors"):
            path.write_bytes(b"")
    text = run(job_of(budget__images=96, threads=None))
    assert len([line for line in text.splitlines() if " GAN " in line]) == 3
    assert essence(read_rows(job.folder)) == essence(read_rows(whole.folder))
    ours, theirs = (load_tensors(find_generator(str(j.folder))) for j in (job, whole))
    assert ours[1] == theirs[1]
    assert all(tensor.equal(theirs[0][name]) for name, tensor in ours[0].items())


def test_a_run_with_a_schedule_cannot_be_made_longer(job_of: Callable[..., Job]) -> None:
    run(job_of(optimizers__generator__schedule="cosine"))
    with pytest.raises(ConfigError, match=r"budget\.images: was 64, is now 96; a learning rate's"):
        job_of(optimizers__generator__schedule="cosine", budget__images=96)


def test_a_longer_run_goes_on_and_a_shorter_one_is_refused(job_of: Callable[..., Job]) -> None:
    run(job_of())
    run(job_of(budget__images=96))
    assert [row.images_seen for row in read_rows(job_of(budget__images=96).folder)] == [32, 64, 96]
    with pytest.raises(ConfigError, match=r"budget\.images: was 96, is now 64; it can only grow"):
        job_of()


def test_another_configuration_is_refused_with_what_differs(
    job_of: Callable[..., Job], prepared_large: PreparedData
) -> None:
    run(job_of())
    with pytest.raises(ConfigError) as caught:
        job_of(losses__l1_lambda=7, seed=4, threads=2)
    assert str(caught.value).splitlines()[1:] == [
        "  losses.l1_lambda: was 100.0, is now 7.0",
        "  seed: was 0, is now 4",
        "  threads: was 1, is now 2",
    ]
    for images in (64, 96):
        job = job_of(data=str(prepared_large.path), budget__images=images)
        with pytest.raises(ConfigError, match=rf"data: was .*, is now {prepared_large.path} "):
            run(job)


def test_a_folder_with_something_else_in_it_is_left_alone(
    job_of: Callable[..., Job], tmp_path: Path
) -> None:
    mine = write(tmp_path / "run" / "letters.txt", "my letters")
    with pytest.raises(
        ConfigError, match=r"is not empty and holds no run \(such as letters\.txt\)"
    ):
        job_of()
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        job_of(out=mine)
    assert [path.name for path in mine.parent.iterdir()] == ["letters.txt"]


@pytest.mark.parametrize("name", [RUN, "config.yaml", FILE])
def test_damage_is_told(job_of: Callable[..., Job], name: str) -> None:
    run(job_of())
    write(job_of().folder / name, "]")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(job_of())


def test_two_do_not_train_in_one_folder(job_of: Callable[..., Job]) -> None:
    job = job_of()

    class Second(io.StringIO):
        def write(self, text: str) -> int:
            if text.lstrip().startswith("32 "):
                with pytest.raises(CheckpointError, match="another training works in it"):
                    run(job)
                said.append(True)
            return super().write(text)

    said: list[bool] = []
    train_alone(job, Console(file=Second(), width=200, highlight=False))
    assert said


def test_a_run_that_diverges_says_what_to_do(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job_of())
    good = find_generator(str(job_of().folder)).read_bytes()

    def poisoned(networks: Networks, config: TrialConfig, rgb_u8: Tensor) -> StepLosses:
        with torch.no_grad():
            next(networks.generator.parameters()).fill_(math.nan)
        return adversarial_step(networks, config, rgb_u8)

    monkeypatch.setattr(trial, "adversarial_step", poisoned)
    with pytest.raises(RaycolorError, match=r"run: diverged after 96 images: .*Take smaller"):
        run(job_of(budget__images=96))
    assert find_generator(str(job_of(budget__images=96).folder)).read_bytes() == good


def test_bad_data_is_told_before_anything_is_written(
    job_of: Callable[..., Job], tmp_path: Path
) -> None:
    job = job_of(data=str(tmp_path / "nowhere"))
    with pytest.raises(RaycolorError, match="there is no such folder"):
        run(job)
    assert [path.name for path in job.folder.iterdir()] == [".lock"]
    run(job_of())


def test_a_table_keeps_every_bit(tmp_path: Path) -> None:
    rows = [
        Row(images_seen=1, stage="pretraining", metrics={"a": 0.1 + 0.2}, gray=1 / 3),
        Row(images_seen=2, stage="adversarial", metrics={"a": math.inf, "b": -1e-300}, gray=0.0),
    ]
    write_rows(tmp_path, rows)
    assert read_rows(tmp_path) == rows
    assert read_rows(tmp_path / "nothing") == []


def test_lines_are_aligned_and_tell_what_is_left() -> None:
    metrics = {
        "generator_loss": 12.34,
        "generator_l1_loss": 0.0812,
        "fd": 81.5,
        "fd_best": 80.0,
        "images_per_second": 64.0,
        "evaluate_seconds": 6.0,
    }
    row = Row(images_seen=1024, stage="pretraining", metrics=metrics, gray=100.0)
    line = told(row, distance="fd", images=4096, every=512)
    head = heading("fd").splitlines()[1]
    assert len(line) == len(head)
    # 3,072 images at 64 a second, and 6 reports of 3 s.
    assert line.split()[-1] == "1:06"
    assert "20.0% under" in line
    assert line.split()[:4] == ["1,024", "pretrain", "12.3", "0.0812"]
    best = Row(images_seen=512, stage="pretraining", metrics={"fd": 80.0}, gray=100.0)
    end = "20.0% under the 100.00 of grey pictures."
    assert result([best, row], distance="fd") == f"Best: fd 80.00 at 512 images, {end}"
    assert result([row], distance="fd") == f"Best: fd 80.00, {end}"
