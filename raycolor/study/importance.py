"""Which settings mattered, how much, in which direction, and how sure that is.

Three looks at each setting, all of trials at one image count, since scores of different training
lengths say nothing about settings:

- its share of importance by conditional PED-ANOVA (Watanabe et al. 2023, "PED-ANOVA: Efficiently
  Quantifying Hyperparameter Importance in Arbitrary Subspaces") as Optuna computes it: how
  differently the better trials are spread over its values than all trials are;
- the probability of so strong a dependence of the scores on it if it did not matter, from dealing
  the scores to the trials at random (`dependence`);
- the median scores of its values, or of the lower and upper half of its range.

A setting that exists only beside some choices is judged among the trials that have it. Suggested
trials crowd where scores are good: what is said holds for the trials that were run, not for the
whole space.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raycolor.spaces.domains import Choice, Domain, Scalar
from raycolor.study.naming import value_text
from raycolor.study.suggest import derived_seed, distribution, told_value

LEAST_TRIALS = 8
"""With fewer trials nothing can be said."""
DRAWS = 100
"""Draws of four fifths of the trials, for the interval of the share."""
DEALS = 2000
"""Random deals of the scores, for the probability of chance."""
MOST_DEALT = 200
"""Trials that are dealt, drawn from all; the work grows with their square."""
SURE, LIKELY = 0.01, 0.1
"""Probabilities of chance up to which a setting `mattered`, and `may have mattered`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much one setting mattered."""

    path: str
    share: float
    """Of all importance, 0 to 1; the shares of a study's settings add up to 1."""
    low: float
    high: float
    """Between these the share lies in 90 % of draws of four fifths of the trials."""
    chance: float
    """Probability of so strong a dependence if the setting did not matter, in (0, 1]."""
    medians: tuple[tuple[str, float], ...]
    """Values, or halves of the range, that some trial has, with the median score there."""
    num_trials: int
    """Trials that have the setting."""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.chance <= SURE:
            return "mattered"
        return "may have mattered" if self.chance <= LIKELY else "not told apart from chance"


def importances(
    search: Mapping[str, Domain],
    chosen: Sequence[Mapping[str, Scalar]],
    scores: Sequence[float],
    *,
    seed: int = 0,
) -> list[Importance]:
    """Judge every searched setting.

    Args:
        search: the domains.
        chosen: each trial's values of the settings that exist in it.
        scores: each trial's score at one image count, finite, lower is better.
        seed: of the draws.

    Returns:
        The surest first; empty with fewer than `LEAST_TRIALS` trials, or where all scores are the
        same.
    """
    number = len(scores)
    if number < LEAST_TRIALS or len(set(scores)) == 1:
        return []
    values = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng(derived_seed("importance", seed))
    shares = _shares(search, chosen, values)
    draws = []
    for _ in range(max(10, min(DRAWS, DRAWS * 300 // number))):
        # Without replacement: the same trial twice would look like two that agree.
        kept = rng.permutation(number)[: max(2, number * 4 // 5)]
        draws.append(_shares(search, [chosen[i] for i in kept], values[kept]))
    result = []
    for path, share in shares.items():
        low, high = np.percentile([draw.get(path, 0.0) for draw in draws], (5, 95))
        having = [index for index, trial in enumerate(chosen) if path in trial]
        setting = [chosen[index][path] for index in having]
        result.append(
            Importance(
                path=path,
                share=share,
                low=float(low),
                high=float(high),
                chance=dependence(search[path], setting, values[having], rng),
                medians=_medians(search[path], setting, values[having]),
                num_trials=len(having),
            )
        )
    return sorted(result, key=lambda item: (item.chance, -item.share))


def dependence(
    domain: Domain, setting: Sequence[Scalar], scores: np.ndarray, rng: np.random.Generator
) -> float:
    """Test whether scores depend on a setting in any way, a monotone one or another.

    The statistic is the squared distance covariance (Székely, Rizzo and Bakirov 2007, "Measuring
    and testing dependence by correlation of distances", definition 4) of ranks; of choices, any
    two different values have distance 1.

    Args:
        domain: of the setting.
        setting: its value in each trial.
        scores: of the same trials, finite.
        rng: deals the scores.

    Returns:
        Share of random deals with a statistic at least as large, the real one counted among them:
        in (0, 1], and 1 where the setting has one value or fewer than four trials have it.
    """
    if len(setting) > MOST_DEALT:
        kept = rng.permutation(len(setting))[:MOST_DEALT]
        setting, scores = [setting[i] for i in kept], scores[kept]
    number = len(setting)
    if number < 4 or len(set(setting)) == 1:
        return 1.0
    if isinstance(domain, Choice):
        places = np.array([domain.values.index(value) for value in setting])
        distances = (places[:, None] != places[None]).astype(np.float64)
    else:
        distances = _distances(_ranks(np.array(setting, dtype=np.float64)))
    of_setting, of_scores = _centred(distances), _centred(_distances(_ranks(scores)))
    found = float((of_setting * of_scores).mean())
    as_large = 1
    for _ in range(DEALS - 1):
        dealt = rng.permutation(number)
        value = float((of_setting * of_scores[np.ix_(dealt, dealt)]).mean())
        as_large += value >= found - 1e-12
    return as_large / DEALS


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _distances(values: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.abs(values[:, None] - values[None])
    return distances


def _centred(distances: np.ndarray) -> np.ndarray:
    """Take the means of rows and columns out."""
    rows = distances.mean(axis=0)
    centred: np.ndarray = distances - rows[None] - rows[:, None] + distances.mean()
    return centred


def _medians(
    domain: Domain, setting: Sequence[Scalar], scores: np.ndarray
) -> tuple[tuple[str, float], ...]:
    if isinstance(domain, Choice):
        groups = [
            (value_text(value), scores[[other == value for other in setting]])
            for value in domain.values
        ]
    else:
        numbers = np.array(setting, dtype=np.float64)
        middle = float(np.median(numbers))
        lower = numbers <= middle
        groups = [(f"up to {middle:.3g}", scores[lower]), ("above", scores[~lower])]
    return tuple((name, float(np.median(group))) for name, group in groups if len(group))


def _shares(
    search: Mapping[str, Domain], chosen: Sequence[Mapping[str, Scalar]], scores: np.ndarray
) -> dict[str, float]:
    """Return each setting's share of importance, of those that some trial has."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {path: distribution(domain) for path, domain in search.items()}
    # At least five trials count as good (the evaluator's own advice), and at most a half.
    quantile = min(0.5, max(0.1, 5 / len(scores)))
    with warnings.catch_warnings():
        # Few trials in one of its regimes: interval and chance say what that means.
        warnings.simplefilter("ignore")
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.create_trial(
                    params={
                        path: told_value(search[path], value) for path, value in values.items()
                    },
                    distributions={path: distributions[path] for path in values},
                    value=float(score),
                )
                for values, score in zip(chosen, scores, strict=True)
            ]
        )
        return optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        )
