"""Search-space files: what is read, and what is refused with which words."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from raycolor.config import TrialConfig
from raycolor.domains import (
    Choice,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    combinations,
    contains,
    exists,
    grid_values,
)
from raycolor.errors import ConfigError
from raycolor.space import Space
from raycolor.space_file import AT_TOP_LEVEL, find_space, load_space
from raycolor.space_problems import known_paths

FILES = sorted(AT_TOP_LEVEL.glob("*.yaml"))
CONDITIONAL = """
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  pretraining.images:
    {kind: choice, values: [0, 1024, 2048], when: {generator.backbone: [scratch]}}
  pretraining.learning_rate:
    {kind: loguniform, low: 1e-4, high: 1e-2, when: {pretraining.images: [1024, 2048]}}
  losses.l1_lambda: {kind: uniform, low: 20, high: 200}
"""


def read(folder: Path, text: str | bytes, overrides: dict[str, Scalar] | None = None) -> Space:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_space(path, overrides)


def problems(folder: Path, text: str | bytes, overrides: dict[str, Scalar] | None = None) -> str:
    """The message that refuses a file; `FILE` stands for its path."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text, overrides)
    return str(caught.value).replace(str(folder / "mine.yaml"), "FILE")


# --- files that work


def test_a_space_ships() -> None:
    assert "quickstart" in [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_space_loads_by_its_name(path: Path) -> None:
    found = find_space(path.stem)
    assert found == path
    space = load_space(found)
    assert space.name == path.stem
    assert space.rungs()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_configuration_of_a_shipped_space_can_run(path: Path, data: st.DataObject) -> None:
    space = load_space(path)
    space.config(drawn(space, data), seed=1, pretraining_seed=2)


def drawn(space: Space, data: st.DataObject) -> dict[str, Scalar]:
    """Draw any configuration of a space."""
    chosen: dict[str, Scalar] = {}
    for path, domain in space.search.items():
        if not exists(domain, chosen):
            continue
        values = grid_values(domain)
        if values is None:
            assert isinstance(domain, Uniform | LogUniform)
            chosen[path] = data.draw(st.floats(domain.low, domain.high), label=path)
        else:
            chosen[path] = data.draw(st.sampled_from(values), label=path)
    return chosen


def test_an_empty_file_is_the_default_configuration(tmp_path: Path) -> None:
    space = read(tmp_path, "# nothing\n")
    assert space.config({}) == TrialConfig()
    assert space.study.trials == 10


def test_a_space_file_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("fixed: {losses.l1_lambda: 7}\n", encoding="utf-8")
    assert load_space(find_space(str(path))).config({}).losses.l1_lambda == 7


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    space = read(
        tmp_path,
        "fixed:\n"
        "  optimizers.generator.learning_rate: 1e-5\n"
        "  data.flip: false\n"
        "  generator.ema_decay: null\n"
        "search:\n"
        "  optimizers.discriminator.learning_rate: {kind: loguniform, low: 1e-5, high: 1E-3}\n"
        "  generator.width: {kind: int, low: 010, high: 030, step: 010}\n",
    )
    config = space.config({})
    assert config.optimizers.generator.learning_rate == 1e-5
    assert config.data.flip is False
    assert config.generator.ema_decay is None
    rate, width = space.search.values()
    assert (rate, width) == (
        LogUniform(kind="loguniform", low=1e-5, high=1e-3),
        Int(kind="int", low=10, high=30, step=10),
    )


def test_fixed_values_chosen_values_and_seeds_end_up_in_the_configuration(tmp_path: Path) -> None:
    space = read(tmp_path, "fixed: {generator.width: 32}\n" + CONDITIONAL)
    config = space.config(
        {"losses.l1_lambda": 33.0, "pretraining.images": 1024}, seed=5, pretraining_seed=6
    )
    assert config.generator.width == 32
    assert config.losses.l1_lambda == 33.0
    assert config.pretraining.images == 1024
    assert (config.seed, config.pretraining.seed) == (5, 6)
    assert config.discriminator == TrialConfig().discriminator


def test_domains_come_after_those_that_they_depend_on(tmp_path: Path) -> None:
    lines = CONDITIONAL.strip().splitlines()
    backwards = "\n".join([lines[0], *lines[4:6], *lines[2:4], lines[1]])
    space = read(tmp_path, backwards)
    assert list(space.search) == [
        "generator.backbone",
        "pretraining.images",
        "pretraining.learning_rate",
    ]


# --- rungs


def test_rungs_are_exact_powers(tmp_path: Path) -> None:
    """Ray computes them in floating point and loses the last."""
    space = read(
        tmp_path,
        "study: {scheduler: {reduction: 3}}\n"
        "fixed: {budget.images: 243, budget.report_every: 1, budget.batch_size: 1}\n",
    )
    assert space.rungs() == (1, 3, 9, 27, 81, 243)


@settings(max_examples=50, deadline=None)
@given(
    every=st.integers(1, 9),
    first=st.integers(1, 4),
    reduction=st.integers(2, 5),
    reports=st.integers(1, 200),
)
def test_rungs_are_reports_and_each_is_reduction_times_the_last(
    tmp_path_factory: pytest.TempPathFactory, every: int, first: int, reduction: int, reports: int
) -> None:
    first = min(first, reports)
    space = read(
        tmp_path_factory.mktemp("rungs"),
        f"study: {{scheduler: {{first_rung: {first * every}, reduction: {reduction}}}}}\n"
        f"fixed: {{budget.images: {reports * every}, budget.report_every: {every}, "
        "budget.batch_size: 1}\n",
    )
    rungs = space.rungs()
    assert rungs[0] == first * every
    assert all(after == reduction * before for before, after in itertools.pairwise(rungs))
    assert all(rung % every == 0 for rung in rungs)
    assert rungs[-1] <= reports * every < rungs[-1] * reduction


def test_without_a_scheduler_there_are_no_rungs(tmp_path: Path) -> None:
    assert read(tmp_path, "study: {scheduler: {kind: none}}\n").rungs() == ()


# --- grids


def test_a_grid_has_every_combination_once_and_conditional_settings_where_they_exist(
    tmp_path: Path,
) -> None:
    space = read(
        tmp_path,
        "study: {searcher: {kind: grid}}\n"
        + CONDITIONAL.replace(
            "{kind: uniform, low: 20, high: 200}", "{kind: choice, values: [50, 100]}"
        ).replace("kind: loguniform, low: 1e-4, high: 1e-2", "kind: choice, values: [1e-3, 1e-2]"),
    )
    every = list(combinations(space.search))
    # scratch: no pretraining, or 2 lengths x 2 rates; lite0: neither. Two lambdas each.
    assert len(every) == (1 + 2 * 2 + 1) * 2
    assert all(every.count(chosen) == 1 for chosen in every)
    for chosen in every:
        assert {path for path, d in space.search.items() if exists(d, chosen)} == set(chosen)
        space.config(chosen)
    assert [chosen["losses.l1_lambda"] for chosen in every] == [50, 100] * 6


def test_a_grid_of_integers_has_both_ends(tmp_path: Path) -> None:
    text = "search: {generator.width: {kind: int, low: 16, high: 64, step: 16}}\n"
    space = read(tmp_path, text)
    assert [chosen["generator.width"] for chosen in combinations(space.search)] == [16, 32, 48, 64]


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Uniform(kind="uniform", low=1, high=2), [1, 1.5, 2], [0.99, 2.01, "a", True, None]),
        (LogUniform(kind="loguniform", low=1e-3, high=1), [1e-3, 1], [0, math.nan]),
        (Int(kind="int", low=2, high=8, step=3), [2, 5, 8], [3, 1, 11, 2.5]),
        (Choice(kind="choice", values=["a", None, 3]), ["a", None, 3], ["b", 4]),
    ],
)
def test_what_a_domain_contains(domain: Any, inside: list[Scalar], outside: list[Scalar]) -> None:
    assert all(contains(domain, value) for value in inside)
    assert not any(contains(domain, value) for value in outside)


