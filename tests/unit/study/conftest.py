"""What tests of studies share."""

from pathlib import Path

import pytest

from raycolor.spaces.space import Space
from tests.unit.study.fakes import SPACE
from tests.unit.study.suggestions import space


@pytest.fixture
def tpe(tmp_path: Path) -> Space:
    """The small study's space, whose searcher is a model."""
    return space(tmp_path)


@pytest.fixture
def random(tmp_path: Path) -> Space:
    """The same space, searched at random."""
    return space(tmp_path, SPACE.replace("{kind: tpe, startup_trials: 3}", "{kind: random}"))
