"""The main command on a search that cannot begin, and on one whose driver was killed at its end."""

import os
import sys
from pathlib import Path

import pytest

from raycolor import search
from raycolor.plan import Plan
from raycolor.study.journal import read_journal
from raycolor.study.records import End
from raycolor.study.state import StudyState
from raycolor.tuning import run
from raycolor.tuning.shares import Shares, check_gpu_hours
from tests.unit.study.fakes import make

VIEWS = ("report.html", "trials.parquet")


@pytest.mark.parametrize("shared", [False, True])
def test_views_are_whole_when_the_last_of_them_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    out = f"file://{tmp_path}/shared" if shared else tmp_path / "here"
    plan, state = make(tmp_path, out=out), StudyState(last_time=1000.0)
    assert search._are_behind(plan, state)
    plan.folder.mkdir(parents=True)
    for name in VIEWS:
        (plan.folder / name).write_text(name, encoding="utf-8")
    page = plan.folder / VIEWS[0]
    os.utime(page, (999, 999))
    if plan.files.bucket is not None:
        for name in VIEWS:
            plan.files.bucket.upload(plan.folder / name, name)
    assert search._are_behind(plan, state)
    os.utime(page, (1001, 1001))
    assert not search._are_behind(plan, state)
    if plan.files.bucket is not None:
        plan.files.bucket.write(VIEWS[1], b"of an hour ago")
        assert search._are_behind(plan, state)
        plan.files.bucket.delete(VIEWS[1])
        assert search._are_behind(plan, state)


def test_a_limit_that_would_never_come_is_one_sentence_and_no_trial_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = Shares(concurrent=2, cpus=1, gpus=0.0, machines=1)

    def run_study(plan: Plan, *others: object, **named: object) -> None:
        check_gpu_hours(plan.gpu_hours, shares, cluster=False)

    monkeypatch.setattr(run, "run_study", run_study)
    words = ["--trials", "2", "--out", str(tmp_path), "--gpu-hours", "2"]
    monkeypatch.setattr(sys, "argv", ["raycolor-search", *words])
    with pytest.raises(SystemExit) as ending:
        search.main()
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--gpu-hours 2: the trials use no GPU (this machine has none), so")
    last = read_journal(tmp_path / "quickstart" / "journal")[-1]
    # Not one that looks killed: the same command without the flag goes on.
    assert isinstance(last, End)
    assert last.reason == "interrupted"
