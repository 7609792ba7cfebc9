"""Suggestions from points keep their order, and everything that reads trials takes them."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.spaces.domains import Domain, LogUniform, point_values
from raycolor.study.answer import describe_domain
from raycolor.study.importance import importances
from raycolor.study.journal import read_journal
from raycolor.study.optuna_export import address, write_optuna
from raycolor.study.rules import replay
from raycolor.study.state import fold
from raycolor.study.suggest import distribution, told_value
from tests.unit.study.fakes import SPACE, Workers, make, run

RATE = "optimizers.discriminator.learning_rate"
BEFORE = [
    0.0003644306129216392,
    3.958125554011806e-05,
    0.0002491483883368266,
    0.0002007551429692489,
    1.1017253282883455e-05,
]
"""Rates that the fakes' space suggested before there were points."""
POINTED = SPACE.replace("low: 1e-5, high: 1e-3}", "low: 1e-5, high: 1e-3, points: 5}").replace(
    "low: 1e-4, high: 1e-2, when", "low: 1e-4, high: 1e-2, points: 3, when"
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = make(tmp_path_factory.mktemp("study"), POINTED, trials=20)
    run(plan, Workers())
    return plan


def pointed(domain: Domain) -> LogUniform:
    assert isinstance(domain, LogUniform)
    return domain


def test_every_suggestion_is_a_point_and_follows_from_the_journal(plan: Plan) -> None:
    records = read_journal(plan.folder / "journal")
    assert replay(plan, records) == []
    trials = fold(records).trials
    values = point_values(pointed(plan.space.search[RATE]))
    found = [trial.chosen[RATE] for trial in trials]
    assert set(found) <= set(values)
    assert len(set(found)) > 2
    rates = {t.chosen.get("pretraining.learning_rate") for t in trials} - {None}
    assert rates <= {1e-4, 1e-3, 1e-2}
    # The surface is best at 1e-4, the middle one: the later half has it more often.
    assert found[10:].count(1e-4) > found[:10].count(1e-4)


def test_optuna_is_told_the_place_among_them(plan: Plan) -> None:
    domain = pointed(plan.space.search[RATE])
    assert distribution(domain) == IntDistribution(0, 4)
    assert [told_value(domain, value) for value in point_values(domain)] == [0, 1, 2, 3, 4]
    free = domain.model_copy(update={"points": None})
    assert distribution(free) == FloatDistribution(1e-5, 1e-3, log=True)
    assert told_value(free, 3e-4) == 3e-4


def test_a_study_is_restored_and_described_with_them(plan: Plan) -> None:
    restored = restored_plan(plan.as_tree(), plan.folder)
    assert restored.space.search == plan.space.search
    assert "points 5" in plan.describe()
    assert "None" not in plan.describe()
    text = describe_domain(plan.space.search[RATE])
    assert text == "1e-05 to 0.001, logarithmic, one of 5 values"


def test_importance_and_export_take_them(plan: Plan, tmp_path: Path) -> None:
    records = read_journal(plan.folder / "journal")
    trials = fold(records).trials
    found = importances(
        plan.space.search,
        [trial.chosen for trial in trials],
        [trial.best(plan.objective) for trial in trials],
    )
    assert {item.path for item in found} == set(plan.space.search)
    path = tmp_path / "study.db"
    write_optuna(path, records, plan)
    storage = optuna.storages.RDBStorage(address(path))
    exported = optuna.load_study(study_name=plan.study, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    assert [one.params[RATE] for one in exported] == [trial.chosen[RATE] for trial in trials]


def test_spaces_without_points_suggest_what_they_did(tmp_path: Path) -> None:
    plan = make(tmp_path, trials=5)
    state = fold(run(plan, Workers()))
    assert [trial.chosen[RATE] for trial in state.trials] == BEFORE
