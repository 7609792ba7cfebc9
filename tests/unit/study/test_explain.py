"""The story of a trial in plain words."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from raycolor.plan import Plan
from raycolor.study.explain import explain, find_trial
from raycolor.study.records import Reported
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import SPACE, Workers, make, run, sick_curve
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


def story(told: Told, number: int, plan: Plan) -> str:
    state = told.state
    return "\n".join(explain(state.trials[number], state, plan))


@pytest.fixture
def told() -> Told:
    told = Told()
    told.report(told.ask(), 16, 70.0, "go_on", "first at rung 16", rung=16)
    return told


def test_pruned_at_a_rung(told: Told, plan: Plan) -> None:
    number = told.ask(losses__l1_lambda=30.0)
    told.report(number, 16, 90.0, "prune", "90 is above", rung=16, cutoff=70.0, standing=1)
    assert story(told, number, plan) == (
        "001_lite0_lambda30 was stopped at 16 of 144 images, which saved 89% of its training.\n"
        "Its settings: lambda 30, lr D 0.0001, backbone efficientnet_lite0, pretraining 0.\n"
        "It began with the seed 7.\n"
        "At 16 images, a rung, its fd_efficientnet_lite0_best was 90.00. 1 trial had been there "
        "before. About one in 3 goes on, which put the cutoff at 70.00; 90.00 is above it, so it "
        "was stopped. By now 2 trials have a value there, 1 of them a better one.\n"
        "Its best score was 90.00, at 16 images, number 2 of the study so far."
    )


def test_the_first_at_a_rung_goes_on(told: Told, plan: Plan) -> None:
    text = story(told, 0, plan)
    assert "It was the first trial there, and the first always goes on." in text
    assert "has seen 16 of 144 images and has not ended" in text
    assert "the best of the study so far" in text


def test_compared_after_its_pretraining(told: Told, plan: Plan) -> None:
    number = told.ask(pretraining__images=48)
    told.report(number, 64, 90.0, "prune", "90 is above", rung=48, cutoff=70.0, standing=1)
    assert (
        "At 64 images, where its pretraining was long enough ago to compare it on the rung of 48, "
        "its fd_efficientnet_lite0_best was 90.00. 1 trial had been there before."
    ) in story(told, number, plan)


def test_trained_to_its_end(told: Told, plan: Plan) -> None:
    told.report(0, 144, 50.0, "end", "trained to its end", rung=144)
    assert "000_lite0_lambda84 trained to its end, 144 of 144 images." in story(told, 0, plan)


@pytest.mark.parametrize("value", [math.nan, None])
def test_a_score_that_is_no_number(told: Told, plan: Plan, value: float | None) -> None:
    number = told.ask()
    told.report(number, 16, value, "prune", "not finite", rung=16)
    text = story(told, number, plan)
    assert "was nan, no finite number" in text
    assert "stopped at once" in text
    assert "It never had a finite score." in text


def test_faults_stand_in_their_order(told: Told, plan: Plan) -> None:
    told.fault(0, "Traceback ...\nWorkerCrashedError: the worker died.", final=False)
    told.report(0, 32, 60.0)
    told.fault(0, "OSError: no space left", final=True)
    lines = story(told, 0, plan).splitlines()
    assert lines[0] == "000_lite0_lambda84 failed at 32 of 144 images, by an error of its own."
    died = next(i for i, line in enumerate(lines) if "WorkerCrashedError: the worker died." in line)
    failed = next(i for i, line in enumerate(lines) if "OSError: no space left." in line)
    assert "taken up again" in lines[died]
    assert died < failed


def test_a_trial_that_has_not_reported(plan: Plan) -> None:
    told = Told()
    number = told.ask()
    assert "has begun and not reported yet" in story(told, number, plan)


def test_every_trial_of_a_sick_study_has_a_story(plan: Plan) -> None:
    state = fold(run(plan, Workers(curve=sick_curve, in_flight=3)))
    assert {trial.status for trial in state.trials} >= {"pruned", "completed"}
    for trial in state.trials:
        sentences = explain(trial, state, plan)
        assert all(sentence.endswith(".") for sentence in sentences)
        told = [s for s in sentences if "cutoff at" in s and s.count("so it was stopped")]
        by_cutoff = trial.status == "pruned" and "above the cutoff" in trial.reason
        assert bool(told) == by_cutoff


@pytest.mark.parametrize("wanted", ["1", "001", "001_lite0_lambda30"])
def test_a_trial_is_found_by_number_and_by_name(told: Told, wanted: str) -> None:
    told.ask(losses__l1_lambda=30.0)
    assert find_trial(told.state, wanted).number == 1


@pytest.mark.parametrize("wanted", ["7", "-1", "lite0", "", "001_lite0_lambda84"])
def test_a_trial_that_is_not_there(told: Told, wanted: str) -> None:
    told.ask(losses__l1_lambda=30.0)
    with pytest.raises(ConfigError, match="no such trial; the study has 0 to 1, named as 000_"):
        find_trial(told.state, wanted)


def test_a_study_without_trials() -> None:
    with pytest.raises(ConfigError, match="no trial yet"):
        find_trial(StudyState(), "0")


def test_a_guard_is_named_with_its_numbers(told: Told, plan: Plan) -> None:
    number = told.ask()
    told.report(number, 16, 90.0)
    report = told.records[-1]
    assert isinstance(report, Reported)
    reason = "the discriminator guesses: its accuracy was within 0.02 of 0.5"
    guarded = replace(
        report.decision, action="prune", guard="discriminator_at_chance", reason=reason
    )
    told.records[-1] = replace(report, decision=guarded)
    assert f"At 16 images the guard discriminator_at_chance ended it: {reason}." in story(
        told, number, plan
    )


def test_a_saturated_discriminator_is_a_warning(told: Told, plan: Plan) -> None:
    for images in range(32, 145, 16):
        told.report(0, images, 60.0)
        told.state.trials[0].last_metrics["discriminator_accuracy"] = 1.0
    assert "apart nearly always in the last 5 reports" in story(told, 0, plan)


def test_a_confirming_trial_says_what_it_confirms(tmp_path: Path) -> None:
    text = SPACE.replace("  scheduler:", "  confirm: {top: 1, seeds: 1}\n  scheduler:")
    plan = make(tmp_path, text)
    state = fold(run(plan))
    again = next(trial for trial in state.trials if trial.phase == "confirm")
    assert any(
        sentence.startswith(f"It confirms {again.confirms:03d}_")
        for sentence in explain(again, state, plan)
    )


def test_a_trial_without_a_game_is_said_to_have_none(plan: Plan) -> None:
    told = Told()
    number = told.ask(losses__kind="classification")
    told.report(number, 16, 70.0)
    sentence = "It has no discriminator (losses.kind: classification)"
    assert sentence not in story(told, number, plan)
    report = told.records[-1]
    assert isinstance(report, Reported)
    told.records[-1] = replace(report, stage="alone")
    assert sentence in story(told, number, plan)


SHORT = "ran out of GPU memory in 1/2 of a GPU of 16.0 GiB, with batch size 64 at 128 pixels"


def test_running_out_of_memory_is_told_and_once_is_no_failure(told: Told, plan: Plan) -> None:
    told.fault(0, f"{SHORT}; it is to run once more", final=False, cause="memory", images=16)
    lines = story(told, 0, plan).splitlines()
    assert f"At 16 images it {SHORT}; it is to run once more." in lines
    assert lines[0].endswith("and has not ended: it runs, or waits to be resumed.")
    told.fault(0, "ran out of GPU memory on a whole GPU", cause="memory", images=16)
    lines = story(told, 0, plan).splitlines()
    assert lines[0].endswith("failed at 16 of 144 images: it ran out of GPU memory twice.")
    assert "It failed at 16 images: ran out of GPU memory on a whole GPU." in lines
