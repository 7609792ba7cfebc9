"""Suggestions that tests ask for, and the trials that they follow from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from raycolor.spaces.domains import Scalar
from raycolor.spaces.file import load_space
from raycolor.spaces.space import Space
from raycolor.study.records import Action, Decision, Reported
from raycolor.study.state import TrialState
from raycolor.study.suggest import suggest
from tests.unit.study.fakes import BUDGET, OBJECTIVE, SPACE, metrics, surface

Chosen = dict[str, Scalar]


def space(folder: Path, text: str = SPACE) -> Space:
    path = folder / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path)


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
