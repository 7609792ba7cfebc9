"""Search-space files: what is read, and what is refused with which words."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from raycolor.config import TrialConfig, nested
from raycolor.errors import ConfigError
from raycolor.spaces.domains import (
    Choice,
    Domain,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    combinations,
    contains,
    exists,
    grid_values,
)
from raycolor.spaces.file import AT_TOP_LEVEL, find_space, load_space
from raycolor.spaces.keys import trial_keys
from raycolor.spaces.space import Space

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


# --- files that work


def test_a_space_ships() -> None:
    assert "quickstart" in [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_space_loads_by_its_name(path: Path) -> None:
    found = find_space(path.stem)
    assert found == path
    space = load_space(found)
    assert space.name == path.stem
    assert space.rungs() or space.study.scheduler.kind == "none"


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
    assert space.study.trials is None


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
        (Int(kind="int", low=1, high=10**15), [1, 7.0, 10**15], [True, "1", None, 1.5, 10**16]),
        (LogUniform(kind="loguniform", low=1e-3, high=1), [1e-3, 1], [0, math.nan]),
        (Int(kind="int", low=2, high=8, step=3), [2, 5, 8], [3, 1, 11, 2.5]),
        (Choice(kind="choice", values=["a", None, 3]), ["a", None, 3], ["b", 4]),
    ],
)
def test_what_a_domain_contains(domain: Any, inside: list[Scalar], outside: list[Scalar]) -> None:
    assert all(contains(domain, value) for value in inside)
    assert not any(contains(domain, value) for value in outside)


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


STRUCTURE: dict[str, list[Scalar]] = {
    "data.size": [16, 32, 48, 64],
    "generator.backbone": ["scratch", "efficientnet_lite0"],
    "generator.depth": [None, 2, 4, 5],
    "discriminator.downs": [1, 2, 3],
    "budget.batch_size": [1, 3, 16],
    "pretraining.images": [0, 48, 96, 144],
    "budget.report_every": [48],
}


@st.composite
def structures(draw: st.DrawFn) -> tuple[str, dict[str, Domain]]:
    """A file about the settings that clash, most of them searched, and its domains."""
    fixed: dict[str, Scalar] = {
        "budget.images": 96,
        "budget.report_every": 48,
        "budget.batch_size": 16,
    }
    search: dict[str, Choice] = {}
    for path, values in STRUCTURE.items():
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, unique=True), label=path)
        if path == "budget.report_every" or draw(st.integers(0, 3)) == 0:
            fixed[path] = chosen[0]
            continue
        when: dict[str, list[Scalar]] = {}
        if search and draw(st.integers(0, 3)) == 0:
            other = draw(st.sampled_from(sorted(search)))
            when = {other: [draw(st.sampled_from(search[other].values))]}
        search[path] = Choice(kind="choice", values=chosen, when=when)
    tree = {
        "fixed": {path: value for path, value in fixed.items() if path not in search},
        "search": {path: domain.model_dump() for path, domain in search.items()},
    }
    return json.dumps(tree), dict(search)


def can_run(values: dict[str, Scalar]) -> bool:
    try:
        TrialConfig.model_validate(nested(values))
    except ValidationError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(case=structures())
def test_a_file_is_refused_if_and_only_if_some_combination_cannot_run(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, dict[str, Domain]]
) -> None:
    text, search = case
    fixed = json.loads(text)["fixed"]
    runs = all(can_run({**fixed, **chosen}) for chosen in combinations(search))
    try:
        read(tmp_path_factory.mktemp("space"), text)
    except ConfigError as error:
        never = "exclude each other" in str(error)
        assert never or not runs
    else:
        assert runs


def test_every_known_path_is_a_setting() -> None:
    empty = Space(name="", study=load_default().study, fixed={}, search={}, baseline={})
    for path in trial_keys():
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
