"""`--set PATH=VALUE`: what is read from it, and where it ends up."""

from typing import Any

import pytest

from raycolor.spaces.domains import Scalar
from raycolor.spaces.overrides import overridden, parse_overrides


@pytest.mark.parametrize(
    ("flag", "path", "value"),
    [
        ("losses.l1_lambda=100", "losses.l1_lambda", 100),
        ("losses.l1_lambda = 1e2 ", "losses.l1_lambda", 100.0),
        ("generator.ema_decay=null", "generator.ema_decay", None),
        ("data.flip=false", "data.flip", False),
        ("generator.backbone=scratch", "generator.backbone", "scratch"),
        ("study.searcher.kind=random", "study.searcher.kind", "random"),
        ("generator.backbone=a=b", "generator.backbone", "a=b"),
        ("generator.backbone=[1", "generator.backbone", "[1"),
        (
            "generator.backbone=!!python/name:os.system",
            "generator.backbone",
            "!!python/name:os.system",
        ),
    ],
)
def test_values_are_those_of_a_space_file(flag: str, path: str, value: Scalar) -> None:
    assert parse_overrides([flag]) == ({path: value}, [])


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("", "give PATH=VALUE, as in --set losses.l1_lambda=100"),
        ("data.size", "give PATH=VALUE, as in --set losses.l1_lambda=100"),
        ("data.size=", "give PATH=VALUE, as in --set losses.l1_lambda=100"),
        ("=64", "give PATH=VALUE, as in --set losses.l1_lambda=100"),
        ("data.size={kind: int}", "give one value; domains stand in a space file"),
        ("data.size=[32, 64]", "give one value; domains stand in a space file"),
    ],
)
def test_what_is_no_setting_and_value(flag: str, said: str) -> None:
    assert parse_overrides([flag, "data.flip=true"]) == (
        {"data.flip": True},
        [f"--set {flag}: {said}"],
    )


def test_a_setting_is_set_once() -> None:
    overrides, problems = parse_overrides(["data.size=32", "data.size=32"])
    assert overrides == {"data.size": 32}
    assert problems == ["--set data.size=32: data.size is set twice; keep one of the two"]


@pytest.mark.parametrize("tree", ["text", [1], 3])
def test_what_is_no_mapping_is_left_to_be_refused(tree: Any) -> None:
    assert overridden(tree, {"data.size": 32}) == tree
    for section in ("fixed", "search", "baseline", "study"):
        assert overridden({section: tree}, {"data.size": 32, "study.trials": 3})[section] == tree


def test_nothing_is_changed_in_place() -> None:
    tree = {
        "search": {"data.flip": {"kind": "choice", "values": [True, False]}},
        "baseline": {"data.flip": True},
    }
    before = repr(tree)
    after = overridden(tree, {"data.flip": False, "study.scheduler.kind": "none"})
    assert repr(tree) == before
    assert after == {
        "search": {},
        "baseline": {},
        "fixed": {"data.flip": False},
        "study": {"scheduler": {"kind": "none"}},
    }
