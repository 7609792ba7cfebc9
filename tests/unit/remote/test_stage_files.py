"""What one machine trained of a pretraining, another fetches."""

import functools
import time
from pathlib import Path

import pytest

from raycolor import evaluation
from raycolor.data import PreparedData
from raycolor.metrics.extractor import build_extractor
from raycolor.remote import stage_files
from raycolor.remote.bucket import Bucket
from raycolor.remote.stage_files import StageFiles
from raycolor.stages.store import SharedStages, StageStore
from raycolor.storage import Patience
from tests.toy import TinyConfig
from tests.unit.remote.storages import FailingDisk
from tests.unit.trial.runs import assert_same_folder, run, timeless_all

PLENTY = 2**30
LONG = {"pretraining.images": 32, "budget.images": 48, "budget.report_every": 16}
NAME = "abc-000000000016-def"


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it pay to fetch what took a moment, and look at each call."""
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)
    monkeypatch.setattr(stage_files, "LATENCY_SECONDS", 0.0)
    monkeypatch.setattr(stage_files, "BYTES_PER_SECOND", 1e12)
    monkeypatch.setattr(stage_files, "LISTING_SECONDS", -1.0)


_extractor = functools.cache(build_extractor)


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket((tmp_path / "study" / "stages").as_uri(), patience=Patience(()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0" * 1000)
    return path


def machine(folder: Path, bucket: Bucket) -> tuple[StageStore, StageFiles]:
    files = StageFiles(bucket, most_bytes=PLENTY)
    return StageStore(folder, most_bytes=PLENTY, shared=files), files


def test_is_what_a_store_takes(bucket: Bucket) -> None:
    assert isinstance(StageFiles(bucket, most_bytes=PLENTY), SharedStages)


def test_two_machines_share_a_pretraining(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, bucket: Bucket
) -> None:
    config = tiny_config(LONG)
    store, files = machine(tmp_path / "first", bucket)
    whole = run(config, prepared, tmp_path / "whole", stages=store)
    files.settle()
    assert len(bucket.files()) == 2
    store, _ = machine(tmp_path / "second", bucket)
    reports = run(config, prepared, tmp_path / "shared", stages=store)
    assert [report.metrics["images_inherited"] for report in reports] == [16, 32, 32]
    assert timeless_all(reports) == timeless_all(whole)
    assert_same_folder(tmp_path / "shared", tmp_path / "whole")
    # It has them too now, and needs the shared storage no more.
    for name in bucket.files():
        bucket.delete(name)
    reports = run(config, prepared, stages=StageStore(tmp_path / "second", most_bytes=PLENTY))
    assert reports[-1].metrics["images_inherited"] == 32


def test_what_was_altered_on_the_way_is_trained(
    tiny_config: TinyConfig, prepared: PreparedData, tmp_path: Path, bucket: Bucket
) -> None:
    config = tiny_config(LONG)
    store, files = machine(tmp_path / "first", bucket)
    whole = run(config, prepared, stages=store)
    files.settle()
    first = min(bucket.files())
    bucket.write(first, bucket.read(first)[:-1])
    store, _ = machine(tmp_path / "second", bucket)
    reports = run(config, prepared, stages=store)
    assert [report.metrics["images_inherited"] for report in reports] == [0, 16, 16]
    assert timeless_all(reports) == timeless_all(whole)


def test_a_storage_that_refuses_is_said_once_and_harms_nothing(
    tiny_config: TinyConfig,
    prepared: PreparedData,
    tmp_path: Path,
    broken: FailingDisk,
    bucket: Bucket,
) -> None:
    config = tiny_config(LONG)
    store, files = machine(tmp_path / "first", bucket)
    with pytest.warns(UserWarning, match="shares no pretraining with others") as told:
        reports = run(config, prepared, stages=store)
    files.settle()
    assert len(told) == 1
    assert len(broken.calls) == 1
    assert timeless_all(reports) == timeless_all(run(config, prepared))


@pytest.fixture
def broken(bucket: Bucket) -> FailingDisk:
    from pyarrow import fs

    disk = FailingDisk(lambda number, name: True)
    bucket._opened = (fs.PyFileSystem(disk), "/nowhere")
    return disk


class TestWhatPays:
    def test_is_fetched_and_published(
        self, bucket: Bucket, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stage_files, "LATENCY_SECONDS", 0.5)
        monkeypatch.setattr(stage_files, "BYTES_PER_SECOND", 1000)
        files = StageFiles(bucket, most_bytes=PLENTY)
        files.offer(NAME, file, 1.4)
        assert not bucket.files()
        files.offer(NAME, file, 1.6)
        files.settle()
        assert list(bucket.files()) == [f"{NAME}.1600.safetensors"]
        assert StageFiles(bucket, most_bytes=PLENTY).has(NAME)
        # A machine for which the way is longer trains it.
        monkeypatch.setattr(stage_files, "BYTES_PER_SECOND", 900)
        assert not StageFiles(bucket, most_bytes=PLENTY).has(NAME)

    def test_follows_from_the_speed_that_was_measured(
        self, bucket: Bucket, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = StageFiles(bucket, most_bytes=PLENTY)
        files.offer(NAME, file, 1.0)
        files.settle()
        monkeypatch.setattr(stage_files, "BYTES_PER_SECOND", 1100)
        files = StageFiles(bucket, most_bytes=PLENTY)
        assert files.has(NAME)
        original = Bucket.download

        def slow(self: Bucket, name: str, path: Path) -> None:
            time.sleep(0.02)
            original(self, name, path)

        monkeypatch.setattr(Bucket, "download", slow)
        files.fetch(NAME, tmp_path / "here")
        assert (tmp_path / "here").read_bytes() == file.read_bytes()
        assert files._speed > 1100  # 1,000 bytes in a fiftieth of a second


def test_nothing_is_published_twice_or_beyond_the_bound(bucket: Bucket, file: Path) -> None:
    files = StageFiles(bucket, most_bytes=2500)
    for number, name in enumerate((NAME, NAME, "b", "c")):
        files.offer(name, file, 5.0 + number)
        files.settle()
    assert list(bucket.files()) == [f"{NAME}.5000.safetensors", "b.7000.safetensors"]
    files.clear()
    assert not bucket.files()


def test_an_offer_never_waits(bucket: Bucket, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Bucket.upload

    def slow(self: Bucket, path: Path, name: str) -> None:
        time.sleep(0.2)
        original(self, path, name)

    monkeypatch.setattr(Bucket, "upload", slow)
    files = StageFiles(bucket, most_bytes=PLENTY)
    started = time.monotonic()
    for number in range(20):
        files.offer(f"file{number}", file, 5.0)
    assert time.monotonic() - started < 0.2
    files.settle()
    assert 1 <= len(bucket.files()) <= 1 + stage_files.MOST_WAITING


def test_what_is_gone_when_its_turn_comes_is_left_out(bucket: Bucket, file: Path) -> None:
    files = StageFiles(bucket, most_bytes=PLENTY)
    files.offer(NAME, file.with_name("none"), 5.0)
    files.settle()
    assert not bucket.files()


def test_what_vanishes_between_looking_and_fetching_is_not_there(
    bucket: Bucket, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StageFiles(bucket, most_bytes=PLENTY)
    files.offer(NAME, file, 5.0)
    files.settle()
    monkeypatch.setattr(stage_files, "LISTING_SECONDS", 60.0)
    assert files.has(NAME)
    files.clear()
    files.fetch(NAME, tmp_path / "here")
    assert not (tmp_path / "here").exists()
