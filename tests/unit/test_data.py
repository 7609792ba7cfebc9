import csv
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raycolor import data
from raycolor.data import PHOTOS, SPLITS, PreparedData, open_prepared, verify, write_prepared
from raycolor.errors import DataError
from tests.toy import toy_splits


@pytest.fixture
def copied(prepared: PreparedData, tmp_path: Path) -> Path:
    """A copy of the toy data set that a test may damage."""
    return Path(shutil.copytree(prepared.path, tmp_path / "copied"))


def change_description(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "dataset.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    splits = toy_splits(16)
    write_prepared(tmp_path, splits, name="toy", source="drawn", skipped={"a.txt": "no picture"})
    opened = open_prepared(tmp_path)
    assert (opened.name, opened.size) == ("toy", 16)
    assert opened.counts == {split: len(rows) for split, rows in splits.items()}
    for split in SPLITS:
        pictures = opened.pictures(split)
        assert pictures.sources == tuple(name for name, _ in splits[split])
        assert len(pictures) == len(splits[split])
        np.testing.assert_array_equal(pictures.pixels, np.stack([row for _, row in splits[split]]))
    verify(opened)
    assert json.loads((tmp_path / "dataset.json").read_text())["skipped"] == {"a.txt": "no picture"}


def test_pixels_are_mapped_not_read(prepared: PreparedData) -> None:
    before = pa.total_allocated_bytes()
    pixels = prepared.pictures("train").pixels
    assert pa.total_allocated_bytes() == before
    assert not pixels.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0, 0] = 1


def test_fingerprint_is_the_same_everywhere(prepared: PreparedData, tmp_path: Path) -> None:
    again = write_prepared(tmp_path, toy_splits(32), name="other name", source="elsewhere")
    assert again.fingerprint == prepared.fingerprint


def test_fingerprint_follows_pixels_names_and_splits(tmp_path: Path) -> None:
    def fingerprint(change: Callable[[dict[Any, list[Any]]], object]) -> str:
        splits = toy_splits(16)
        change(splits)
        return write_prepared(tmp_path, splits, name="toy", source="drawn").fingerprint

    def one_pixel(splits: dict[Any, list[Any]]) -> None:
        splits["test"][0][1][3, 3, 1] ^= 1

    def one_name(splits: dict[Any, list[Any]]) -> None:
        splits["validation"][2] = ("renamed.png", splits["validation"][2][1])

    def one_split(splits: dict[Any, list[Any]]) -> None:
        splits["validation"].append(splits["train"].pop())

    def order(splits: dict[Any, list[Any]]) -> None:
        splits["train"].reverse()

    changes: Iterable[Callable[[dict[Any, list[Any]]], object]]
    changes = [lambda _: None, one_pixel, one_name, one_split, order]
    assert len({fingerprint(change) for change in changes}) == 5


def test_verify_notices_a_single_byte(copied: Path) -> None:
    path = copied / "validation.arrow"
    contents = bytearray(path.read_bytes())
    first = open_prepared(copied).pictures("validation").pixels[0].tobytes()
    contents[contents.index(first) + 100] ^= 1
    path.write_bytes(contents)
    damaged = open_prepared(copied)
    with pytest.raises(DataError, match=r"copied: the pixels have fingerprint \w{12}"):
        verify(damaged)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such folder"):
        open_prepared(tmp_path / "nowhere")


def test_folder_without_description_is_refused(copied: Path) -> None:
    (copied / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"copied: no dataset\.json"):
        open_prepared(copied)


@pytest.mark.parametrize(
    "torn",
    ["", "{", '{"format": 1}', "[]", "null", '{"format": 1, "name": "toy", "size": "wide"}'],
)
def test_torn_description_is_refused(copied: Path, torn: str) -> None:
    (copied / "dataset.json").write_text(torn)
    with pytest.raises(DataError, match=r"copied/dataset\.json: not readable"):
        open_prepared(copied)


def test_other_format_is_refused(copied: Path) -> None:
    change_description(copied, lambda about: about.update(format=2))
    with pytest.raises(DataError, match=r"dataset\.json: format is 2, this raycolor reads 1"):
        open_prepared(copied)


def test_wrong_count_is_refused(copied: Path) -> None:
    change_description(copied, lambda about: about["counts"].update(test=4))
    with pytest.raises(DataError, match=r"test\.arrow: 5 pictures, but dataset\.json says 4"):
        open_prepared(copied)


