import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from raycolor import checkpoint
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.errors import CheckpointError
from raycolor.intact import is_intact
from raycolor.storage import Patience

TENSORS: dict[str, Tensor] = {
    "float32": torch.tensor([[0.1, -0.0], [math.inf, 1e-45]]),
    "float64": torch.tensor([math.pi], dtype=torch.float64),
    "bfloat16": torch.tensor([1.5, -2.5], dtype=torch.bfloat16),
    "int64": torch.tensor([-(2**62)]),
    "uint8": torch.arange(5, dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "one number": torch.tensor(3.25),
    "nothing": torch.zeros(0, 3),
}
ABOUT: dict[str, Any] = {"images_seen": 64, "best": 0.1 + 0.2, "name": "Fréchet", "inner": [None]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "folder" / "some.safetensors"
    save_tensors(written, TENSORS, ABOUT)
    return written


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        (first[name].dtype, first[name].shape) == (second[name].dtype, second[name].shape)
        and torch.equal(first[name], second[name])
        for name in first
    )


def test_what_was_written_is_read(path: Path) -> None:
    tensors, about = load_tensors(path)
    assert same(tensors, TENSORS)
    assert math.copysign(1, tensors["float32"][0, 1]) == -1
    assert about == ABOUT


def test_layout_and_sharing_of_memory_have_no_influence(tmp_path: Path) -> None:
    base = torch.randn(2, 3, 4, 5)
    tensors = {
        "last": base.to(memory_format=torch.channels_last),
        "view": base[:, 1:, ::2],
        "again": base,
        "transposed": base.transpose(0, 3),
        "trained": base.clone().requires_grad_(),
    }
    save_tensors(tmp_path / "some.safetensors", tensors, {})
    loaded, _ = load_tensors(tmp_path / "some.safetensors")
    assert same(loaded, tensors)
    assert torch.equal(base, loaded["again"])


def test_infinite_best_survives(tmp_path: Path) -> None:
    save_tensors(tmp_path / "some.safetensors", {}, {"best": math.inf})
    assert load_tensors(tmp_path / "some.safetensors") == ({}, {"best": math.inf})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: cannot be read"):
        load_tensors(tmp_path / "absent.safetensors")


def test_every_cut_is_noticed(path: Path) -> None:
    contents = path.read_bytes()
    assert is_intact(path)
    for length in range(len(contents)):
        path.write_bytes(contents[:length])
        assert not is_intact(path)
        with pytest.raises(CheckpointError, match=r"some\.safetensors: "):
            load_tensors(path)


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x20, 0x80])
def test_every_changed_byte_is_noticed(path: Path, flip: int) -> None:
    contents = path.read_bytes()
    for position in range(len(contents)):
        damaged = bytearray(contents)
        damaged[position] ^= flip
        path.write_bytes(damaged)
        assert not is_intact(path)
        with pytest.raises(CheckpointError, match=r"some\.safetensors: "):
            load_tensors(path)


def test_added_bytes_are_noticed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    assert not is_intact(path)
    with pytest.raises(CheckpointError, match=r"some\.safetensors: "):
        load_tensors(path)


def test_exchanged_tensor_is_noticed(path: Path) -> None:
    # A file that is whole in itself, but of other weights.
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    others = TENSORS | {"float64": torch.tensor([math.e], dtype=torch.float64)}
    save_file(others, path, metadata=metadata)
    assert not is_intact(path)
    with pytest.raises(CheckpointError, match="do not match its SHA-256"):
        load_tensors(path)


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="do not match its SHA-256"):
        load_tensors(tmp_path / "foreign.safetensors")


def test_failing_write_leaves_the_older_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(contents: object, beside: Path, metadata: object) -> None:
        beside.write_bytes(b"half of a f")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", half)
    monkeypatch.setattr("raycolor.storage.PATIENCE", Patience(waits_s=()))
    with pytest.raises(CheckpointError, match=r"some\.safetensors: cannot be written .*No space"):
        save_tensors(path, {"new": torch.zeros(1)}, {})
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.undo()
    tensors, about = load_tensors(path)
    assert same(tensors, TENSORS)
    assert about == ABOUT


def test_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"some\.safetensors: cannot be written"):
        save_tensors(tmp_path / "file" / "some.safetensors", {}, {})
