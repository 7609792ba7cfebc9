"""A study grows, by images, by another searcher, by trials taken up again, and stays lawful."""

import json
from pathlib import Path
from typing import Any

import pytest

from raycolor.errors import ConfigError
from raycolor.plan import Plan
from raycolor.study.engine import Engine, is_finished
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import Reopened
from raycolor.study.rules import replay
from raycolor.study.state import TrialState, fold
from tests.unit.study.fakes import (
    BUDGET,
    OBJECTIVE,
    SPACE,
    Workers,
    clock,
    make,
    metrics,
    run,
    sick_curve,
)

LARGER = 3 * BUDGET


def larger(folder: Path, **flags: Any) -> Plan:
    return make(
        folder, SPACE.replace(f"budget.images: {BUDGET}", f"budget.images: {LARGER}"), **flags
    )


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_larger_budget_lets_the_best_go_on_from_where_they_were(
    tmp_path: Path, in_flight: int
) -> None:
    plan = make(tmp_path, trials=12)
    workers = Workers(in_flight=in_flight)
    before = fold(run(plan, workers))
    ended = sorted(
        (trial for trial in before.trials if trial.status == "completed"),
        key=lambda trial: trial.best(OBJECTIVE),
    )
    records = run(larger(tmp_path, trials=12), workers)
    state = fold(records)
    assert replay(larger(tmp_path, trials=12), records) == []
    reopened = [record.number for record in records if isinstance(record, Reopened)]
    assert reopened == [trial.number for trial in ended[: max(1, len(ended) // 3)]]
    for trial in ended:
        grown = state.trials[trial.number]
        if trial.number in reopened:
            assert grown.images_seen == LARGER
            assert grown.status == "completed"
            # Nothing is reported twice, and nothing is trained again.
            images = [report.images_seen for report in grown.reports]
            assert images == list(range(16, LARGER + 1, 16))
        else:
            assert (grown.status, grown.images_seen) == ("pruned", BUDGET)
            assert grown.reason == "not among the best when the budget of 144 images grew"
    assert is_finished(state, larger(tmp_path, trials=12))


def test_new_trials_of_a_grown_study_meet_the_new_rungs(tmp_path: Path) -> None:
    run(make(tmp_path))
    grown = larger(tmp_path, trials=20)
    assert grown.rungs == (16, 48, 144, 432)
    records = run(grown, Workers(in_flight=2))
    state = fold(records)
    assert replay(grown, records) == []
    assert len(state.trials) == 20
    rungs = {r.decision.rung for t in state.trials for r in t.reports if r.decision.rung}
    assert rungs == {16, 48, 144, 432}


def test_a_budget_that_shrinks_is_refused(tmp_path: Path) -> None:
    run(larger(tmp_path))
    plan = make(tmp_path)
    with Journal(plan.folder / "journal") as journal, pytest.raises(ConfigError) as caught:
        Engine(plan, journal)
    assert "fixed.budget.images: was 432, is now 144; it can only grow" in str(caught.value)


@pytest.mark.parametrize("schedule", ["fixed", "searched"])
def test_a_budget_over_which_a_schedule_is_stretched_cannot_grow(
    tmp_path: Path, schedule: str
) -> None:
    path = "optimizers.generator.schedule"
    if schedule == "fixed":
        text = SPACE.replace("fixed:\n", f"fixed:\n  {path}: cosine\n")
    else:
        domain = f"{path}: {{kind: choice, values: [constant, linear]}}"
        text = SPACE.replace("search:\n", f"search:\n  {domain}\n")
    assert path in text
    run(make(tmp_path, text))
    # More trials are no longer ones.
    records = run(make(tmp_path, text, trials=10))
    assert len(fold(records).trials) == 10
    plan = make(tmp_path, text.replace(f"budget.images: {BUDGET}", f"budget.images: {LARGER}"))
    with Journal(plan.folder / "journal") as journal, pytest.raises(ConfigError) as caught:
        Engine(plan, journal)
    assert "fixed.budget.images: was 144, is now 432; a learning rate's schedule" in str(
        caught.value
    )


def test_an_older_study_had_the_defaults_of_what_came_later(tmp_path: Path) -> None:
    run(make(tmp_path), most_reports=5)
    (journal,) = tmp_path.rglob("journal.jsonl")
    settings = ["generator.kind", "losses.label_smoothing", "optimizers.generator.schedule"]
    lines = []
    for line in journal.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for tree in (record.get("identity"), record.get("plan")):
            for setting in settings if tree else ():
                del tree["fixed"][setting]
        lines.append(json.dumps(record))
    journal.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert len(fold(run(make(tmp_path))).trials) == 8
    other = SPACE.replace("fixed:\n", "fixed:\n  generator.kind: gan_32\n")
    with Journal(journal.parent) as opened, pytest.raises(ConfigError) as caught:
        Engine(make(tmp_path, other), opened)
    assert "fixed.generator.kind: was 'unet', is now 'gan_32'" in str(caught.value)


def test_another_searcher_from_here_on(tmp_path: Path) -> None:
    run(make(tmp_path), most_reports=20)
    text = SPACE.replace("kind: tpe, startup_trials: 3", "kind: random")
    plan = make(tmp_path, text, trials=14)
    records = run(plan)
    assert replay(plan, records) == []
    assert len(fold(records).trials) == 14


def test_guards_may_change_and_hold_from_there_on(tmp_path: Path) -> None:
    run(make(tmp_path), most_reports=10)
    guards = "  guards: {discriminator_at_chance: {within: 0.4, patience: 2}}\n  scheduler:"
    plan = make(tmp_path, SPACE.replace("  scheduler:", guards))
    records = run(plan)
    state = fold(records)
    assert replay(plan, records) == []
    guarded = [t for t in state.trials if t.reports and t.reports[-1].decision.guard]
    assert guarded
    assert {t.status for t in guarded} == {"pruned"}
    assert "the discriminator guesses" in guarded[0].reason


def test_a_guarded_trial_counts_as_the_worst_of_its_next_rung(tmp_path: Path) -> None:
    guards = "  guards: {discriminator_at_chance: {within: 0.4, patience: 2}}\n  scheduler:"
    plan = make(tmp_path, SPACE.replace("  scheduler:", guards))
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")
        sick, well = engine.ask(), engine.ask()
        assert isinstance(sick, TrialState)
        assert isinstance(well, TrialState)
        engine.report(sick.number, 16, "adversarial", metrics(50.0, 16))
        decision = engine.report(sick.number, 32, "adversarial", metrics(45.0, 32))
        assert (decision.action, decision.guard) == ("prune", "discriminator_at_chance")
        healthy = metrics(49.0, 16) | {"discriminator_accuracy": 0.95}
        engine.report(well.number, 16, "adversarial", healthy)
        arrived = engine.report(well.number, 48, "adversarial", healthy | {OBJECTIVE: 48.0})
        assert (arrived.rung, arrived.standing, arrived.action) == (48, 1, "go_on")


def test_a_pruned_trial_is_taken_up_again_by_hand(tmp_path: Path) -> None:
    plan = make(tmp_path)
    workers = Workers()
    state = fold(run(plan, workers))
    pruned = next(trial for trial in state.trials if trial.status == "pruned")
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc", revived=[pruned.number])
        assert [trial.number for trial in engine.state.trials if trial.status == "open"] == [
            pruned.number
        ]
        workers.run(engine)
        assert engine.finished
    records = read_journal(plan.folder / "journal")
    assert replay(plan, records) == []
    revived = fold(records).trials[pruned.number]
    assert revived.images_seen > pruned.images_seen
    images = [report.images_seen for report in revived.reports]
    assert images == sorted(set(images))


def test_reviving_twice_does_it_once(tmp_path: Path) -> None:
    plan = make(tmp_path)
    run(plan)
    number = next(t.number for t in fold(run(plan)).trials if t.status == "pruned")
    for _ in range(2):
        with Journal(plan.folder / "journal") as journal:
            Engine(plan, journal, clock=clock()).begin({}, "abc", revived=[number, number])
    records = read_journal(plan.folder / "journal")
    assert sum(isinstance(record, Reopened) for record in records) == 1


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (99, r"--revive 99: the study has no such trial; it has 0 to 7"),
        (-1, r"--revive -1: the study has no such trial"),
    ],
)
def test_what_cannot_be_revived(tmp_path: Path, number: int, message: str) -> None:
    plan = make(tmp_path)
    before = run(plan)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        with pytest.raises(ConfigError, match=message):
            engine.begin({}, "abc", revived=[number])
    assert read_journal(plan.folder / "journal") == before


def test_a_completed_trial_is_not_revived(tmp_path: Path) -> None:
    plan = make(tmp_path)
    done = next(t.number for t in fold(run(plan)).trials if t.status == "completed")
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        with pytest.raises(ConfigError, match=r"larger budget\.images"):
            engine.begin({}, "abc", revived=[done])


def test_a_sick_study_grows_lawfully(tmp_path: Path) -> None:
    run(make(tmp_path), Workers(curve=sick_curve, in_flight=3))
    grown = larger(tmp_path, trials=14)
    records = run(grown, Workers(curve=sick_curve, in_flight=3))
    assert replay(grown, records) == []


def test_a_journal_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Lines without the fields that came later, as the first version wrote them."""
    plan = make(tmp_path)
    run(plan)
    path = plan.folder / "journal" / "journal.jsonl"
    text = path.read_text(encoding="utf-8")
    for later in (', "confirms": null', ', "pretraining_seed": null', ', "guard": null'):
        assert later in text
        text = text.replace(later, "")
    path.write_text(text, encoding="utf-8")
    records = read_journal(plan.folder / "journal")
    assert replay(plan, records) == []
