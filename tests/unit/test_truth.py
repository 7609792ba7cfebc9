import errno
import os
from pathlib import Path

import pytest
import torch

from raycolor import truth
from raycolor.cache import VARIABLE
from raycolor.truth import Known, known, truth_folder
from tests.unit.stages.test_store import closed

CPU = torch.device("cpu")


class Counting:
    """Computes, and counts how often."""

    def __init__(self, value: float = 1.0) -> None:
        self.calls = 0
        self._value = value

    def __call__(self) -> Known:
        self.calls += 1
        return {"x": torch.full((3,), self._value)}, {"score": float("nan"), "n": 3}


def test_is_computed_once(tmp_path: Path) -> None:
    compute = Counting()
    for _ in range(3):
        tensors, values = known(tmp_path / "new", {"a": 1}, CPU, compute)
        assert tensors["x"].tolist() == [1.0, 1.0, 1.0]
        assert values["n"] == 3
        assert values["score"] != values["score"]
    assert compute.calls == 1


def test_nothing_is_kept_without_a_folder() -> None:
    compute = Counting()
    known(None, {"a": 1}, CPU, compute)
    known(None, {"a": 1}, CPU, compute)
    assert compute.calls == 2


def test_what_determines_the_bits_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Counting()
    known(tmp_path, {"a": 1}, CPU, compute)
    known(tmp_path, {"a": 2}, CPU, compute)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    known(tmp_path, {"a": 1}, CPU, compute)
    monkeypatch.setattr(torch, "__version__", "0.1")
    known(tmp_path, {"a": 1}, CPU, compute)
    torch.use_deterministic_algorithms(True)
    known(tmp_path, {"a": 1}, CPU, compute)
    assert compute.calls == len(list(tmp_path.iterdir())) == 5


def test_a_file_under_anothers_name_is_not_believed(tmp_path: Path) -> None:
    known(tmp_path, {"a": 1}, CPU, Counting(1.0))
    (first,) = tmp_path.iterdir()
    known(tmp_path, {"a": 2}, CPU, Counting(2.0))
    (second,) = set(tmp_path.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    tensors, _ = known(tmp_path, {"a": 2}, CPU, Counting(2.0))
    assert tensors["x"].tolist() == [2.0, 2.0, 2.0]


def test_what_cannot_be_kept_is_computed_all_the_same(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.warns(UserWarning, match=r"file.*cannot be written .*computed for every trial"):
        tensors, _ = known(blocked / "truth", {"a": 1}, CPU, Counting())
    assert tensors["x"].tolist() == [1.0, 1.0, 1.0]


def test_a_folder_that_lets_nobody_in_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known(tmp_path, {"a": 1}, CPU, Counting())
    closed(monkeypatch, tmp_path)
    tensors, _ = known(tmp_path, {"a": 1}, CPU, Counting())
    assert tensors["x"].tolist() == [1.0, 1.0, 1.0]


def test_one_of_somebody_else_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a cache folder that several users share, or on a disk that is not to be written."""

    def utime(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    first, second = Counting(), Counting()
    known(tmp_path, {"a": 1}, CPU, first)
    monkeypatch.setattr(os, "utime", utime)
    known(tmp_path, {"a": 1}, CPU, second)
    assert (first.calls, second.calls) == (1, 0)


def test_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert truth_folder() == tmp_path / "truth"


def test_the_least_recently_used_files_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        known(tmp_path, {"a": number}, CPU, Counting())
    (size,) = {path.stat().st_size for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    # To read one counts as its use.
    known(tmp_path, {"a": 1}, CPU, Counting())
    monkeypatch.setattr(truth, "MOST_BYTES", 2.5 * size)
    known(tmp_path, {"a": 3}, CPU, Counting())
    counts = []
    for number in range(4):
        compute = Counting()
        with monkeypatch.context() as patched:
            patched.setattr(truth, "_make_room", lambda newest: None)
            known(tmp_path, {"a": number}, CPU, compute)
        counts.append(compute.calls)
    assert counts == [1, 0, 1, 0]
    # One that alone is too large is kept all the same.
    monkeypatch.setattr(truth, "MOST_BYTES", size // 2)
    known(tmp_path, {"a": 4}, CPU, Counting())
    assert len(list(tmp_path.iterdir())) == 1
