"""Suggestions: the same from the same journal, within the space, and in their order."""

from pathlib import Path

import numpy as np
import pytest

from raycolor.spaces.domains import Scalar, combinations, contains, exists
from raycolor.spaces.space import Space
from raycolor.study.state import TrialState
from raycolor.study.suggest import _untried, derived_seed
from tests.unit.study.fakes import SPACE, surface
from tests.unit.study.suggestions import Chosen, ask, observed, space, trial

# --- pure functions of the journal


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_the_same_trials_give_the_same_suggestion(
    kind: str, request: pytest.FixtureRequest
) -> None:
    space: Space = request.getfixturevalue(kind)
    trials = observed(space, 6, seed=0)
    first = ask(space, trials)
    # Neither what was asked before nor the global generator has an influence.
    ask(space, trials[:4])
    np.random.seed(7)  # noqa: NPY002  (the one that has no influence)
    assert ask(space, trials) == first
    assert ask(space, trials, seed=1) != first
    assert ask(space, trials, number=7) != first


def test_seeds_are_derived_apart() -> None:
    seeds = {
        derived_seed(*parts)
        for parts in [("trial", 0, 1), ("trial", 1, 0), ("trial", 0, 10), ("suggest", 0, 1)]
    }
    assert len(seeds) == 4
    assert all(0 <= seed < 2**32 for seed in seeds)
    # Recorded: a journal of today has to be replayed tomorrow.
    assert derived_seed("trial", 0, 1) == 204847383


# --- within the space


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_every_suggestion_lies_in_its_domain_and_exists(
    kind: str, request: pytest.FixtureRequest
) -> None:
    space: Space = request.getfixturevalue(kind)
    trials: list[TrialState] = []
    seen: set[Scalar] = set()
    for _ in range(25):
        chosen = ask(space, trials)
        assert chosen is not None
        assert list(chosen) == [path for path, d in space.search.items() if exists(d, chosen)]
        assert all(contains(space.search[path], value) for path, value in chosen.items())
        space.config(chosen)
        seen.add(chosen["pretraining.images"])
        trials.append(trial(len(trials), chosen, [surface(chosen)]))
    assert seen == {0, 48, 96}, "settings with and without their dependent one were tried"


def test_integers_keep_to_their_steps(tmp_path: Path) -> None:
    text = "search: {generator.width: {kind: int, low: 16, high: 64, step: 16}}\n"
    widths = space(tmp_path, text)
    trials: list[TrialState] = []
    for _ in range(14):
        chosen = ask(widths, trials)
        assert chosen is not None
        assert chosen["generator.width"] in (16, 32, 48, 64)
        assert isinstance(chosen["generator.width"], int)
        trials.append(trial(len(trials), chosen, [float(len(trials))]))


def test_every_kind_of_choice_comes_back_as_itself(tmp_path: Path) -> None:
    text = """
search:
  generator.ema_decay: {kind: choice, values: [null, 0.99, 0.9]}
  data.flip: {kind: choice, values: [true, false]}
"""
    choices = space(tmp_path, text)
    trials: list[TrialState] = []
    seen = set()
    for _ in range(20):
        chosen = ask(choices, trials)
        assert chosen is not None
        seen.add(repr(chosen))
        trials.append(trial(len(trials), chosen, [float(len(trials))]))
    assert len(seen) == 6


# --- the other orders

GRID = """
study: {trials: 100, searcher: {kind: grid}}
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  pretraining.images: {kind: choice, values: [0, 1024], when: {generator.backbone: [scratch]}}
  generator.width: {kind: int, low: 16, high: 48, step: 16}
"""


def test_a_grid_comes_in_its_order_and_ends(tmp_path: Path) -> None:
    grid = space(tmp_path, GRID)
    every = list(combinations(grid.search))
    assert len(every) == 9
    trials: list[TrialState] = []
    while (chosen := ask(grid, trials, seed=len(trials))) is not None:
        trials.append(trial(len(trials), chosen, [1.0]))
    assert [t.chosen for t in trials] == every
    assert ask(grid, [], number=4) == every[4]