# --- files that are refused

BAD = {
    "unknown key": (
        "studdy: {trials: 3}\n",
        "FILE: studdy: there is no such key; remove it",
    ),
    "unknown key of the study": (
        "study: {searcher: {kind: tpe, startup: 3}}\n",
        "FILE: study.searcher.startup: there is no such key; remove it",
    ),
    "unknown fixed path": (
        "fixed: {losses.l2_lambda: 3}\n",
        "FILE: fixed.losses.l2_lambda: there is no such setting of a trial; see the README",
    ),
    "unknown searched path": (
        "search: {losses.lambda: {kind: uniform, low: 1, high: 2}}\n",
        "FILE: search.losses.lambda: there is no such setting of a trial; see the README",
    ),
    "a section is no setting": (
        "fixed: {losses: 3}\n",
        "FILE: fixed.losses: there is no such setting of a trial; see the README",
    ),
    "nested instead of dotted": (
        "fixed: {data: {size: 64}}\n",
        (
            "FILE: fixed.data: {'size': 64}: input should be a valid boolean; or a valid integer; "
            "or a valid number; or a valid string"
        ),
    ),
    "low above high": (
        "search: {losses.l1_lambda: {kind: uniform, low: 3, high: 2}}\n",
        "FILE: search.losses.l1_lambda: low 3.0 is not below high 2.0; swap them",
    ),
    "low equal to high": (
        "search: {generator.width: {kind: int, low: 32, high: 32}}\n",
        "FILE: search.generator.width: low 32 is not below high 32; swap them",
    ),
    "logarithm of zero": (
        "search: {losses.l1_lambda: {kind: loguniform, low: 0, high: 2}}\n",
        "FILE: search.losses.l1_lambda.low: 0: input should be greater than 0",
    ),
    "infinite range": (
        "search: {losses.l1_lambda: {kind: uniform, low: 0, high: .inf}}\n",
        "FILE: search.losses.l1_lambda.high: inf: input should be a finite number",
    ),
    "no kind": (
        "search: {losses.l1_lambda: {low: 1, high: 2}}\n",
        (
            "FILE: search.losses.l1_lambda: {'low': 1, 'high': 2}: unable to extract tag using "
            "discriminator 'kind'"
        ),
    ),
    "unknown kind": (
        "search: {losses.l1_lambda: {kind: normal, low: 1, high: 2}}\n",
        (
            "FILE: search.losses.l1_lambda: {'kind': 'normal', 'low': 1, 'high': 2}: input tag "
            "'normal' found using 'kind' does not match any of the expected tags: 'uniform', "
            "'loguniform', 'int', 'choice'"
        ),
    ),
    "half a range": (
        "search: {losses.l1_lambda: {kind: uniform, low: 1}}\n",
        "FILE: search.losses.l1_lambda.high: is missing; add it",
    ),
    "key of another kind": (
        "search: {losses.l1_lambda: {kind: uniform, low: 1, high: 2, step: 1}}\n",
        "FILE: search.losses.l1_lambda.step: there is no such key; remove it",
    ),
    "value instead of a domain": (
        "search: {losses.l1_lambda: 5}\n",
        (
            "FILE: search.losses.l1_lambda: 5: input should be a valid dictionary or object to "
            "extract fields from"
        ),
    ),
    "the same choice twice": (
        "search: {generator.backbone: {kind: choice, values: [scratch, scratch]}}\n",
        (
            "FILE: search.generator.backbone: values ['scratch', 'scratch'] has a value twice; "
            "name each once"
        ),
    ),
    "the same choice in two spellings": (
        "search: {losses.l1_lambda: {kind: choice, values: [10, 1e1]}}\n",
        "FILE: search.losses.l1_lambda: values [10, 10.0] has a value twice; name each once",
    ),
    "no choice": (
        "search: {generator.backbone: {kind: choice, values: []}}\n",
        (
            "FILE: search.generator.backbone.values: []: list should have at least 1 item after "
            "validation, not 0"
        ),
    ),
    "step beside the range": (
        "search: {generator.width: {kind: int, low: 16, high: 65, step: 16}}\n",
        (
            "FILE: search.generator.width: high 65 is not low 16 plus a multiple of step 16; "
            "take 64 or 80"
        ),
    ),
    "text for a number": (
        "fixed: {data.size: big}\n",
        (
            "FILE: fixed.data.size: 'big': input should be a valid integer, unable to parse string "
            "as an integer"
        ),
    ),
    "choice that is not possible": (
        "search: {generator.backbone: {kind: choice, values: [scratch, resnet99]}}\n",
        (
            "FILE: search.generator.backbone: 'resnet99': input should be 'scratch' or "
            "'efficientnet_lite0'"
        ),
    ),
    "end of a range that is not possible": (
        "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 10001}}\n",
        "FILE: search.losses.l1_lambda: 10001.0: input should be less than or equal to 10000",
    ),
    "fractions of a whole number": (
        "search: {generator.width: {kind: uniform, low: 16, high: 64}}\n",
        (
            "FILE: search.generator.width: 40.5: input should be a valid integer, got a number "
            "with a fractional part"
        ),
    ),
    "batch size that does not divide the report interval": (
        "fixed: {budget.batch_size: 48, budget.report_every: 512, budget.images: 1536}\n",
        (
            "FILE: fixed.budget.report_every: 512 is no multiple of budget.batch_size: 48; "
            "take 480 or 528"
        ),
    ),
    "searched batch size that does not divide the report interval": (
        (
            "fixed: {budget.report_every: 512, budget.images: 1536}\n"
            "search: {budget.batch_size: {kind: choice, values: [16, 24, 32]}}\n"
        ),
        (
            "FILE: fixed.budget.report_every: 512 is no multiple of budget.batch_size: 24; "
            "take 504 or 528"
        ),
    ),
    "batch size in the middle of a range that does not divide": (
        (
            "fixed: {budget.report_every: 512, budget.images: 1024}\n"
            "search: {budget.batch_size: {kind: int, low: 16, high: 64, step: 16}}\n"
        ),
        (
            "FILE: fixed.budget.report_every: 512 is no multiple of budget.batch_size: 48; "
            "take 480 or 528\n"
            "FILE: fixed.budget.images: 1024 is no multiple of budget.batch_size: 48; "
            "take 1008 or 1056"
        ),
    ),
    "budget that is no multiple of the report interval": (
        "fixed: {budget.images: 9000, budget.report_every: 1024, budget.batch_size: 8}\n",
        (
            "FILE: fixed.budget.images: 9000 is no multiple of budget.report_every: 1024; "
            "take 8192 or 9216"
        ),
    ),
    "pretraining longer than the run": (
        "search: {pretraining.images: {kind: choice, values: [0, 10240]}}\n",
        (
            "FILE: search.pretraining.images: 10240 is longer than the whole run "
            "(budget.images: 9216); shorten it"
        ),
    ),
    "crops that the network cannot halve": (
        "fixed: {data.size: 72}\n",
        (
            "FILE: fixed.data.size: 72 is no multiple of 32, which generator.backbone: "
            "efficientnet_lite0 needs; take 64 or 96"
        ),
    ),
    "first rung between reports": (
        "study: {scheduler: {first_rung: 1500}}\n",
        (
            "FILE: study.scheduler.first_rung: 1500 is no multiple of budget.report_every: 1024; "
            "take 1024 or 2048"
        ),
    ),
    "first rung before the first report": (
        "study: {scheduler: {first_rung: 16}}\n",
        (
            "FILE: study.scheduler.first_rung: 16 is no multiple of budget.report_every: 1024; "
            "take 1024"
        ),
    ),
    "first rung beyond the budget": (
        "study: {scheduler: {first_rung: 10240}}\n",
        (
            "FILE: study.scheduler.first_rung: 10240 is beyond budget.images: 9216; no trial would "
            "ever be compared"
        ),
    ),
    "condition on a value that never comes": (
        CONDITIONAL.replace("[1024, 2048]}}", "[1024, 512]}}"),
        (
            "FILE: search.pretraining.learning_rate.when.pretraining.images: 512 never comes; "
            "it takes 0, 1024, 2048"
        ),
    ),
    "condition on what is not searched": (
        (
            "fixed: {pretraining.images: 1024}\n"
            "search: {pretraining.learning_rate: {kind: uniform, low: 1e-4, high: 1e-2, "
            "when: {pretraining.images: [1024]}}}\n"
        ),
        (
            "FILE: search.pretraining.learning_rate.when.pretraining.images: is not searched; "
            "name a searched setting"
        ),
    ),
    "condition on a range": (
        (
            "search:\n"
            "  losses.l1_lambda: {kind: uniform, low: 20, high: 200}\n"
            "  generator.width: {kind: int, low: 16, high: 32, when: {losses.l1_lambda: [100]}}\n"
        ),
        (
            "FILE: search.generator.width.when.losses.l1_lambda: is a range; conditions need a "
            "choice or int"
        ),
    ),
    "condition that nothing fulfils": (
        (
            "search:\n"
            "  data.flip: {kind: choice, values: [true, false]}\n"
            "  generator.width: {kind: int, low: 16, high: 32, when: {data.flip: []}}\n"
        ),
        (
            "FILE: search.generator.width.when.data.flip: []: list should have at least 1 item "
            "after validation, not 0"
        ),
    ),
    "one condition instead of a list": (
        (
            "search:\n"
            "  data.flip: {kind: choice, values: [true, false]}\n"
            "  generator.width: {kind: int, low: 16, high: 32, when: {data.flip: true}}\n"
        ),
        "FILE: search.generator.width.when.data.flip: True: input should be a valid list",
    ),
    "conditions in a circle": (
        (
            "search:\n"
            "  losses.l1_lambda: {kind: choice, values: [10, 20]}\n"
            "  data.flip: {kind: choice, values: [true, false], when: {generator.width: [16]}}\n"
            "  generator.width: {kind: choice, values: [16, 32], when: {data.flip: [true]}}\n"
        ),
        "FILE: search: the conditions of data.flip, generator.width form a circle; break it",
    ),
    "condition on itself": (
        "search: {data.flip: {kind: choice, values: [true, false], when: {data.flip: [true]}}}\n",
        "FILE: search: the conditions of data.flip form a circle; break it",
    ),
    "grid with a range": (
        (
            "study: {searcher: {kind: grid}}\n"
            "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 200}}\n"
        ),
        "FILE: search.losses.l1_lambda: a grid needs choices; uniform has no end of values",
    ),
    "searched seed": (
        "search: {seed: {kind: int, low: 0, high: 9}}\n",
        "FILE: search.seed: seeds come from --seed; remove it",
    ),
    "fixed seed": (
        "fixed: {pretraining.seed: 3}\n",
        "FILE: fixed.pretraining.seed: seeds come from --seed; remove it",
    ),
    "searched budget": (
        "search: {budget.images: {kind: choice, values: [9216, 18432]}}\n",
        "FILE: search.budget.images: must be the same in all trials; set it under fixed",
    ),
    "fixed and searched": (
        (
            "fixed: {losses.l1_lambda: 3}\n"
            "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 200}}\n"
        ),
        "FILE: search.losses.l1_lambda: also stands under fixed; remove one of the two",
    ),
    "a list": (
        "- study\n- fixed\n",
        "FILE: holds list, but a space file is a mapping with the keys study, fixed and search",
    ),
    "text": (
        "fixed.data.size 64\n",
        "FILE: holds str, but a space file is a mapping with the keys study, fixed and search",
    ),
    "not UTF-8": (
        b"# \xff\n",
        (
            "FILE: cannot be read ('utf-8' codec can't decode byte 0xff in position 2: invalid "
            "start byte)"
        ),
    ),
    "tab": (
        "fixed:\n\tdata.size: 64\n",
        (
            "FILE: no valid YAML: while scanning for the next token found character '\\t' that "
            'cannot start any token in "<unicode string>", line 2, column 1: data.size: 64 ^ '
            "(line: 2)"
        ),
    ),
    "key twice": (
        "fixed:\n  data.size: 64\n  data.size: 32\n",
        (
            'FILE: no valid YAML: while constructing a mapping in "<unicode string>", line 2, '
            'column 3: data.size: 64 ^ (line: 2) found duplicate key "data.size" with value "32" '
            '(original value: "64") in "<unicode string>", line 3, column 3: data.size: 32 ^ '
            "(line: 3)"
        ),
    ),
    "share of a GPU that wastes one": (
        "study: {resources: {gpus: 0.7}}\n",
        "FILE: study.resources: gpus 0.7 is no share; take 0, 0.25, 0.33, 0.5 or 1",
    ),
    "neither number nor auto": (
        "study: {resources: {cpus: many}}\n",
        (
            "FILE: study.resources.cpus: 'many': input should be a valid integer, unable to parse "
            "string as an integer; or 'auto'"
        ),
    ),
    "baseline outside its domain": (
        (
            "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 200}}\n"
            "baseline: {losses.l1_lambda: 201}\n"
        ),
        (
            "FILE: baseline.losses.l1_lambda: 201 is not in its domain (kind uniform, low 20.0, "
            "high 200.0)"
        ),
    ),
    "several problems": (
        (
            "study: {trials: 0, searcher: {kind: bayes}, scheduler: {reduction: 1}}\n"
            "search: {losses.l1_lambda: {kind: uniform, low: 3, high: 2}}\n"
        ),
        (
            "FILE: study.trials: 0: input should be greater than or equal to 1\n"
            "FILE: study.searcher.kind: 'bayes': input should be 'tpe', 'random' or 'grid'\n"
            "FILE: study.scheduler.reduction: 1: input should be greater than or equal to 2\n"
            "FILE: search.losses.l1_lambda: low 3.0 is not below high 2.0; swap them"
        ),
    ),
    "several settings that cannot work": (
        (
            "fixed: {losses.l2: 1, seed: 3, discriminator.width: 2}\n"
            "search: {generator.backbone: {kind: choice, values: [vgg, resnet99]}}\n"
        ),
        (
            "FILE: fixed.losses.l2: there is no such setting of a trial; see the README\n"
            "FILE: fixed.seed: seeds come from --seed; remove it\n"
            "FILE: search.generator.backbone: 'vgg': input should be 'scratch' or "
            "'efficientnet_lite0'\n"
            "FILE: fixed.discriminator.width: 2: input should be greater than or equal to 4\n"
            "FILE: search.generator.backbone: 'resnet99': input should be 'scratch' or "
            "'efficientnet_lite0'"
        ),
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_broken_file_is_refused_with_what_to_do(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    assert problems(tmp_path, text) == message


def test_a_range_that_breaks_thousands_of_configurations_is_told_shortly(tmp_path: Path) -> None:
    text = "search: {budget.batch_size: {kind: int, low: 1, high: 4096}}\n"
    lines = problems(tmp_path, text).splitlines()
    assert len(lines) < 30
    assert lines[-1] == "FILE: search: there are more such problems; mend these first"


def test_a_name_that_is_no_file_and_no_space(tmp_path: Path) -> None:
    names = ", ".join(path.stem for path in FILES)
    with pytest.raises(ConfigError) as caught:
        find_space(str(tmp_path / "none.yaml"))
    assert str(caught.value) == (
        f"--space {tmp_path}/none.yaml: no such file, and no space of that name; shipped are: "
        f"{names}"
    )


# --- the law behind the refusals

INTERVALS = {"budget.batch_size", "generator.width", "pretraining.images", "data.size"}


@st.composite
def spaces(draw: st.DrawFn) -> str:
    """Files about whole numbers, of which many are impossible."""
    lines = [
        (
            f"fixed: {{budget.report_every: {draw(st.sampled_from([48, 64, 96]))}, "
            "budget.images: 192}"
        ),
        "search:",
    ]
    for path in draw(st.sets(st.sampled_from(sorted(INTERVALS)), min_size=1)):
        low = draw(st.sampled_from([16, 32, 48]))
        step = draw(st.sampled_from([1, 8, 16, 32]))
        high = low + step * draw(st.integers(1, 4))
        kind = draw(st.sampled_from(["int", "uniform"]))
        lines.append(
            f"  {path}: {{kind: {kind}, low: {low}, high: {high}"
            + (f", step: {step}}}" if kind == "int" else "}")
        )
    return "\n".join(lines)


@settings(max_examples=150, deadline=None)
@given(text=spaces(), data=st.data())
def test_a_file_is_refused_or_all_its_configurations_can_run(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject
) -> None:
    try:
        space = read(tmp_path_factory.mktemp("space"), text)
    except ConfigError:
        return
    space.config(drawn(space, data))


def test_every_known_path_is_a_setting() -> None:
    empty = Space(name="", study=load_default().study, fixed={}, search={}, baseline={})
    for path in known_paths():
        with pytest.raises(ValidationError):
            empty.config({path: "no such value"})


def load_default() -> Space:
    return load_space(find_space("quickstart"))


# --- --set


def test_fixing_a_searched_setting_takes_it_out_of_the_search(tmp_path: Path) -> None:
    space = read(tmp_path, CONDITIONAL, {"losses.l1_lambda": 77})
    assert "losses.l1_lambda" not in space.search
    assert space.config({}).losses.l1_lambda == 77


def test_fixing_a_setting_takes_out_what_then_never_exists(tmp_path: Path) -> None:
    space = read(tmp_path, CONDITIONAL, {"generator.backbone": "efficientnet_lite0"})
    assert list(space.search) == ["losses.l1_lambda"]


def test_fixing_a_setting_keeps_what_then_always_exists(tmp_path: Path) -> None:
    space = read(tmp_path, CONDITIONAL, {"generator.backbone": "scratch"})
    assert set(space.search) == {
        "losses.l1_lambda",
        "pretraining.images",
        "pretraining.learning_rate",
    }
    assert space.search["pretraining.images"].when == {}
    assert space.search["pretraining.learning_rate"].when == {"pretraining.images": [1024, 2048]}
    space = read(tmp_path, CONDITIONAL, {"generator.backbone": "scratch", "pretraining.images": 0})
    assert set(space.search) == {"losses.l1_lambda"}


def test_an_override_replaces_a_fixed_value(tmp_path: Path) -> None:
    space = read(tmp_path, "fixed: {generator.width: 32}\n", {"generator.width": 16})
    assert space.config({}).generator.width == 16


def test_an_override_may_change_the_study(tmp_path: Path) -> None:
    overrides: dict[str, Scalar] = {"study.trials": 4, "study.scheduler.kind": "none"}
    space = read(tmp_path, "study: {trials: 9, searcher: {startup_trials: 2}}\n", overrides)
    assert space.study.trials == 4
    assert space.study.scheduler.kind == "none"
    assert space.study.searcher.startup_trials == 2


@pytest.mark.parametrize("path", ["losses.l1_lambda", "generator.backbone", "pretraining.images"])
def test_an_override_takes_a_setting_out_of_the_baseline_too(path: str) -> None:
    before = load_default()
    value = before.baseline[path]
    space = load_space(find_space("quickstart"), {path: value})
    assert path not in space.search
    assert dict(space.baseline) == {p: v for p, v in before.baseline.items() if p != path}
    with_default = space.config(space.baseline)
    assert with_default == before.config(before.baseline)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"losses.l2": 3},
            "FILE: fixed.losses.l2: there is no such setting of a trial; see the README",
        ),
        (
            {"losses.l1_lambda": -1},
            "FILE: fixed.losses.l1_lambda: -1: input should be greater than or equal to 0",
        ),
        ({"study.tirals": 3}, "FILE: study.tirals: there is no such key; remove it"),
        (
            {"study.searcher": "random"},
            (
                "FILE: study.searcher: 'random': input should be a valid dictionary or instance of "
                "SearcherSettings"
            ),
        ),
    ],
)
def test_an_override_that_cannot_work_is_refused(
    tmp_path: Path, overrides: dict[str, Scalar], message: str
) -> None:
    assert problems(tmp_path, CONDITIONAL, overrides) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed: [1]\n", "FILE: fixed: [1]: input should be a valid dictionary"),
        ("search: [1]\n", "FILE: search: [1]: input should be a valid dictionary"),
        (
            "study: {searcher: tpe}\n",
            (
                "FILE: study.searcher: 'tpe': input should be a valid dictionary or instance of "
                "SearcherSettings"
            ),
        ),
        (
            "study: quick\n",
            "FILE: study: 'quick': input should be a valid dictionary or instance of StudySettings",
        ),
    ],
)
def test_overrides_of_a_file_of_the_wrong_shape(tmp_path: Path, text: str, message: str) -> None:
    overrides: dict[str, Scalar] = {"losses.l1_lambda": 3, "study.searcher.kind": "random"}
    assert problems(tmp_path, text, overrides) == message
