"""What tests of a trial share."""

import functools

import pytest

from raycolor import evaluation
from raycolor.metrics.extractor import build_extractor


@pytest.fixture(autouse=True)
def _one_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    # It is frozen, so all runs may share it.
    monkeypatch.setattr(evaluation, "build_extractor", _extractor)


_extractor = functools.cache(build_extractor)