def test_the_baseline_is_the_first_trial_only(tmp_path: Path) -> None:
    baseline: Chosen = {
        "losses.l1_lambda": 100,
        "optimizers.discriminator.learning_rate": 1e-4,
        "generator.backbone": "scratch",
        "pretraining.images": 0,
    }
    lines = "".join(f"  {path}: {value}\n" for path, value in baseline.items())
    with_baseline = space(tmp_path, f"{SPACE}baseline:\n{lines}")
    chosen = ask(with_baseline, [])
    assert chosen == baseline
    second = ask(with_baseline, [trial(0, baseline, [50.0])])
    assert second is not None
    assert second != baseline
    for seed in range(3):
        assert ask(with_baseline, [], seed=seed) == baseline


FEW = """
study: {{searcher: {{kind: {kind}, startup_trials: 4{repeats}}}}}
search:
  losses.l1_lambda: {{kind: choice, values: [30, 100]}}
  generator.backbone: {{kind: choice, values: [efficientnet_lite0, scratch]}}
  pretraining.images: {{kind: choice, values: [0, 2048]}}
  pretraining.learning_rate:
    {{kind: loguniform, low: 1e-4, high: 1e-2, points: 2, when: {{pretraining.images: [2048]}}}}
"""
"""Twelve configurations."""


def searched(space: Space, number: int) -> list[Chosen]:
    """What one trial after another is told to try, the third of them failed by its machine."""
    trials: list[TrialState] = []
    for i in range(number):
        chosen = ask(space, trials)
        assert chosen is not None
        trials.append(trial(i, chosen, [50.0 + i % 3]))
        if i == 2:
            trials[-1].status = "failed"
    return [one.chosen for one in trials]


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_nothing_is_tried_twice_while_anything_is_untried(tmp_path: Path, kind: str) -> None:
    few = space(tmp_path, FEW.format(kind=kind, repeats=""))
    tried = searched(few, 14)
    assert searched(few, 14) == tried
    ended = [chosen for i, chosen in enumerate(tried) if i != 2]
    distinct = {tuple(chosen.items()) for chosen in ended[:12]}
    assert len(distinct) == 12 == len(list(combinations(few.search)))
    # What its machine failed is untried, and after all of them the search goes on all the same.
    assert tuple(tried[2].items()) in distinct
    assert ask(few, []) != ask(few, [], seed=1) or ask(few, []) != ask(few, [], seed=2)


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_repeats_are_allowed_where_they_are_wished(tmp_path: Path, kind: str) -> None:
    few = space(tmp_path, FEW.format(kind=kind, repeats=", repeats: true"))
    assert len({tuple(chosen.items()) for chosen in searched(few, 12)}) < 12


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_branch_without_real_numbers_is_left_when_it_is_tried(tmp_path: Path, kind: str) -> None:
    text = f"""
study: {{searcher: {{kind: {kind}, startup_trials: 4}}}}
search:
  losses.kind: {{kind: choice, values: [l1, l1_gan]}}
  losses.l1_lambda: {{kind: loguniform, low: 10, high: 300, when: {{losses.kind: [l1_gan]}}}}
"""
    mixed = space(tmp_path, text)
    trials: list[TrialState] = []
    for number in range(24):
        chosen = ask(mixed, trials)
        assert chosen is not None
        # The branch that has one configuration only looks best to a model.
        trials.append(trial(number, chosen, [10.0 if chosen["losses.kind"] == "l1" else 50.0]))
    assert sum(one.chosen == {"losses.kind": "l1"} for one in trials) == 1


def test_one_that_fails_again_is_not_tried_a_third_time(tmp_path: Path) -> None:
    few = space(tmp_path, FEW.format(kind="random", repeats=""))
    trials: list[TrialState] = []
    for number in range(18):
        chosen = ask(few, trials)
        assert chosen is not None
        trials.append(trial(number, chosen, [50.0]))
        if chosen["losses.l1_lambda"] == 30:
            trials[-1].status = "failed"
    keys = [tuple(one.chosen.items()) for one in trials if one.status == "failed"]
    assert len(keys) == 12
    assert all(keys.count(key) == 2 for key in keys)


def test_a_space_too_large_to_list_is_drawn_from(tmp_path: Path) -> None:
    text = """
search:
  losses.l1_lambda: {kind: int, low: 1, high: 10000}
  discriminator.width: {kind: int, low: 4, high: 256}
"""
    large = space(tmp_path, text)
    assert contains(
        large.search["losses.l1_lambda"],
        (_untried(large.search, set(), 0) or {})["losses.l1_lambda"],
    )
    assert len({tuple(chosen.items()) for chosen in searched(large, 12)}) == 12
