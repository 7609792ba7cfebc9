import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from raycolor import checkpoint
from raycolor.cache import VARIABLE as CACHE
from raycolor.stages.key import Point
from raycolor.stages.store import VARIABLE, StageStore, most_bytes, stages_folder

SIZE = 4000
"""Bytes of the tensors of an entry; its file is a little larger."""
PLENTY = 2**20


def point(family: str, images: int) -> Point:
    return Point(name=f"{family}-{images:012}-{'0' * 8}", key=f"{family} {images}", images=images)


def write(store: StageStore, family: str, images: int) -> None:
    tensors = {"a": torch.full((SIZE // 4,), float(images))}
    store.write(point(family, images), tensors, {"report": {}}, 1.0)


def age(folder: Path, family: str, seconds: float) -> None:
    for path in folder.glob(f"{family}-*"):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


def held(folder: Path) -> list[tuple[str, int]]:
    names = sorted(path.name for path in folder.iterdir())
    return [(name.split("-")[0], int(name.split("-")[1])) for name in names]


def test_gives_back_what_was_written(tmp_path: Path) -> None:
    store = StageStore(tmp_path, most_bytes=PLENTY)
    assert not store.has(point("a", 8))
    assert store.read(point("a", 8)) is None
    write(store, "a", 8)
    assert store.has(point("a", 8))
    found = store.read(point("a", 8))
    assert found is not None
    tensors, about = found
    assert torch.equal(tensors["a"], torch.full((SIZE // 4,), 8.0))
    assert about == {"report": {}, "key": "a 8"}


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = StageStore(tmp_path, most_bytes=PLENTY)
    write(store, "a", 8)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_ino
    write(store, "a", 8)
    assert path.stat().st_ino == before


def test_the_least_recently_used_pretraining_goes_first_and_its_longest_prefix(
    tmp_path: Path,
) -> None:
    store = StageStore(tmp_path, most_bytes=5 * (SIZE + 500))
    for family, images in (("a", 8), ("a", 16), ("b", 8), ("b", 16), ("c", 8)):
        write(store, family, images)
    age(tmp_path, "a", 300)
    age(tmp_path, "b", 200)
    age(tmp_path, "c", 100)
    store.read(point("a", 8))  # so that all of it counts as used just now
    write(store, "d", 8)
    assert held(tmp_path) == [("a", 8), ("a", 16), ("b", 8), ("c", 8), ("d", 8)]
    write(store, "d", 16)
    write(store, "d", 24)
    assert held(tmp_path) == [("a", 8), ("a", 16), ("d", 8), ("d", 16), ("d", 24)]


def test_what_is_damaged_goes_before_all_others(tmp_path: Path) -> None:
    store = StageStore(tmp_path, most_bytes=3 * (SIZE + 500))
    for images in (8, 16, 24):
        write(store, "a", images)
    path = tmp_path / f"{point('a', 8).name}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert store.read(point("a", 8)) is None
    assert path.with_name(f"{path.name}.damaged").exists()
    write(store, "b", 8)
    assert held(tmp_path) == [("a", 16), ("a", 24), ("b", 8)]


def test_what_killed_writers_left_is_removed_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    left, current = tmp_path / ".a.1.part", tmp_path / ".b.2.part"
    for path in (left, current):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    write(StageStore(tmp_path, most_bytes=PLENTY), "a", 8)
    assert not left.exists()
    assert current.exists()


def test_a_full_disk_is_said_once_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StageStore(tmp_path, most_bytes=PLENTY)
    write(store, "a", 8)

    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.warns(UserWarning, match="No space left on device.*share no pretraining"):
        write(store, "a", 16)
    write(store, "a", 24)
    assert held(tmp_path) == [("a", 8)]
    assert store.read(point("a", 8)) is not None


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = StageStore(tmp_path / "file" / "stages", most_bytes=PLENTY)
    assert not store.has(point("a", 8))
    with pytest.warns(UserWarning, match="stages"):
        write(store, "a", 8)
    assert store.read(point("a", 8)) is None


def closed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let nobody look into a folder, as into the home of somebody else."""

    def stat(self: Path, **named: Any) -> os.stat_result:
        if folder in self.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return original(self, **named)

    original = Path.stat
    monkeypatch.setattr(Path, "stat", stat)


def test_a_folder_that_lets_nobody_in_has_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(StageStore(tmp_path, most_bytes=PLENTY), "a", 1)
    closed(monkeypatch, tmp_path)
    store = StageStore(tmp_path, most_bytes=PLENTY)
    assert not store.has(point("a", 1))
    assert store.read(point("a", 1)) is None
    write(store, "b", 1)


def test_an_entry_that_is_larger_than_the_bound_is_not_written(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", most_bytes=SIZE - 1)
    with pytest.warns(UserWarning, match=VARIABLE):
        write(store, "a", 8)
    assert not (tmp_path / "stages").exists()


def test_a_bound_of_zero_switches_sharing_off(tmp_path: Path) -> None:
    write(StageStore(tmp_path, most_bytes=PLENTY), "a", 8)
    store = StageStore(tmp_path, most_bytes=0)
    write(store, "a", 16)
    assert not store.has(point("a", 8))
    assert store.read(point("a", 8)) is None
    assert held(tmp_path) == [("a", 8)]


def test_one_that_does_not_publish_reads(tmp_path: Path) -> None:
    write(StageStore(tmp_path, most_bytes=PLENTY), "a", 8)
    store = StageStore(tmp_path, most_bytes=PLENTY, publishes=False)
    write(store, "a", 16)
    assert held(tmp_path) == [("a", 8)]
    assert store.read(point("a", 8)) is not None


@pytest.mark.parametrize(("said", "gib"), [(None, 4.0), ("", 4.0), ("0.5", 0.5), ("0", 0.0)])
def test_the_bound_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, said: str | None, gib: float
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(VARIABLE, said)
    assert most_bytes() == gib * 2**30


@pytest.mark.parametrize("said", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.warns(UserWarning, match=f"{VARIABLE}: '{said}' is no number of GiB"):
        assert most_bytes() == 4 * 2**30


def test_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert stages_folder() == tmp_path / "stages"
