"""What suggestions learn from trials, finished or in flight: they are better than chance."""

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

import optuna
import pytest

from raycolor.spaces.space import Space
from raycolor.study.state import TrialState
from tests.unit.study.fakes import surface
from tests.unit.study.suggestions import ask, observed, trial

# --- what is learned


def test_a_random_suggestion_does_not_depend_on_results(random: Space) -> None:
    good, bad = (observed(random, 6, 0, score) for score in (surface, lambda chosen: 1.0))
    assert ask(random, good) == ask(random, bad)


def test_a_model_depends_on_results(tpe: Space) -> None:
    good, bad = (observed(tpe, 8, 0, score) for score in (surface, lambda chosen: -surface(chosen)))
    assert ask(tpe, good) != ask(tpe, bad)


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
