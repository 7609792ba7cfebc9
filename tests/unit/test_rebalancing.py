from pathlib import Path

import numpy as np
import pytest
import torch

from raycolor import rebalancing, storage
from raycolor.bins import NUM_BINS, bin_centers, rare_weights
from raycolor.data import PreparedData, write_prepared
from raycolor.rebalancing import bins_folder, class_weights, color_counts
from tests.toy import TinyConfig, toy_splits


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        pytest.fail("colours were counted again")

    monkeypatch.setattr(rebalancing, "_count", refuse)


def test_every_colour_of_the_training_split_is_counted_once(
    prepared: PreparedData, tiny_config: TinyConfig
) -> None:
    for name, side in (("quarter", 8), ("half", 16), ("full", 32)):
        counts = color_counts(prepared, tiny_config({"generator.bins_at": name}))
        assert counts.shape == (NUM_BINS,)
        assert int(counts.sum()) == 20 * side**2


def test_colours_are_counted_where_they_are(tmp_path: Path, tiny_config: TinyConfig) -> None:
    red = np.full((32, 32, 3), (255, 0, 0), np.uint8)
    splits = toy_splits(32)
    splits["train"] = [(f"{number}.png", red) for number in range(40)]
    prepared = write_prepared(tmp_path, splits, name="red", source="drawn")
    counts = color_counts(prepared, tiny_config())
    assert int(counts.count_nonzero()) == 1
    # sRGB's red is a 80.1, b 67.2.
    assert bin_centers()[int(counts.argmax())].tolist() == [80, 70]
    weights = class_weights(prepared, tiny_config())
    assert int(weights.argmin()) == int(counts.argmax())


def test_counts_are_kept_and_found_again(
    prepared: PreparedData,
    tiny_config: TinyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = class_weights(prepared, tiny_config(), tmp_path)
    assert torch.equal(first, rare_weights(color_counts(prepared, tiny_config()).float()))
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        forbid(patch)
        assert torch.equal(class_weights(prepared, tiny_config({"seed": 5}), tmp_path), first)
    # Another map of bins is another count.
    other = color_counts(prepared, tiny_config({"generator.bins_at": "half"}), tmp_path)
    assert int(other.sum()) == 20 * 16**2
    assert len(list(tmp_path.iterdir())) == 2

    kept.write_bytes(kept.read_bytes()[:-3])
    assert torch.equal(class_weights(prepared, tiny_config(), tmp_path), first)
    with monkeypatch.context() as patch:
        forbid(patch)
        assert torch.equal(class_weights(prepared, tiny_config(), tmp_path), first)


def test_what_cannot_be_kept_is_counted_all_the_same(
    prepared: PreparedData,
    tiny_config: TinyConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", storage.Patience(()))
    blocked = tmp_path / "file"
    blocked.touch()
    expected = color_counts(prepared, tiny_config())
    with pytest.warns(UserWarning, match="counted for every trial"):
        found = color_counts(prepared, tiny_config(), blocked)
    assert torch.equal(found, expected)


def test_counts_lie_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path))
    assert bins_folder() == tmp_path / "bins"
