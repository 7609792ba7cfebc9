"""Images that a trial took over count as seen, and cost nothing."""

import io
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.study.answer import cost_sentence
from raycolor.study.closing import print_closing
from raycolor.study.evidence import cost
from raycolor.study.findings import findings
from raycolor.study.forecast import seconds_per_image
from raycolor.study.leaderboard import rows, write_csv
from raycolor.study.page.write import render
from raycolor.study.sharing import can_be_met
from raycolor.study.spending import spending
from raycolor.study.tables import write_trials
from tests.unit.study.fakes import BUDGET, SPACE, make
from tests.unit.study.told import Told


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make(tmp_path_factory.mktemp("plan"))


@pytest.fixture
def told(plan: Plan) -> Told:
    """One trial trained all, one took over 48 images that took 2.4 s."""
    told = Told().session(plan).gray()
    first, second = told.ask(pretraining__images=48), told.ask(pretraining__images=96)
    told.report(first, 48, 70.0)
    told.report(first, BUDGET, 60.0, "end")
    inherited = {"images_inherited": 48.0, "seconds_inherited": 2.4}
    told.report(second, 48, 70.0, more={**inherited, "train_seconds": 0.0})
    told.report(second, 96, 65.0, "prune", more={**inherited, "train_seconds": 48 / 20})
    return told


def test_a_trial_has_trained_what_it_did_not_take_over(told: Told) -> None:
    first, second = told.state.trials
    assert (first.images_seen, first.images_trained, first.images_inherited) == (144, 144, 0)
    assert (second.images_seen, second.images_trained, second.images_inherited) == (96, 48, 48)
    assert (first.seconds_inherited, second.seconds_inherited) == (0, 2.4)
    # A report of a trial that diverged has its losses alone.
    told.report(1, 112, None, "prune", more={})
    told.records[-1].metrics.clear()  # type: ignore[union-attr]  # a report
    assert told.state.trials[1].images_inherited == 48


def test_speed_and_spending_are_of_what_was_trained(plan: Plan, told: Told) -> None:
    (speed,) = seconds_per_image(told.state, plan).values()
    assert speed == pytest.approx(1 / 20)
    spent = spending(told.state, plan, gpus=1.0)
    assert spent.gpu_hours == pytest.approx((144 + 48) / 20 / 3600)


def test_a_trial_that_trained_nothing_tells_no_speed(plan: Plan) -> None:
    told = Told().session(plan)
    more = {"images_inherited": 48.0, "train_seconds": 0.0}
    told.report(told.ask(pretraining__images=48), 48, 70.0, more=more)
    assert seconds_per_image(told.state, plan) == {}


def test_cost_and_savings(plan: Plan, told: Told) -> None:
    found = cost(told.state, plan)
    assert (found.images, found.images_inherited) == (144 + 48, 48)
    assert found.share_of_full == pytest.approx((144 + 48) / (2 * BUDGET))
    assert found.seconds_inherited == pytest.approx(2.4)
    text = cost_sentence(findings(told.state, plan), plan)
    assert "of what the same trials would have taken without pruning and sharing" in text
    saved = "48 images of pretraining were taken over from runs that had trained them, which saved"
    assert saved in text
    alone = Told().session(plan)
    alone.report(alone.ask(), 16, 70.0)
    text = cost_sentence(findings(alone.state, plan), plan)
    assert "sharing" not in text
    assert "taken over" not in text


def test_boards_tell_both(tmp_path: Path, plan: Plan, told: Told) -> None:
    table = rows(told.state, plan)
    write_csv(tmp_path / "leaderboard.csv", table, plan)
    header, *lines = (tmp_path / "leaderboard.csv").read_text().splitlines()
    assert ",images_seen,images_trained,images_inherited,train_seconds" in header
    assert any(line.endswith(",96,48,48,2.4") for line in lines)
    write_trials(tmp_path / "trials.parquet", table, plan)
    found = {row["number"]: row for row in pq.read_table(tmp_path / "trials.parquet").to_pylist()}
    assert (found[0]["images_trained"], found[0]["images_inherited"]) == (144, 0)
    assert (found[1]["images_trained"], found[1]["images_inherited"]) == (48, 48)


def test_the_closing_and_the_page_tell_it(plan: Plan, told: Told) -> None:
    console = Console(file=io.StringIO(), width=200)
    print_closing(console, told.state, plan, finished=True)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "inherited" in text
    assert text.count("which saved 0:02 of trials") == 1
    page = render(findings(told.state, plan), told.state, plan)
    assert '<button type="button">inherited</button>' in page
    assert '<td data-value="48">48</td>' in page
    alone = Told().session(plan).gray()
    alone.report(alone.ask(), 16, 70.0)
    page = render(findings(alone.state, plan), alone.state, plan)
    assert '<button type="button">inherited</button>' not in page


def test_sharing_may_be_switched_on_and_off_on_the_way(plan: Plan, tmp_path: Path) -> None:
    off = make(tmp_path, overrides={"study.resources.share_pretraining": False})
    assert not off.space.study.resources.share_pretraining
    assert off.identity()["study"] == plan.identity()["study"]
    tree = off.as_tree()
    assert not restored_plan(tree, off.folder).space.study.resources.share_pretraining
    # A study of before does not name it.
    del tree["resources"]["share_pretraining"]
    assert restored_plan(tree, off.folder).space.study.resources.share_pretraining


def test_only_what_another_trial_can_meet_is_published(plan: Plan, tmp_path: Path) -> None:
    free, pointed = Told(), Told()
    rate = {"pretraining__images": 48, "pretraining__learning_rate": 1e-3}
    for told in (free, pointed):
        told.ask(**rate)
        told.ask(pretraining__images=0)
    text = SPACE.replace("low: 1e-4, high: 1e-2, when", "low: 1e-4, high: 1e-2, points: 3, when")
    with_points = make(tmp_path, text)
    # Lambda and the discriminator's rate are ranges too, and do not act.
    assert [can_be_met(trial, plan) for trial in free.state.trials] == [False, True]
    assert [can_be_met(trial, with_points) for trial in pointed.state.trials] == [True, True]
    baseline = replace(plan, space=replace(plan.space, baseline=free.state.trials[0].chosen))
    assert can_be_met(free.state.trials[0], baseline)
    confirming = pointed.state.trials[0]
    confirming.phase = "confirm"
    assert not can_be_met(confirming, with_points)
