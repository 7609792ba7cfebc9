"""Plans and stored data sets that fit each other or do not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raycolor.data import PreparedData, write_prepared
from raycolor.errors import ConfigError, DataError
from raycolor.plan import Plan, make_plan
from raycolor.preflight import check_before_trials
from raycolor.spaces.domains import Scalar
from tests.toy import toy_splits


def make(
    folder: Path,
    text: str = "",
    data: str | Path = "photos",
    space: str | None = None,
    overrides: Mapping[str, Scalar] | None = None,
) -> Plan:
    if space is None:
        path = folder / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        space = str(path)
    return make_plan(
        space=space,
        study=None,
        out=folder,
        data=str(data),
        trials=None,
        concurrent=None,
        overrides=overrides or {},
        address=None,
        time_budget_s=None,
        seed=0,
    )


def stored(folder: Path, size: int, train: int = 20, validation: int = 6) -> PreparedData:
    path = folder / f"stored-{size}-{train}-{validation}"
    path.mkdir()
    counts: Any = {"train": train, "validation": validation, "test": 1}
    return write_prepared(path, toy_splits(size, counts=counts), name="toy", source="drawn")


def refusal(plan: Plan) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        check_before_trials(plan)
    return str(caught.value)
