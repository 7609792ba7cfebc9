"""A trial's folder on shared storage is what its next worker begins with."""

from pathlib import Path

import pytest
import torch

from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.intact import is_intact
from raycolor.remote.bucket import Bucket
from raycolor.remote.trial_files import CHECKPOINT, PREVIOUS, TrialFiles
from tests.unit.remote.storages import bucket, disk


def checkpoint(folder: Path, images: int, name: str = CHECKPOINT) -> None:
    save_tensors(folder / name, {"w": torch.full((50_000,), float(images))}, {"images": images})


def images_of(path: Path) -> int:
    return int(load_tensors(path)[1]["images"])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def worker(tmp_path: Path, name: str, shared: Path) -> tuple[Path, TrialFiles]:
    """A machine with a folder of its own, which has taken the trial up."""
    folder = tmp_path / name
    files = TrialFiles(folder, Bucket(f"file://{shared}"))
    files.pull()
    return folder, files


def test_another_worker_goes_on_where_the_first_was(tmp_path: Path, shared: Path) -> None:
    here, files = worker(tmp_path, "one", shared)
    for images in (16, 32, 48):
        checkpoint(here, images)
        checkpoint(here, images, f"best_{images}.safetensors")
        (here / f"samples_{images}.png").write_bytes(b"png")
        (here / f"best_{images - 32}.safetensors").unlink(missing_ok=True)
        files.push()
    assert images_of(shared / PREVIOUS) == 32
    there, _ = worker(tmp_path, "two", shared)
    assert sorted(path.name for path in there.iterdir()) == [
        "best_32.safetensors",
        "best_48.safetensors",
        CHECKPOINT,
    ]
    assert images_of(there / CHECKPOINT) == 48
    assert len(list(shared.glob("samples_*.png"))) == 3


def test_what_was_not_brought_there_does_not_count(tmp_path: Path, shared: Path) -> None:
    here, files = worker(tmp_path, "one", shared)
    checkpoint(here, 16)
    files.push()
    checkpoint(here, 32)
    checkpoint(here, 32, "best_32.safetensors")
    again, _ = worker(tmp_path, "one", shared)
    assert images_of(again / CHECKPOINT) == 16
    assert not (again / "best_32.safetensors").exists()


def test_what_is_on_this_machine_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: Path
) -> None:
    here, files = worker(tmp_path, "one", shared)
    checkpoint(here, 16)
    files.push()
    before = (here / CHECKPOINT).stat().st_ino
    worker(tmp_path, "one", shared)
    assert (here / CHECKPOINT).stat().st_ino == before
    # And nothing goes up again that did not change.
    with disk(monkeypatch, lambda number, name: False) as handler:
        files.push()
    assert handler.calls == []


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_checkpoint_is_stood_in_for_by_the_one_before(
    tmp_path: Path, shared: Path, damage: str
) -> None:
    here, files = worker(tmp_path, "one", shared)
    for images in (16, 32):
        checkpoint(here, images)
        files.push()
    content = (shared / CHECKPOINT).read_bytes()
    bad = content[:-8] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1])
    (shared / CHECKPOINT).write_bytes(bad)
    there, taken = worker(tmp_path, "two", shared)
    assert not is_intact(there / CHECKPOINT)
    assert images_of(there / PREVIOUS) == 16
    # The next one replaces the damaged one, and not the good one before it.
    checkpoint(there, 32)
    taken.push()
    assert images_of(shared / CHECKPOINT) == 32
    assert images_of(shared / PREVIOUS) == 16


@pytest.mark.parametrize("stop", range(1, 12))
def test_a_push_that_is_cut_off_anywhere_leaves_a_good_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: Path, stop: int
) -> None:
    here, files = worker(tmp_path, "one", shared)
    checkpoint(here, 16)
    files.push()
    checkpoint(here, 32)
    checkpoint(here, 32, "best_32.safetensors")

    class KilledError(BaseException):
        pass

    def kill(number: int, name: str) -> bool:
        if number == stop:
            raise KilledError
        return False

    with disk(monkeypatch, kill):
        cut = TrialFiles(here, bucket(shared))
        cut._pushed = dict(files._pushed)
        try:
            cut.push()
        except BaseException as error:
            assert "KilledError" in repr(error)  # noqa: PT017  (pyarrow may wrap it)
    there, _ = worker(tmp_path, "two", shared)
    assert images_of(there / CHECKPOINT) in (16, 32)
    assert is_intact(there / CHECKPOINT)
    if images_of(there / CHECKPOINT) == 32:
        assert is_intact(there / "best_32.safetensors")