@pytest.mark.parametrize("size", [16, 31, 33, 64])
def test_wrong_size_is_refused(copied: Path, size: int) -> None:
    # At 16 the pixels would fill four times as many pictures.
    change_description(copied, lambda about: about.update(size=size))
    with pytest.raises(DataError, match=r"train\.arrow: not readable"):
        open_prepared(copied)


@pytest.mark.parametrize("split", SPLITS)
def test_missing_split_is_named(copied: Path, split: str) -> None:
    (copied / f"{split}.arrow").unlink()
    with pytest.raises(DataError, match=rf"{split}\.arrow: not readable"):
        open_prepared(copied)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_cut_split_is_refused(copied: Path, kept: float) -> None:
    path = copied / "train.arrow"
    contents = path.read_bytes()
    length = int(kept * len(contents)) if isinstance(kept, float) else kept
    path.write_bytes(contents[:length])
    with pytest.raises(DataError, match=r"train\.arrow: not readable"):
        open_prepared(copied)


def test_killed_write_is_never_accepted(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = data._write_split

    def killed(path: Path, rows: Iterable[tuple[str, np.ndarray]], size: int) -> None:
        if path.stem == "validation":
            raise KeyboardInterrupt
        write(path, rows, size)

    monkeypatch.setattr(data, "_write_split", killed)
    with pytest.raises(KeyboardInterrupt):
        write_prepared(copied, toy_splits(32, seed=1), name="toy", source="drawn")
    with pytest.raises(DataError, match=r"no dataset\.json"):
        open_prepared(copied)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), "shapes"),
        (np.zeros((16, 16, 3), np.float32), "float32"),
        (np.zeros((16, 16), np.uint8), "shapes"),
    ],
)
def test_pictures_that_differ_are_refused(tmp_path: Path, bad: np.ndarray, message: str) -> None:
    splits = toy_splits(16)
    splits["test"].append(("bad.png", bad))
    with pytest.raises(DataError, match=message):
        write_prepared(tmp_path, splits, name="toy", source="drawn")
    assert not (tmp_path / "dataset.json").exists()


def test_oblong_pictures_are_refused(tmp_path: Path) -> None:
    oblong = [("a.png", np.zeros((16, 8, 3), np.uint8))]
    with pytest.raises(DataError, match=r"\(16, 8, 3\); they must be \(size, size, 3\)"):
        write_prepared(
            tmp_path,
            {"train": oblong, "validation": oblong, "test": oblong},
            name="toy",
            source="drawn",
        )


def test_empty_split_is_refused(tmp_path: Path) -> None:
    splits = toy_splits(16) | {"test": []}
    with pytest.raises(DataError, match="no picture for test"):
        write_prepared(tmp_path, splits, name="toy", source="drawn")


class TestPhotos:
    """The built-in data set."""

    @pytest.fixture
    def scenes(self) -> dict[str, str]:
        """From photograph to scene."""
        with (PHOTOS / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
            return {row["file"]: row["scene"] for row in csv.DictReader(file)}

    @pytest.fixture
    def scenes_of(self, scenes: dict[str, str]) -> dict[str, set[str]]:
        """From split to scenes; fails where a picture has no attribution."""
        photos = open_prepared(PHOTOS)
        return {
            split: {scenes[source.split("#")[0]] for source in photos.pictures(split).sources}
            for split in SPLITS
        }

    def test_pixels_are_the_ones_that_were_prepared(self) -> None:
        verify(open_prepared(PHOTOS))

    def test_every_photograph_has_an_author_and_a_licence(self) -> None:
        with (PHOTOS / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                assert row["author"], row["file"]
                assert row["licence"], row["file"]

    def test_no_scene_lies_in_two_splits(self, scenes_of: dict[str, set[str]]) -> None:
        assert not scenes_of["train"] & scenes_of["validation"]
        assert not scenes_of["train"] & scenes_of["test"]
        assert not scenes_of["validation"] & scenes_of["test"]

    def test_every_scene_is_used(
        self, scenes: dict[str, str], scenes_of: dict[str, set[str]]
    ) -> None:
        assert set().union(*scenes_of.values()) == set(scenes.values())

    def test_shares_of_scenes(self, scenes_of: dict[str, set[str]]) -> None:
        total = sum(map(len, scenes_of.values()))
        shares = [len(scenes_of[split]) / total for split in SPLITS]
        assert shares == pytest.approx([0.75, 0.13, 0.12], abs=0.01)
