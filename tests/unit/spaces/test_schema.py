"""The JSON schema of space files says what raycolor says."""

import json
from pathlib import Path

import jsonschema
import pytest

from raycolor.errors import ConfigError
from raycolor.spaces.file import AT_TOP_LEVEL, SHIPPED, load_space
from raycolor.spaces.keys import KINDS, RESERVED, SHARED, study_keys, trial_keys
from raycolor.spaces.schema import FILE, as_text, space_schema
from raycolor.spaces.yaml_text import parse_yaml, read_yaml

SPACES = sorted(AT_TOP_LEVEL.glob("*.yaml"))
BROKEN = sorted((Path(__file__).parents[2] / "golden" / "space_errors").glob("*.yaml"))
HEADER = f"# yaml-language-server: $schema={FILE}\n"
CHECK = jsonschema.Draft7Validator(space_schema())

NEEDS_THE_WHOLE = {
    *("batch_and_defaults", "batch_and_report", "batch_of_one", "batches_and_report"),
    *(
        "batches_of_all_sizes",
        "answers_and_losses",
        "baseline_missing",
        "budget_and_report",
        "discriminator_too_deep",
    ),
    *("first_rung_before_report", "first_rung_between_reports", "first_rung_beyond_budget"),
    *("losses_and_norms", "size_of_old_systems"),
    *("fixed_and_searched", "grid_with_ranges", "points_and_baseline"),
    *("pretraining_too_long", "size_odd"),
    *("size_of_all_networks", "size_of_backbone", "size_searched"),
    *("study_gpus_no_share", "study_gpus_not_whole"),
    *("when_circle", "when_never"),
}
"""Files whose every part is sound by itself, so that the schema finds nothing."""


def test_the_file_is_that_of_the_models() -> None:
    text = (AT_TOP_LEVEL / FILE).read_text(encoding="utf-8")
    assert text == as_text(space_schema()), "make it anew: python tools/make_schema.py"


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(space_schema())


def test_every_key_is_in_it_with_its_meaning_and_its_default() -> None:
    schema = space_schema()
    fixed = schema["properties"]["fixed"]["properties"]
    searched = schema["properties"]["search"]["properties"]
    assert set(fixed) == trial_keys().keys() - set(RESERVED)
    assert set(searched) == set(schema["properties"]["baseline"]["properties"])
    assert set(searched) == set(fixed) - set(SHARED)
    for path in fixed:
        about = schema["definitions"][path]
        assert about["description"] == trial_keys()[path].meaning
        assert about["default"] == trial_keys()[path].default
        CHECK.evolve(schema=about).validate(about["default"])
    study = json.dumps(schema["properties"]["study"], ensure_ascii=False)
    for key in study_keys().values():
        assert json.dumps(key.meaning, ensure_ascii=False) in study


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_is_valid_and_names_the_schema(path: Path) -> None:
    CHECK.validate(read_yaml(path).tree)
    assert path.read_text(encoding="utf-8").startswith(HEADER)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_what_is_wrong_in_one_part_the_schema_finds_too(path: Path) -> None:
    try:
        text = read_yaml(path)
    except ConfigError:
        return  # no editor reads it either
    assert CHECK.is_valid(text.tree) == (path.stem in NEEDS_THE_WHOLE)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("", True),
        ("study:\nfixed:\nsearch:\nbaseline:\n", True),
        ("study: {trials: null, concurrent: auto, resources: {gpus: 0.5}}", True),
        ("fixed: {generator.depth: null, budget.images: 1.024e4}", True),
        ("fixed: {budget.images: 1.5}", False),
        ("fixed: {data.size: 15}", False),
        ("fixed: {data.flip: 1}", False),
        ("fixed: {losses.l1_lambda: true}", False),
        ("search: {generator.depth: {kind: choice, values: [null, 4]}}", True),
        ("search: {generator.depth: {kind: uniform, low: 2, high: 4}}", False),
        ("search: {losses.l1_lambda: {kind: int, low: 10, high: 100, step: 10}}", True),
        ("search: {losses.l1_lambda: {kind: loguniform, low: 0, high: 100}}", False),
        ("search: {data.flip: {kind: choice, values: [true], when: {data.size: [64]}}}", True),
        ("search: {data.flip: {kind: choice, values: [true], when: {data.size: []}}}", False),
        ("search: {data.flip: {kind: choice, values: [true], when: {data.sise: [64]}}}", False),
        ("search: {budget.images: {kind: choice, values: [1024]}}", False),
        ("fixed: {seed: 1}", False),
    ],
)
def test_schema_and_shape_agree(tmp_path: Path, text: str, valid: bool) -> None:
    assert CHECK.is_valid(parse_yaml(text).tree) == valid
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_space(path)
    except ConfigError as error:
        needs_the_whole = "is not searched, so it never changes" in str(error)
        assert not valid or needs_the_whole
    else:
        assert valid


@pytest.mark.parametrize("kind", KINDS)
def test_an_editor_can_complete_each_kind_of_domain(kind: str) -> None:
    domain = space_schema()["properties"]["search"]["properties"]["losses.l1_lambda"]
    (found,) = [part for part in domain["anyOf"] if part["properties"]["kind"] == {"const": kind}]
    assert set(found["properties"]) == set(KINDS[kind].model_fields)


def test_bounds_are_those_of_the_models_and_numbers_that_json_has() -> None:
    schema = space_schema()
    assert json.loads(as_text(schema)) == schema
    assert "Infinity" not in as_text(schema)
    assert "NaN" not in as_text(schema)
    size = schema["definitions"]["data.size"]
    assert (size["minimum"], size["maximum"]) == (16, 1024)
    rate = schema["definitions"]["pretraining.learning_rate"]
    assert (rate["exclusiveMinimum"], rate["maximum"]) == (0, 1)


def test_it_ships_beside_the_spaces() -> None:
    """The wheel's own test installs the package; here it is enough that the rule names the file."""
    folder = SHIPPED if SHIPPED.is_dir() else AT_TOP_LEVEL
    assert (folder / FILE).is_file()
    rules = (AT_TOP_LEVEL.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"raycolor.search_spaces" = ["*.yaml", "*.json"]' in rules
