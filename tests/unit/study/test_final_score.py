"""The test split is looked at once; a study that looks again says so, and keeps every look."""

import io
from pathlib import Path

from rich.console import Console

from raycolor.study.closing import print_closing
from raycolor.study.engine import Engine, is_finished, needs_test, to_test
from raycolor.study.final_score import final_score_sentence
from raycolor.study.journal import Journal, read_journal
from raycolor.study.records import FinalScores
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import FD, SPACE, Workers, clock, make, run

CONFIRMING = (
    SPACE.replace("  scheduler:", "  confirm: {top: 1, seeds: 2}\n  scheduler:")
    .replace("kind: asha, first_rung: 16, reduction: 3", "kind: none")
    .replace("kind: tpe, startup_trials: 3", "kind: random")
)
ONCE = (
    f"On the test split, looked at once: {FD} 62.00 (mean of 2 seeds, standard deviation 1.41); "
    "grey pictures 80.00."
)


def searched(folder: Path, trials: int, value: float, scores: tuple[float, float]) -> StudyState:
    """Search, with that score for each new trial, then score the winner on the test split."""
    plan = make(folder, CONFIRMING, trials=trials)
    run(plan, Workers(curve=lambda chosen, images: value))
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({"python": "3"}, "abc")
        assert needs_test(engine.state, plan)
        tested = zip(to_test(engine.state, plan), scores, strict=True)
        engine.note_test({**{str(t.number): {FD: s} for t, s in tested}, "gray": {FD: 80.0}})
        engine.end("finished")
    return fold(read_journal(plan.folder / "journal"))


def closing(folder: Path, state: StudyState, trials: int) -> str:
    plan = make(folder, CONFIRMING, trials=trials)
    console = Console(file=io.StringIO(), record=True, width=400)
    print_closing(console, state, plan, finished=True)
    return console.export_text()


def test_a_study_that_does_not_grow_looks_once(tmp_path: Path) -> None:
    state = searched(tmp_path, 3, 60.0, (61.0, 63.0))
    plan = make(tmp_path, CONFIRMING, trials=3)
    assert final_score_sentence(state, plan) == ONCE
    assert ONCE in closing(tmp_path, state, 3)
    # It has grown, and its former winner stays the winner: no other look.
    more = make(tmp_path, CONFIRMING, trials=4)
    state = fold(run(more, Workers(curve=lambda chosen, images: 70.0)))
    assert not needs_test(state, more)
    assert is_finished(state, more)
    assert final_score_sentence(state, more) == ONCE


def test_another_winner_is_scored_again_and_that_is_said(tmp_path: Path) -> None:
    first = searched(tmp_path, 3, 60.0, (61.0, 63.0))
    state = searched(tmp_path, 4, 50.0, (51.0, 53.0))
    sentence = (
        f"On the test split, looked at twice: {FD} 52.00 (mean of 2 seeds, standard deviation "
        "1.41); grey pictures 80.00. The study went on after the first look, so this is slightly "
        "less independent of the choice than a first one. The other: 62.00, the configuration of "
        "trial 0."
    )
    plan = make(tmp_path, CONFIRMING, trials=4)
    assert final_score_sentence(state, plan) == sentence
    assert sentence in closing(tmp_path, state, 4)
    # The former scores stay: in the journal, and in what is read from it.
    kept = [r for r in read_journal(plan.folder / "journal") if isinstance(r, FinalScores)]
    assert kept == state.tests
    assert kept[0] == first.tests[0]
    assert kept[0].scores["3"] == {FD: 61.0}

    (again,) = {trial.confirms for trial in to_test(state, plan)}
    scores = {str(trial.number): {FD: 42.0} for trial in to_test(state, plan)}
    state.apply(FinalScores(time=state.last_time, scores=scores))
    told = final_score_sentence(state, plan)
    assert f"On the test split, looked at 3 times: {FD} 42.00" in told
    others = f"62.00, the configuration of trial 0; 52.00, the configuration of trial {again}"
    assert told.endswith(f"The others: {others}.")


def test_a_larger_budget_is_a_second_look_too(tmp_path: Path) -> None:
    searched(tmp_path, 3, 60.0, (61.0, 63.0))
    text = CONFIRMING.replace("budget.images: 144", "budget.images: 288")
    plan = make(tmp_path, text, trials=3)
    state = fold(run(plan, Workers(curve=lambda chosen, images: 55.0)))
    assert final_score_sentence(state, plan) == ""
    scores = {str(trial.number): {FD: 50.0} for trial in to_test(state, plan)}
    state.apply(FinalScores(time=state.last_time, scores=scores))
    told = final_score_sentence(state, plan)
    assert "looked at twice: " in told
    assert told.endswith("The other: 62.00, the configuration of trial 0.")
