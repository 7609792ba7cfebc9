"""`show --follow` as a user gives it: a study on S3 that another process works on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raycolor.remote.bucket import Bucket
from raycolor.study.engine import Engine
from raycolor.study.naming import trial_name
from raycolor.study.opening import open_journal
from raycolor.study.records import Reported
from tests.s3 import s3_server
from tests.unit.study.fakes import OBJECTIVE, Workers, clock, make
from tests.unit.study.tensorboard_runs import events

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[str]:
    with s3_server() as server:
        yield f"endpoint_override={server}&scheme=http"


def started(home: Path, *words: object) -> subprocess.Popen[str]:
    """Begin to look from a home of its own, as another machine has."""
    return subprocess.Popen(
        [sys.executable, "-m", "raycolor.show", *map(str, words)],
        env={**os.environ, "HOME": str(home), "RAYCOLOR_CACHE": "", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_follows_a_study_on_s3_to_its_end(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "driver"))
    plan = make(tmp_path / "plan", out=f"s3://bucket/studies?{server}", trials=3)
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        with started(tmp_path / "home", plan.where, "--follow", "--every", "1") as process:
            try:
                assert process.stdout is not None
                assert "0 of 3 trials ended" in process.stdout.readline()
                engine.observers.append(lambda event: time.sleep(0.1))
                Workers(in_flight=2).run(engine)
                engine.end("finished")
                text, _ = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 0, text
    (folder,) = (tmp_path / "home" / ".cache" / "raycolor" / "looks").glob(
        "s3-*/bucket/studies/toy"
    )
    assert f"tensorboard --logdir {folder / 'tensorboard'}" in text
    assert f"{plan.where}: finished; 3 of 3 trials have ended" in text
    for trial in engine.state.trials:
        run = events(folder / "tensorboard" / trial_name(trial.number, trial.chosen))
        reports = [report.images_seen for report in trial.reports]
        assert [step for tag, step, _ in run if tag == OBJECTIVE] == reports
    assert sum(isinstance(record, Reported) for record in journal.records) > 5
    # Nothing but the driver has written there: its lease is gone, and there are no views.
    names = list(Bucket(plan.where).files())
    assert [name.split("/")[0] for name in names] == ["journal"]


def test_ctrl_c_ends_looking_and_tells_where_it_was_built(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "driver"))
    plan = make(tmp_path / "plan", out=f"s3://bucket/interrupted?{server}")
    into = tmp_path / "into"
    with open_journal(plan) as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        Workers().run(engine, most_reports=3)
        with started(tmp_path / "home", plan.where, "--follow", "--into", into) as process:
            try:
                assert process.stdout is not None
                assert " runs (process " in process.stdout.readline()
                process.send_signal(signal.SIGINT)
                text, _ = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 130, text
    assert f"tensorboard --logdir {into / 'toy' / 'tensorboard'}\n" in text
    assert text.endswith("Interrupted.\n")


def test_a_bucket_that_is_not_there_is_one_sentence(server: str, tmp_path: Path) -> None:
    with started(tmp_path, f"s3://nowhere/a/toy?{server}", "--follow") as process:
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 2, text
    assert text.endswith(": there is no such bucket; make it, or name another one\n")
    assert len(text.splitlines()) == 1
