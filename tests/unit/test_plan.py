"""Plans: what a study costs and what makes it the same study."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raycolor.errors import ConfigError
from raycolor.kept_plan import differences
from raycolor.plan import Plan
from raycolor.spaces.domains import combinations
from raycolor.spaces.file import AT_TOP_LEVEL
from raycolor.study.forecast import expected_images
from raycolor.study.records import Session, from_line, to_line
from tests.unit.plans import make, write


def halving(
    folder: Path, *, trials: int, images: int, reduction: int = 3, every: int = 1, first: int = 1
) -> Plan:
    """Make a plan whose cost is known."""
    return make(
        write(
            folder,
            f"study: {{trials: {trials}, scheduler: "
            f"{{first_rung: {first}, reduction: {reduction}}}}}\n"
            f"fixed: {{budget.images: {images}, budget.report_every: {every}, "
            "budget.batch_size: 1}\n",
        )
    )


# --- what a plan says


def test_the_flags_come_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "study: {trials: 7, concurrent: 2}\n")
    plan = make(path)
    assert (plan.trials, plan.concurrent, plan.study) == (7, 2, "mine")
    plan = make(path, trials=5, concurrent=3, study="other", out=tmp_path)
    assert (plan.trials, plan.concurrent, plan.folder) == (5, 3, tmp_path / "other")


def test_the_objective_is_the_best_distance_so_far() -> None:
    assert make().objective == "fd_efficientnet_lite0_best"


def test_the_largest_cost_is_that_of_trials_that_are_never_stopped(tmp_path: Path) -> None:
    assert halving(tmp_path, trials=9, images=9).largest_cost() == 81


def test_the_smallest_cost_is_that_of_exact_halving(tmp_path: Path) -> None:
    # 9 trials to 1 image, 3 of them to 3, 1 of them to 9.
    plan = halving(tmp_path, trials=9, images=9)
    assert plan.rungs == (1, 3, 9)
    assert plan.smallest_cost() == 9 * 1 + 3 * 2 + 1 * 6


@settings(max_examples=50, deadline=None)
@given(
    trials=st.integers(1, 100),
    images=st.integers(1, 300),
    reduction=st.integers(2, 6),
    first=st.integers(1, 20),
)
def test_costs_are_ordered(
    tmp_path_factory: pytest.TempPathFactory, trials: int, images: int, reduction: int, first: int
) -> None:
    folder = tmp_path_factory.mktemp("cost")
    plan = halving(
        folder, trials=trials, images=images, reduction=reduction, first=min(first, images)
    )
    assert trials * plan.rungs[0] <= plan.smallest_cost() <= plan.largest_cost()
    assert trials * expected_images(plan) <= plan.smallest_cost() + 1e-6


def test_without_halving_both_costs_are_the_same(tmp_path: Path) -> None:
    plan = make(overrides={"study.scheduler.kind": "none"})
    assert plan.rungs == ()
    assert plan.smallest_cost() == plan.largest_cost()
    assert "Rungs      none: every trial trains to its end" in plan.describe()


def test_a_grid_without_a_number_runs_all_its_combinations(tmp_path: Path) -> None:
    text = """
study: {searcher: {kind: grid}}
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  generator.width: {kind: int, low: 16, high: 128, step: 16}
"""
    plan = make(write(tmp_path, text))
    assert plan.trials == len(list(combinations(plan.space.search))) == 16
    assert make(write(tmp_path, text.replace("grid", "random"))).trials == 10
    assert make(write(tmp_path, text.replace("{s", "{trials: 3, s"))).trials == 3


def test_a_grid_that_nobody_can_run_is_refused_unless_a_number_is_given(tmp_path: Path) -> None:
    values = ", ".join(str(number) for number in range(1, 401))
    text = f"""
study: {{searcher: {{kind: grid}}}}
search:
  losses.l1_lambda: {{kind: choice, values: [{values}]}}
  evaluation.batch_size: {{kind: choice, values: [{values}]}}
