"""What somebody meant who mistyped a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.spaces.keys import KINDS, study_keys, trial_keys
from raycolor.spaces.spelling import MOST, nearest

ALL = [*trial_keys(), *study_keys()]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("generator.bakcbone", ["generator.backbone"]),
        ("generator_backbone", ["generator.backbone"]),
        ("Generator.Backbone", ["generator.backbone"]),
        ("backbone", ["generator.backbone"]),
        ("losses.lambda", ["losses.l1_lambda"]),
        ("l1_lamda", ["losses.l1_lambda"]),
        ("data.image_size", ["data.size"]),
        ("study.tirals", ["study.trials"]),
        ("generator.lr", ["optimizers.generator.learning_rate"]),
        ("batch_size", ["evaluation.batch_size", "budget.batch_size"]),
        ("ema", ["generator.ema_decay"]),
        ("losses.l1_weight", ["losses.l1_lambda", "losses.classification_weight"]),
        ("zebra", []),
        ("", []),
        ("x" * 5000, []),
    ],
)
def test_what_was_meant(name: str, meant: list[str]) -> None:
    assert nearest(name, ALL) == meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("logunifrom", ["loguniform"]),
        ("log_uniform", ["loguniform"]),
        ("LogUniform", ["loguniform"]),
        ("categorical", ["choice"]),
        ("integer", ["int"]),
        ("normal", []),
    ],
)
def test_what_kind_was_meant(name: str, meant: list[str]) -> None:
    assert nearest(name, KINDS) == meant


@pytest.mark.parametrize("name", ALL)
def test_a_known_name_is_nearest_to_itself(name: str) -> None:
    assert nearest(name, ALL)[0] == name


@pytest.mark.parametrize("name", ALL)
def test_any_one_slip_in_a_setting_s_name_still_finds_it(name: str) -> None:
    for at in range(len(name)):
        for slip in (
            name[:at] + name[at + 1 :],
            name[:at] + "x" + name[at:],
            name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
        ):
            assert name in nearest(slip, ALL), slip


@given(st.text(max_size=30), st.lists(st.text(max_size=12), max_size=12))
def test_whatever_is_typed_few_of_the_known_names_are_offered(name: str, known: list[str]) -> None:
    near = nearest(name, known)
    assert len(near) <= MOST
    assert set(near) <= set(known)
