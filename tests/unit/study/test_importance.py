"""What mattered is found, and what did not is not made up."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from raycolor.spaces.domains import Domain, Scalar
from raycolor.study.importance import LEAST_TRIALS, Importance, dependence, importances

SEARCH: dict[str, Domain] = TypeAdapter(dict[str, Domain]).validate_python(
    {
        "rate": {"kind": "loguniform", "low": 1e-4, "high": 1e-2},
        "weight": {"kind": "uniform", "low": 0, "high": 1},
        "backbone": {"kind": "choice", "values": ["a", "b", "c"]},
        "length": {"kind": "int", "low": 0, "high": 64, "step": 16},
        "extra": {"kind": "uniform", "low": 0, "high": 1, "when": {"backbone": ["b"]}},
    }
)


def drawn(number: int, *, seed: int = 0) -> list[dict[str, Scalar]]:
    rng = np.random.default_rng(seed)
    trials: list[dict[str, Scalar]] = []
    for _ in range(number):
        chosen: dict[str, Scalar] = {
            "rate": float(10 ** rng.uniform(-4, -2)),
            "weight": float(rng.uniform()),
            "backbone": str(rng.choice(["a", "b", "c"])),
            "length": int(rng.integers(5) * 16),
        }
        if chosen["backbone"] == "b":
            chosen["extra"] = float(rng.uniform())
        trials.append(chosen)
    return trials


def judged(trials: list[dict[str, Scalar]], scores: list[float]) -> dict[str, Importance]:
    return {item.path: item for item in importances(SEARCH, trials, scores)}


def noise(number: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=number)


def test_a_monotone_influence_is_found() -> None:
    trials = drawn(40)
    rates = np.array([trial["rate"] for trial in trials], dtype=float)
    found = judged(trials, list(10 * np.log10(rates) + noise(40)))
    assert found["rate"].verdict == "mattered"
    assert next(iter(found)) == "rate"
    assert max(found.values(), key=lambda item: item.share).path == "rate"
    # Lower rates have lower scores.
    (_, low), (_, high) = found["rate"].medians
    assert low < high


def test_an_influence_with_its_best_in_the_middle_is_found() -> None:
    trials = drawn(40)
    weights = np.array([trial["weight"] for trial in trials], dtype=float)
    found = judged(trials, list(40 * np.abs(weights - 0.5) + noise(40)))
    assert found["weight"].verdict == "mattered"


def test_a_choice_that_mattered_has_its_medians() -> None:
    trials = drawn(30)
    base = {"a": 0.0, "b": 10.0, "c": 20.0}
    scores = [base[str(trial["backbone"])] + n for trial, n in zip(trials, noise(30), strict=True)]
    found = judged(trials, scores)["backbone"]
    assert found.verdict == "mattered"
    medians = dict(found.medians)
    assert medians["a"] < medians["b"] < medians["c"]


def test_a_conditional_setting_is_judged_among_the_trials_that_have_it() -> None:
    trials = drawn(60)
    # `extra` turns the scores of backbone b around, whose mean is that of the others.
    scores = [
        20 * (float(str(trial["extra"])) - 0.5) if "extra" in trial else 3 * n
        for trial, n in zip(trials, noise(60), strict=True)
    ]
    found = judged(trials, scores)["extra"]
    assert found.num_trials == sum("extra" in trial for trial in trials) < 60
    assert found.verdict == "mattered"


def test_chance_is_told_as_chance() -> None:
    # Over many studies of noise, a probability below 0.1 comes in about a tenth of the cases.
    chances = [
        item.chance
        for seed in range(12)
        for item in importances(SEARCH, drawn(20, seed=seed), list(noise(20, seed)))
    ]
    assert len(chances) == 60
    assert np.mean(np.array(chances) <= 0.1) < 0.25
    assert np.median(chances) > 0.25


def test_the_shares_are_shares() -> None:
    items = importances(SEARCH, drawn(30), list(noise(30)))
    assert sum(item.share for item in items) == pytest.approx(1.0)
    for item in items:
        assert 0 <= item.low <= item.high <= 1
        assert 0 < item.chance <= 1


def test_the_same_trials_give_the_same_answer() -> None:
    trials, scores = drawn(20), list(noise(20))
    assert importances(SEARCH, trials, scores) == importances(SEARCH, trials, scores)


def test_a_monotone_change_of_the_score_changes_no_chance() -> None:
    trials, scores = drawn(20), noise(20)
    before = judged(trials, list(scores))
    after = judged(trials, list(np.exp(scores)))
    assert {p: i.chance for p, i in before.items()} == {p: i.chance for p, i in after.items()}


@pytest.mark.parametrize("number", [0, 1, LEAST_TRIALS - 1])
def test_too_few_trials_say_nothing(number: int) -> None:
    assert importances(SEARCH, drawn(number), list(noise(number))) == []


def test_equal_scores_say_nothing() -> None:
    assert importances(SEARCH, drawn(20), [1.0] * 20) == []


def test_the_smallest_probability_is_that_of_the_deals() -> None:
    # Three of ten trials apart from the others: of 120 possible deals two are so extreme, with
    # those three best, and with those three worst.
    kind = {"kind": "choice", "values": ["a", "b"]}
    domain: Domain = TypeAdapter(Domain).validate_python(kind)
    setting: list[Scalar] = [*("a" * 7), *("b" * 3)]
    chance = dependence(domain, setting, np.arange(10.0), np.random.default_rng(0))
    assert chance == pytest.approx(2 / 120, abs=0.01)


def test_one_value_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    assert dependence(SEARCH["weight"], [0.5] * 9, np.arange(9.0), rng) == 1.0
    assert dependence(SEARCH["weight"], [0.1, 0.2, 0.3], np.arange(3.0), rng) == 1.0


def test_a_large_study_takes_seconds() -> None:
    items = importances(SEARCH, drawn(2000), list(noise(2000)))
    assert len(items) == len(SEARCH)
