"""The cache folder of somebody who has no home."""

from pathlib import Path

import pytest

from raycolor.cache import VARIABLE, cache_folder
from raycolor.errors import ConfigError
from raycolor.preflight import check_before_trials
from tests.unit.fitting import make


def test_without_a_home_it_has_to_be_named_before_the_first_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def home() -> Path:
        # As Python says it of a user whom the system does not know.
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(Path, "home", home)
    plan = make(tmp_path, "study: {trials: 1}")
    with pytest.raises(ConfigError, match=r"^RAYCOLOR_CACHE: is not set, and this user has"):
        check_before_trials(plan)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
