"""Suggestions: the same from the same journal, within the space, and better than chance."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import optuna
import pytest

from raycolor.spaces.domains import Scalar, combinations, contains, exists
from raycolor.spaces.file import load_space
from raycolor.spaces.space import Space
from raycolor.study.records import Action, Decision, Reported
from raycolor.study.state import TrialState
from raycolor.study.suggest import _untried, derived_seed, suggest
from tests.unit.study.fakes import BUDGET, OBJECTIVE, SPACE, metrics, surface

Chosen = dict[str, Scalar]


def space(folder: Path, text: str = SPACE) -> Space:
    path = folder / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path)


@pytest.fixture
def tpe(tmp_path: Path) -> Space:
    return space(tmp_path)


@pytest.fixture
def random(tmp_path: Path) -> Space:
    return space(tmp_path, SPACE.replace("{kind: tpe, startup_trials: 3}", "{kind: random}"))


def ask(
    space: Space, trials: Sequence[TrialState], number: int | None = None, seed: int = 0
) -> Chosen | None:
    return suggest(
        space,
        trials,
        objective=OBJECTIVE,
        number=len(trials) if number is None else number,
        seed=seed,
    )


def trial(
    number: int,
    chosen: Chosen,
    values: Sequence[float | None] = (),
    action: Action = "end",
    *,
    every: int | None = None,
) -> TrialState:
    """A trial with some reports, after the last of which it was decided upon."""
    status = {"go_on": "open", "prune": "pruned", "end": "completed"}[action]
    every = every or BUDGET // max(1, len(values))
    return TrialState(
        number=number,
        seed=0,
        chosen=chosen,
        status=status if values else "open",  # type: ignore[arg-type]  # one of the statuses
        reports=[
            Reported(
                time=0.0,
                number=number,
                images_seen=index * every,
                stage="adversarial",
                metrics=metrics(value, index * every),
                decision=Decision(action=action, reason=""),
            )
            for index, value in enumerate(values, start=1)
        ],
    )


def observed(
    space: Space, number: int, seed: int, score: Callable[[Chosen], float] = surface
) -> list[TrialState]:
    """Trials that random search suggested, all trained to their end."""
    random_search = space.study.searcher.model_copy(update={"kind": "random"})
    chance = Space(
        name=space.name,
        study=space.study.model_copy(update={"searcher": random_search}),
        fixed=space.fixed,
        search=space.search,
        baseline={},
    )
    trials: list[TrialState] = []
    for _ in range(number):
        chosen = ask(chance, trials, seed=1000 + seed)
        assert chosen is not None
        trials.append(trial(len(trials), chosen, [score(chosen)]))
    return trials


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


def test_a_random_suggestion_does_not_depend_on_results(random: Space) -> None:
    good, bad = (observed(random, 6, 0, score) for score in (surface, lambda chosen: 1.0))
    assert ask(random, good) == ask(random, bad)


def test_a_model_depends_on_results(tpe: Space) -> None:
    good, bad = (observed(tpe, 8, 0, score) for score in (surface, lambda chosen: -surface(chosen)))
    assert ask(tpe, good) != ask(tpe, bad)


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


# --- what is learned


def test_a_model_beats_chance(tpe: Space, random: Space) -> None:
    """After 30 trials its suggestions are better than random ones."""
    learned: list[float] = []
    chance: list[float] = []
    for seed in range(4):
        trials = observed(tpe, 30, seed)
        for space, scores in ((tpe, learned), (random, chance)):
            for number in range(30, 36):
                chosen = ask(space, trials, number=number, seed=seed)
                assert chosen is not None
                scores.append(surface(chosen))
    assert mean(learned) < mean(chance) - 5


def test_the_model_is_joint_for_conditional_settings_too(
    tpe: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No setting falls out of the multivariate model, as conditional ones do without groups."""
    alone: list[str] = []

    class Watched(optuna.samplers.TPESampler):
        def sample_independent(self, *args: Any, **kwargs: Any) -> Any:
            alone.append(args[2])
            return super().sample_independent(*args, **kwargs)

    trials = observed(tpe, 20, seed=0)
    monkeypatch.setattr(optuna.samplers, "TPESampler", Watched)
    chosen = [ask(tpe, trials, number=number) for number in range(20, 30)]
    assert any(one is not None and "pretraining.learning_rate" in one for one in chosen)
    assert alone == []


def test_random_trials_come_first(tpe: Space, random: Space) -> None:
    for number in range(tpe.study.searcher.startup_trials):
        trials = observed(tpe, number, seed=0)
        assert ask(tpe, trials) == ask(random, trials)


