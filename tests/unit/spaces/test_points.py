"""A range with points has few values, so that trials meet; otherwise it is the range it was."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from raycolor.spaces.domains import (
    Domain,
    LogUniform,
    Uniform,
    combinations,
    contains,
    edges,
    grid_values,
    point_values,
)
from raycolor.spaces.file import load_space
from raycolor.spaces.schema import space_schema

ANY: TypeAdapter[Domain] = TypeAdapter(Domain)


def domain(kind: str, low: float, high: float, points: int | None) -> Uniform | LogUniform:
    found = ANY.validate_python({"kind": kind, "low": low, "high": high, "points": points})
    assert isinstance(found, Uniform | LogUniform)
    return found


@pytest.mark.parametrize(
    ("kind", "low", "high", "points", "values"),
    [
        ("uniform", 0.0, 1.0, 2, [0.0, 1.0]),
        ("uniform", 0.0, 1.0, 4, [0.0, 0.3333, 0.6667, 1.0]),
        ("uniform", -2.0, 2.0, 5, [-2.0, -1.0, 0.0, 1.0, 2.0]),
        ("loguniform", 1e-4, 1e-2, 3, [1e-4, 1e-3, 1e-2]),
        ("loguniform", 3e-4, 3e-3, 3, [3e-4, 9.487e-4, 3e-3]),
        ("loguniform", 0.123456, 1.234567, 2, [0.123456, 1.234567]),
    ],
)
def test_points_are_evenly_spaced_and_can_be_written_down(
    kind: str, low: float, high: float, points: int, values: list[float]
) -> None:
    found = domain(kind, low, high, points)
    assert point_values(found) == values
    assert grid_values(found) == values
    assert list(edges(found)) == [low, high]
    assert all(contains(found, value) for value in values)
    assert not contains(found, (values[0] + values[1]) / 2)
    assert not contains(found, True)
    assert contains(domain(kind, low, high, None), (values[0] + values[1]) / 2)


@given(
    low=st.floats(1e-6, 1e3),
    ratio=st.floats(1.5, 1e6),
    points=st.integers(2, 50),
    log=st.booleans(),
)
def test_points_ascend_within_their_range(low: float, ratio: float, points: int, log: bool) -> None:
    found = domain("loguniform" if log else "uniform", low, low * ratio, points)
    values = point_values(found)
    assert len(values) == points == len(set(values))
    assert values == sorted(values)
    assert (values[0], values[-1]) == (found.low, found.high)


def test_points_that_few_digits_do_not_tell_apart_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"points 40 are so many between low 1 and high 1\.01"
    ):
        domain("uniform", 1.0, 1.01, 40)


def test_a_grid_goes_through_points(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        """
        study: {searcher: {kind: grid}}
        search:
          pretraining.images: {kind: choice, values: [0, 1024]}
          pretraining.learning_rate:
            {kind: loguniform, low: 1e-4, high: 1e-2, points: 3, when: {pretraining.images: [1024]}}
        """
    )
    space = load_space(path)
    assert list(combinations(space.search)) == [
        {"pretraining.images": 0},
        *(
            {"pretraining.images": 1024, "pretraining.learning_rate": rate}
            for rate in (1e-4, 1e-3, 1e-2)
        ),
    ]


@pytest.mark.parametrize(
    ("changed", "sound"),
    [({}, True), ({"points": 3}, True), ({"points": 1}, False), ({"points": 2.5}, False)],
    ids=str,
)
def test_the_schema_knows_them(changed: dict[str, Any], sound: bool) -> None:
    rate = {"kind": "loguniform", "low": 1e-4, "high": 1e-2, **changed}
    tree = {"search": {"pretraining.learning_rate": rate}}
    check = jsonschema.Draft7Validator(space_schema())
    assert check.is_valid(json.loads(json.dumps(tree))) == sound
    whole = {"kind": "int", "low": 1, "high": 5, "points": 3}
    assert not check.is_valid({"search": {"generator.width": whole}})