"""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"more than 100,000 combinations; .* --trials N$"):
        make(path)
    assert make(path, trials=7).trials == 7


def test_a_grid_has_no_more_trials_than_combinations(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "study: {trials: 100, searcher: {kind: grid}}\n"
        "search:\n"
        "  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}\n"
        "  generator.width: {kind: int, low: 16, high: 48, step: 16}\n",
    )
    plan = make(path)
    assert plan.trials == len(list(combinations(plan.space.search))) == 6
    assert make(path, trials=4).trials == 4


@pytest.mark.parametrize("path", sorted(AT_TOP_LEVEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_description_names_trials_rungs_costs_and_every_domain(path: Path) -> None:
    plan = make(path.stem, trials=5, concurrent=3, time_budget_s=90.0, seed=5)
    text = plan.describe()
    assert f"Study      {path.stem} in results/{path.stem}" in text
    assert "Trials     5, 3 at once" in text
    assert "seed 5" in text
    assert "Time       at most about 90 s" in text
    assert f"at most {plan.largest_cost():,} training images" in text
    assert all(f"{rung:,}" in text for rung in plan.rungs)
    for setting, domain in plan.space.search.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"  {setting} "))
        assert f" {domain.kind}: " in line
        assert all(other in line for other in domain.when)


# --- which study it is


def test_what_does_not_make_another_study() -> None:
    plan, changed = (
        make(),
        make(
            trials=99,
            concurrent=7,
            address="auto",
            time_budget_s=1.0,
            study="other",
            out=Path("elsewhere"),
            overrides={"study.resources.cpus": 3, "study.trials": 4},
        ),
    )
    assert differences(plan.identity(), changed.identity()) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"seed": 1}, ["seed: was 0, is now 1"]),
        ({"data": "mine"}, [f"data: was 'photos', is now {str(Path('mine').resolve())!r}"]),
        (
            {"overrides": {"study.searcher.kind": "random"}},
            ["study.searcher.kind: was 'tpe', is now 'random'"],
        ),
        (
            {"overrides": {"study.scheduler.reduction": 3}},
            ["study.scheduler.reduction: was 4, is now 3"],
        ),
        ({"overrides": {"generator.width": 64}}, ["fixed.generator.width: was 32, is now 64"]),
    ],
)
def test_what_makes_another_study(flags: Mapping[str, Any], expected: list[str]) -> None:
    assert differences(make().identity(), make(**flags).identity()) == expected


def test_a_domain_that_changes_makes_another_study(tmp_path: Path) -> None:
    text = "search: {losses.l1_lambda: {kind: uniform, low: 20, high: 200}}\n"
    before = make(write(tmp_path, text)).identity()
    after = make(write(tmp_path, text.replace("200", "300"))).identity()
    assert differences(before, after) == ["search.losses.l1_lambda.high: was 200.0, is now 300.0"]


def test_a_value_that_is_fixed_beside_a_condition_belongs_to_the_study(tmp_path: Path) -> None:
    text = """
fixed: {losses.l1_lambda: 50}
search:
  data.flip: {kind: choice, values: [true, false]}
  losses.l1_lambda: {kind: uniform, low: 20, high: 200, when: {data.flip: [true]}}
"""
    before = make(write(tmp_path, text))
    assert before.space.config({"data.flip": False}).losses.l1_lambda == 50
    after = make(write(tmp_path, text.replace("50", "60")))
    assert differences(before.identity(), after.identity()) == [
        "fixed.losses.l1_lambda: was 50.0, is now 60.0"
    ]


def test_the_same_number_in_another_spelling_is_the_same_study() -> None:
    whole, real = (make(overrides={"losses.l1_lambda": value}).identity() for value in (100, 100.0))
    assert differences(whole, real) == []


@pytest.mark.parametrize("path", sorted(AT_TOP_LEVEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_identity_survives_the_journal(path: Path) -> None:
    plan = make(path.stem)
    session = Session(
        format=1, time=0.0, identity=plan.identity(), plan=plan.as_tree(), environment={}
    )
    read = from_line(to_line(session))
    assert isinstance(read, Session)
    assert differences(read.identity, plan.identity()) == []
    assert differences(plan.as_tree(), read.plan) == []


def test_a_study_of_before_a_setting_existed_had_its_default() -> None:
    before = json.loads(json.dumps(make().identity()))
    del before["fixed"]["generator.weights"], before["fixed"]["pretraining.frozen_images"]
    assert differences(before, make().identity()) == []
    changed = make(overrides={"generator.weights": "none"}).identity()
    assert differences(before, changed) == [
        "fixed.generator.weights: was 'imagenet', is now 'none'"
    ]
