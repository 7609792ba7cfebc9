"""A search whose study lies on shared storage, with real Ray and real, tiny trials."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raycolor.data import PreparedData, write_prepared
from raycolor.remote.address import look_of, mirror_of
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import upload
from raycolor.study.records import End, Fault, Record, Session
from raycolor.study.rules import replay
from raycolor.study.segments import read_segments
from tests.ray.test_search import (
    command,
    essence,
    first,
    journal,
    plan_of,
    reports_of,
    run,
    started,
    wait_until,
)
from tests.s3 import s3_server
from tests.toy import toy_splits

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

TRIALS = 2
FAILING = """
import raycolor.remote.bucket as bucket

def open_address(address):
    from pyarrow import fs
    from tests.unit.remote.storages import FailingDisk
    handler = FailingDisk(lambda number, name: number % 20 == 0)
    return fs.PyFileSystem(handler), address.removeprefix("file://")

bucket.open_address = open_address
"""
"""What every process of a search runs when it starts: each 20th call of its storage fails."""


@pytest.fixture
def uninterrupted(undisturbed: Path) -> list[Record]:
    """The journal of the same study in a folder, which nothing disturbed."""
    return first(journal(undisturbed), TRIALS)


@pytest.fixture(scope="module", name="s3_server")
def _s3_server() -> Iterator[str]:
    with s3_server() as server:
        yield server


def sessions_of(records: list[Record]) -> list[Session]:
    return [record for record in records if isinstance(record, Session)]


def assert_sound(records: list[Record], uninterrupted: list[Record], out: str) -> None:
    assert essence(records) == essence(uninterrupted)
    assert replay(plan_of(out, TRIALS), records) == []
    assert not [record for record in records if isinstance(record, Fault)]
    assert isinstance(records[-1], End)
    assert records[-1].reason == "finished"


def test_a_storage_that_fails_at_every_20th_call_costs_time_alone(
    home: Path, uninterrupted: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING, encoding="utf-8")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    out = f"file://{tmp_path}/shared"
    code, text = run(home, command(out, "--trials", str(TRIALS)))
    assert code == 0, text
    place = Bucket(f"{out}/tiny")
    assert_sound(read_segments(place), uninterrupted, out)
    # Views are there too, and nothing but views, the journal and what trials keep.
    tops = {name.split("/")[0] for name in place.files()}
    views = {"leaderboard.csv", "trials.parquet", "reports.parquet", "report.html", "best"}
    assert tops == views | {
        "plan.yaml",
        "environment.json",
        "tensorboard",
        "journal",
        "checkpoints",
    }


def test_a_driver_that_is_killed_goes_on_from_the_storage_alone(
    home: Path,
    uninterrupted: list[Record],
    tmp_path: Path,
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On S3; what the first driver had on its disk is gone."""
    out = f"s3://bucket/studies?endpoint_override={s3_server}&scheme=http"
    study = f"s3://bucket/studies/tiny?endpoint_override={s3_server}&scheme=http"
    place = Bucket(study)
    words = command(out, "--trials", str(TRIALS))
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "first"))
    with started(home, words) as process:
        wait_until(lambda: len(reports_of(read_segments(place))) >= 4, process)
        process.kill()
        process.communicate()
    before = read_segments(place)

    # A folder of another name would be another machine's, whose lease has to run out.
    shutil.rmtree(tmp_path / "first")
    code, text = run(home, words)
    assert code == 0, text
    records = read_segments(place)
    assert repr(records[: len(before)]) == repr(before)
    assert_sound(records, uninterrupted, out)
    # Trials that have ended keep one checkpoint each.
    kept = [name.rpartition("/")[2] for name in place.files("checkpoints")]
    assert [name for name in kept if name.startswith("check")] == ["checkpoint.safetensors"] * 2

    # A third one looks at it, and takes the winner.
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "third"))
    code, text = run(home, [words[0], "-m", "raycolor.show", study, "--explain", "1"])
    assert code == 0, text
    page = look_of(study) / "report.html"
    code, text = run(home, [words[0], "-m", "raycolor.show", study])
    assert code == 0, text
    assert str(page) in text
    assert page.stat().st_size > 100_000

    # And a search with other settings may have the name once this one is aside.
    code, text = run(home, [*words, "--seed", "1"])
    assert code == 2, text
    assert text.startswith(f"{study}: holds a study with another plan")
    code, text = run(home, [*words, "--trials", "1", "--fresh", "--seed", "1"])
    assert code == 0, text
    aside = f"s3://bucket/studies/tiny.1?endpoint_override={s3_server}&scheme=http"
    assert f"The study that was there is kept in {aside}." in text
    assert repr(read_segments(Bucket(aside))) == repr(records)
    anew = read_segments(place)
    assert sessions_of(anew)[0].identity["seed"] == 1
    assert replay(plan_of(out, 1), anew) == []


def test_data_and_study_on_shared_storage(
    home: Path,
    tmp_path: Path,
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
    prepared_large: PreparedData,
) -> None:
    """Both in one bucket; the data set is copied once."""
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    data = f"s3://bucket/sets/toy?endpoint_override={s3_server}&scheme=http"
    out = f"s3://bucket/with_data?endpoint_override={s3_server}&scheme=http"
    study = f"s3://bucket/with_data/tiny?endpoint_override={s3_server}&scheme=http"
    words = command(out, "--data", data, "--set", "budget.batch_size=16")
    words = [word.replace("budget.images=288", "budget.images=96") for word in words]
    words[words.index("--trials") + 1] = "1"
    code, text = run(home, words)
    assert code == 2, text
    assert text.startswith(f"--data {data}: there is nothing; give the address of a prepared")

    upload(prepared_large.path, data)
    code, text = run(home, [*words, "--dry-run"])
    assert code == 0, text
    assert f"data {data}; seed 0" in text
    # A plan is checked by the description alone.
    assert not (tmp_path / "cache").exists()
    code, text = run(home, words)
    assert code == 0, text
    assert text.count(": copying ") == 1
    copies = [path.name for path in (tmp_path / "cache" / "data").iterdir() if path.is_dir()]
    assert copies == [prepared_large.fingerprint]
    records = read_segments(Bucket(study))
    assert isinstance(records[-1], End)
    assert records[-1].reason == "finished"
    (session,) = sessions_of(records)
    assert session.identity["data"] == data
    assert session.identity["fingerprint"] == prepared_large.fingerprint

    # The winner once more, with the data that its study names.
    best = mirror_of(study) / "best" / "config.yaml"
    shutil.rmtree(tmp_path / "cache" / "data")
    train = [words[0], "-m", "raycolor.train", str(best), "--out", str(tmp_path / "again")]
    code, text = run(home, train)
    assert code == 0, text
    assert f"Data       {data}" in text
    assert text.count(": copying ") == 1

    # What is there now is another data set.
    bucket = Bucket(data)
    for name in bucket.files():
        bucket.delete(name)
    (tmp_path / "other").mkdir()
    other = write_prepared(tmp_path / "other", toy_splits(64), name="other", source="drawn")
    upload(other.path, data)
    code, text = run(home, [*words, "--trials", "2"])
    assert code == 2, text
    assert f"data: {data} holds other pictures now (fingerprint {other.fingerprint[:12]}" in text


def test_storage_that_is_not_there_is_one_sentence(
    home: Path, tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    out = f"s3://nowhere/a?endpoint_override={s3_server}&scheme=http"
    code, text = run(home, command(out))
    assert code == 2, text
    named = f"s3://nowhere/a/tiny/journal?endpoint_override={s3_server}&scheme=http"
    assert text == f"{named}: there is no such bucket; make it, or name another one\n"
