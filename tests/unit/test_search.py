"""The main command on a study that is finished, but whose driver was killed at its end."""

import os
from pathlib import Path

import pytest

from raycolor import search
from raycolor.study.state import StudyState
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
