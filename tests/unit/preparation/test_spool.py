from pathlib import Path

import numpy as np
import pytest

from raycolor.preparation.spool import Spool


def test_rows_come_back_from_their_places(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {place: rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for place in (5, 0, 70_000)}
    with Spool(tmp_path / "rows", 8) as spool:
        for place, row in rows.items():
            spool.put(place, row.tobytes())
        for place, row in rows.items():
            np.testing.assert_array_equal(spool.get(place), row)
        about = (tmp_path / "rows").stat()
        assert about.st_size > 13_000_000
        assert about.st_blocks * 512 < 100_000, "places without a row take room"
    assert list(tmp_path.iterdir()) == []


def test_is_removed_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Spool(tmp_path / "rows", 8):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