def test_the_like_of_diverged_trials_is_avoided(tpe: Space) -> None:
    """Half of the space diverges at once; its trials have no value that could be compared."""
    trials = observed(tpe, 24, seed=0)
    sick = [t for t in trials if t.chosen["generator.backbone"] == "efficientnet_lite0"]
    assert 6 < len(sick) < 18
    told = [
        trial(t.number, t.chosen, [math.nan], "prune")
        if t in sick
        else trial(t.number, t.chosen, [50.0])
        for t in trials
    ]
    suggested = [ask(tpe, told, number=24 + n) for n in range(8)]
    backbones = [chosen["generator.backbone"] for chosen in suggested if chosen]
    assert backbones.count("scratch") >= 7


def test_pruned_trials_are_worse_the_earlier_they_were_pruned(tpe: Space) -> None:
    """Those that came further are what the model follows, whatever their values."""
    trials = observed(tpe, 24, seed=0)
    told = [
        trial(t.number, t.chosen, [70.0] * 3, "prune", every=16)
        if t.chosen["generator.backbone"] == "scratch"
        else trial(t.number, t.chosen, [30.0], "prune", every=16)
        for t in trials
    ]
    suggested = [ask(tpe, told, number=24 + n) for n in range(8)]
    backbones = [chosen["generator.backbone"] for chosen in suggested if chosen]
    assert backbones.count("scratch") >= 7


def told_to_optuna(
    monkeypatch: pytest.MonkeyPatch, space: Space, trials: Sequence[TrialState]
) -> list[optuna.trial.FrozenTrial]:
    """What Optuna hears about some trials."""
    heard: list[optuna.trial.FrozenTrial] = []
    add = optuna.Study.add_trials

    def listen(study: optuna.Study, told: list[optuna.trial.FrozenTrial]) -> None:
        heard.extend(told)
        add(study, told)

    monkeypatch.setattr(optuna.Study, "add_trials", listen)
    ask(space, trials)
    return heard


def test_optuna_is_told_the_truth(tpe: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = observed(tpe, 1, seed=0)[0].chosen
    failed = trial(4, chosen, [60.0], "go_on")
    failed.status = "failed"
    heard = told_to_optuna(
        monkeypatch,
        tpe,
        [
            trial(0, chosen, [60.0, 50.0, 55.0], "end"),
            trial(1, chosen, [60.0, 58.0], "prune"),
            trial(2, chosen, [60.0, math.nan], "prune"),
            trial(3, chosen, [60.0, None], "prune"),
            failed,
            trial(5, chosen, [60.0], "go_on"),
            trial(6, chosen),
        ],
    )
    states = optuna.trial.TrialState
    assert [t.state for t in heard] == [
        states.COMPLETE,
        *[states.PRUNED] * 3,
        states.FAIL,
        *[states.RUNNING] * 2,
    ]
    assert all(t.params == chosen for t in heard)
    complete, pruned, diverged, missing, _, running, begun = heard
    assert complete.value == 50.0
    assert complete.intermediate_values == {48: 60.0, 96: 50.0, 144: 55.0}
    assert pruned.intermediate_values == {72: 60.0, 144: 58.0}
    # The worst value before any image: nothing that was pruned later is worse.
    assert diverged.intermediate_values == missing.intermediate_values == {0: math.inf}
    assert running.intermediate_values == {144: 60.0}
    assert begun.intermediate_values == {}


# --- trials in flight


@pytest.mark.parametrize("kind", ["tpe", "random"])
@pytest.mark.parametrize("ended", [0, 2, 8])
def test_trials_in_flight_are_no_obstacle(
    kind: str, ended: int, request: pytest.FixtureRequest
) -> None:
    space: Space = request.getfixturevalue(kind)
    trials = observed(space, ended, seed=0)
    for values in ([], [], [70.0], [70.0, 65.0], []):
        chosen = ask(space, trials)
        assert chosen is not None
        space.config(chosen)
        trials.append(trial(len(trials), chosen, values, "go_on"))


def test_a_model_knows_of_trials_in_flight(tpe: Space) -> None:
    """Or those that run at once would crowd where the best one was."""
    ended = observed(tpe, 20, seed=0)
    running = [
        trial(20 + n, chosen) for n in range(4) if (chosen := ask(tpe, ended, number=20 + n))
    ]
    alone, beside = (ask(tpe, trials, number=24) for trials in (ended, [*ended, *running]))
    assert alone != beside


def test_trials_asked_at_once_differ(tpe: Space) -> None:
    trials = observed(tpe, 12, seed=0)
    for _ in range(6):
        chosen = ask(tpe, trials)
        assert chosen is not None
        trials.append(trial(len(trials), chosen))
    asked = [repr(t.chosen) for t in trials[12:]]
    assert len(set(asked)) == len(asked)


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
