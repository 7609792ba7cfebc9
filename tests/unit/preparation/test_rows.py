"""Rows that come one by one become the same data set as rows that are all in memory."""

import json
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raycolor import data
from raycolor.data import SPLITS, SplitName, write_prepared, write_rows
from raycolor.errors import DataError
from tests.toy import toy_splits


def test_files_are_the_same(tmp_path: Path) -> None:
    splits = toy_splits(16)
    for name in ("rows", "whole"):
        (tmp_path / name).mkdir()
    streamed = write_rows(
        tmp_path / "rows",
        {split: iter(rows) for split, rows in splits.items()},
        size=16,
        name="toy",
        source="drawn",
    )
    whole = write_prepared(tmp_path / "whole", splits, name="toy", source="drawn")
    assert streamed.fingerprint == whole.fingerprint
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "rows" / path.name).read_bytes()
    assert len(list((tmp_path / "rows").iterdir())) == 4


def test_one_row_is_alive_at_a_time(tmp_path: Path) -> None:
    alive = most = 0

    class Row(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal alive, most
        for i in range(20):
            alive += 1
            most = max(most, alive)
            yield f"{i}", np.full((16, 16, 3), i, np.uint8).view(Row)

    write_rows(tmp_path, {split: rows() for split in SPLITS}, size=16, name="toy", source="drawn")
    assert most <= 3


def test_how_it_was_made_stands_in_the_description(tmp_path: Path) -> None:
    splits = toy_splits(16)
    write_rows(tmp_path, splits, size=16, name="toy", source="drawn", preparation={"fit": "crop"})
    assert json.loads((tmp_path / "dataset.json").read_text())["preparation"] == {"fit": "crop"}


def test_split_without_rows_is_refused(tmp_path: Path) -> None:
    empty: dict[SplitName, Iterator[tuple[str, np.ndarray]]] = {s: iter([]) for s in SPLITS}
    with pytest.raises(DataError, match=r"train\.arrow: no picture for it"):
        write_rows(tmp_path, empty, size=16, name="toy", source="drawn")
    assert list(tmp_path.iterdir()) == []


def test_split_may_have_more_than_two_to_the_31_bytes(tmp_path: Path) -> None:
    row, number = 1024 * 1024 * 3, 700
    with (tmp_path / "hole").open("w+b") as file:
        file.truncate(row * number)  # takes no room
        zeros = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sink = pa.MockOutputStream()
    data._write_batch(sink, [str(i) for i in range(number)], pa.py_buffer(zeros), 1024)
    assert sink.size() > row * number > 2**31
