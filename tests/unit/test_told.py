"""What a long benchmark measured outlives a kill."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from told import Kept


def test_the_same_command_goes_on_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    first = Kept(out, "settings")
    assert first.measure("one", lambda: {"seconds": 1.5}) == {"seconds": 1.5}
    with pytest.raises(ZeroDivisionError):
        first.measure("two", lambda: 1 / 0)
    again = Kept(out, "settings")
    assert again.measure("one", lambda: pytest.fail("measured again")) == {"seconds": 1.5}
    assert again.measure("two", lambda: 2) == 2
    assert capsys.readouterr().err.splitlines() == ["one", "two", "two"]
    again.close()
    assert list(tmp_path.iterdir()) == []


def test_measurements_of_other_settings_are_left_out(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    Kept(out, "settings").measure("one", lambda: 1)
    assert Kept(out, "others").measure("one", lambda: 2) == 2


def test_nothing_is_kept_without_a_file() -> None:
    kept = Kept(None, "settings")
    assert [kept.measure("one", lambda: 1), kept.measure("one", lambda: 2)] == [1, 1]
    kept.close()
