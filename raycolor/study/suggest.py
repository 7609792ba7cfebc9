"""Suggestions: the configuration of the next trial, as a pure function of the trials before it.

The only module that imports optuna. Each suggestion has a fresh sampler, seeded from (study seed,
trial number), over a study rebuilt from what the journal says: nothing else has an influence, so a
study that was killed goes on with the same suggestions. A random one looks at other trials only
where it might be the same; the cost of the others is linear in their number, some 30 ms with a
thousand.
"""

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, assert_never

import numpy as np

from raycolor.spaces.domains import (
    Choice,
    Domain,
    Int,
    LogUniform,
    Scalar,
    Uniform,
    combinations,
    exists,
    grid_values,
    point_values,
)
from raycolor.spaces.space import Space
from raycolor.study.state import TrialState

if TYPE_CHECKING:
    import optuna


DRAWS = 8
"""Draws of a sampler before one of the untried configurations is taken at random."""
MOST_LISTED = 100_000
"""Configurations that are listed for that; of more, or of real numbers, one is drawn at random."""
MOST_RANDOM_DRAWS = 1000


def derived_seed(*parts: int | str) -> int:
    """Derive an independent seed of 32 bits from some parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def suggest(
    space: Space,
    trials: Sequence[TrialState],
    *,
    objective: str,
    number: int,
    seed: int,
) -> dict[str, Scalar] | None:
    """Suggest the configuration of trial `number`.

    Args:
        space: the domains, the algorithm and the baseline, which is the first trial.
        trials: all trials before this one, open ones too.
        objective: the metric that ranks them, lower is better.
        number: the trial's.
        seed: the study's.

    Returns:
        A value for each searched path that exists, or None if a grid has no more.
    """
    search, searcher = space.search, space.study.searcher
    if number == 0 and space.baseline:
        return {path: space.baseline[path] for path in search if path in space.baseline}
    if searcher.kind == "grid":
        return next(islice(combinations(search), number, None), None)
    import optuna

    if optuna.logging.get_verbosity() != optuna.logging.WARNING:  # setting it takes a while
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: optuna.samplers.BaseSampler
    sampler_seed = derived_seed("suggest", seed, number)
    match searcher.kind:
        case "random":
            sampler = optuna.samplers.RandomSampler(seed=sampler_seed)
        case "tpe":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # Grouped, so that conditional settings are modelled together too; the liar
                # keeps trials that run at once from being the same.
                sampler = optuna.samplers.TPESampler(
                    n_startup_trials=searcher.startup_trials,
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    seed=sampler_seed,
                )
        case _:
            assert_never(searcher.kind)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    if searcher.kind != "random":  # which looks at none of them
        distributions = {path: distribution(domain) for path, domain in search.items()}
        study.add_trials([_told(trial, search, distributions, objective) for trial in trials])
    chosen = _asked(study, search)
    if searcher.repeats or any(grid_values(search[path]) is None for path in chosen):
        return chosen  # no real number is drawn twice
    tried = _tried(trials)
    for _ in range(DRAWS - 1):
        if _key(chosen) not in tried:
            return chosen
        # Each draw counts as one under way, which keeps the next one off.
        chosen = _asked(study, search)
    if _key(chosen) not in tried:
        return chosen
    return _untried(search, tried, sampler_seed) or chosen


def _asked(study: "optuna.Study", search: Mapping[str, Domain]) -> dict[str, Scalar]:
    """Ask a study for a configuration."""
    asked = study.ask()
    chosen: dict[str, Scalar] = {}
    for path, domain in search.items():
        if exists(domain, chosen):
            chosen[path] = _drawn(asked, path, domain)
    return chosen


def _key(chosen: Mapping[str, Scalar]) -> Hashable:
    return tuple(sorted(chosen.items()))


def _tried(trials: Sequence[TrialState]) -> set[Hashable]:
    """Return the configurations that need no other trial: one that fails has a second chance."""
    failed: Counter[Hashable] = Counter()
    tried: set[Hashable] = set()
    for trial in trials:
        key = _key(trial.chosen)
        if trial.status == "failed" and not trial.too_large:
            failed[key] += 1
        else:
            tried.add(key)
    return tried | {key for key, number in failed.items() if number > 1}


def _untried(
    search: Mapping[str, Domain], tried: Collection[Hashable], seed: int
) -> dict[str, Scalar] | None:
    """Draw a configuration that nobody has tried; None if there is none, or none was found."""
    listed = [grid_values(domain) for domain in search.values()]
    if all(values is not None for values in listed) and (
        math.prod(len(values) for values in listed if values is not None) <= MOST_LISTED
    ):
        left = [chosen for chosen in combinations(search) if _key(chosen) not in tried]
        return left[np.random.default_rng(seed).integers(len(left))] if left else None
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(MOST_RANDOM_DRAWS):
        chosen = _asked(study, search)
        if _key(chosen) not in tried:
            return chosen
    return None


def _told(
    trial: TrialState,
    search: Mapping[str, Domain],
    distributions: Mapping[str, "optuna.distributions.BaseDistribution"],
    objective: str,
) -> "optuna.trial.FrozenTrial":
    """Tell Optuna the truth about a trial.

    Pruned ones are pruned, with their values on the way. One that diverged is pruned with the worst
    value before any image, so that its like is avoided, and so is one for which a whole GPU had too
    little memory. One that the machine failed says nothing.
    """
    from optuna.trial import TrialState as Told

    from raycolor.study.told import ToldTrial

    values = {
        report.images_seen: report.metrics.get(objective, math.inf) for report in trial.reports
    }
    best = trial.best(objective)
    match trial.status:
        case "open":
            state = Told.RUNNING
        case "completed":
            state = Told.COMPLETE
        case "pruned":
            state = Told.PRUNED
            if not math.isfinite(list(values.values())[-1]):
                values = {0: math.inf}
        case "failed" if trial.too_large:
            state = Told.PRUNED
            values = {0: math.inf}
        case "failed":
            state = Told.FAIL
        case _:
            assert_never(trial.status)
    return ToldTrial(
        state=state,
        value=best if state == Told.COMPLETE else None,
        params={path: told_value(search[path], value) for path, value in trial.chosen.items()},
        distributions={path: distributions[path] for path in trial.chosen},
        intermediate_values=values,
    )


def _drawn(trial: "optuna.Trial", path: str, domain: Domain) -> Scalar:
    match domain:
        case Uniform() | LogUniform() if domain.points is not None:
            return point_values(domain)[trial.suggest_int(path, 0, domain.points - 1)]
        case Uniform():
            return trial.suggest_float(path, domain.low, domain.high)
        case LogUniform():
            return trial.suggest_float(path, domain.low, domain.high, log=True)
        case Int():
            return trial.suggest_int(path, domain.low, domain.high, step=domain.step)
        case Choice():
            return trial.suggest_categorical(path, domain.values)
        case _:
            assert_never(domain)


def told_value(domain: Domain, value: Scalar) -> Scalar:
    """Return a value as `distribution` has it: of points, the place among them."""
    if isinstance(domain, Uniform | LogUniform) and domain.points is not None:
        return point_values(domain).index(float(str(value)))
    return value


def distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    """Say in Optuna's terms which values a domain has."""
    from optuna import distributions

    match domain:
        case Uniform() | LogUniform() if domain.points is not None:
            # Of their order, so that neighbours tell of each other.
            return distributions.IntDistribution(0, domain.points - 1)
        case Uniform():
            return distributions.FloatDistribution(domain.low, domain.high)
        case LogUniform():
            return distributions.FloatDistribution(domain.low, domain.high, log=True)
        case Int():
            return distributions.IntDistribution(domain.low, domain.high, step=domain.step)
        case Choice():
            return distributions.CategoricalDistribution(tuple(domain.values))
        case _:
            assert_never(domain)
