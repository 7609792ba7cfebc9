"""Why a trial went as it did, in plain words: `python -m raycolor.show STUDY --explain 7`."""

import math
import re

from raycolor.errors import ConfigError
from raycolor.plan import Plan
from raycolor.study.guards import SATURATED_REPORTS
from raycolor.study.naming import short_path, trial_name, value_text
from raycolor.study.records import Fault, Reported
from raycolor.study.saturation import REMEDY, has_saturated
from raycolor.study.standings import values_at
from raycolor.study.state import StudyState, TrialState

_FAILED = {True: "It failed", False: "Its worker failed, and it was taken up again,"}


def find_trial(state: StudyState, wanted: str) -> TrialState:
    """Find a trial by its number or its name.

    Args:
        state: of the study.
        wanted: as `7`, `007` or `007_lite0_lambda84`.

    Raises:
        ConfigError: there is none, or no trial at all.
    """
    by_name = {trial_name(trial.number, trial.chosen): trial for trial in state.trials}
    if wanted in by_name:
        return by_name[wanted]
    if re.fullmatch(r"\d+", wanted) and int(wanted) < len(state.trials):
        return state.trials[int(wanted)]
    if not state.trials:
        raise ConfigError(f"trial {wanted}: the study has no trial yet")
    raise ConfigError(
        f"trial {wanted}: there is no such trial; the study has 0 to {len(state.trials) - 1}, "
        f"named as {next(iter(by_name))}"
    )


def explain(trial: TrialState, state: StudyState, plan: Plan) -> list[str]:
    """Tell the story of one trial.

    Args:
        trial: one of the study's.
        state: of the study.
        plan: of the study.

    Returns:
        Sentences, in the order in which things happened; the first says how it ended.
    """
    sentences = [_ending(trial, plan), _settings(trial)]
    if trial.confirms is not None:
        original = state.trials[trial.confirms]
        name = trial_name(original.number, original.chosen)
        sentences.append(f"It confirms {name}: the same settings with other seeds, never pruned.")
    sentences += [f"It began with the seed {trial.seed}."]
    events: list[tuple[float, str]] = [
        (report.time, text)
        for report in trial.reports
        if (text := _decision(trial, report, state, plan)) is not None
    ]
    events += [(fault.time, _fault(fault)) for fault in trial.faults]
    sentences += [text for _, text in sorted(events)]
    if trial.reports:
        sentences.append(_best(trial, state, plan))
    if any(report.stage == "alone" for report in trial.reports):
        losses = plan.space.config(trial.chosen).losses.kind
        sentences.append(
            f"It has no discriminator (losses.kind: {losses}), so there is no adversarial loss and "
            "no accuracy to watch."
        )
    if has_saturated(trial):
        sentences.append(
            "Its discriminator has told true and generated colours apart nearly always in the last "
            f"{SATURATED_REPORTS} reports. That is no sickness, but the generator may learn little "
            f"more; {REMEDY}."
        )
    return sentences


def _ending(trial: TrialState, plan: Plan) -> str:
    name, budget = trial_name(trial.number, trial.chosen), plan.base.budget.images
    seen = f"{trial.images_seen:,} of {budget:,} images"
    match trial.status:
        case "open" if not trial.reports:
            return f"{name} has begun and not reported yet."
        case "open":
            return f"{name} has seen {seen} and has not ended: it runs, or waits to be resumed."
        case "completed":
            return f"{name} trained to its end, {seen}."
        case "pruned":
            saved = 1 - trial.images_seen / budget
            return f"{name} was stopped at {seen}, which saved {saved:.0%} of its training."
        case "failed" if trial.too_large:
            return f"{name} failed at {seen}: it ran out of GPU memory twice."
        case "failed":
            return f"{name} failed at {seen}, by an error of its own."


def _settings(trial: TrialState) -> str:
    described = ", ".join(
        f"{short_path(path)} {value_text(value)}" for path, value in trial.chosen.items()
    )
    return f"Its settings: {described}." if described else "It has the plan's fixed settings."


def _decision(trial: TrialState, report: Reported, state: StudyState, plan: Plan) -> str | None:
    """Explain what was decided at a rung; between rungs nothing is, unless the trial ended."""
    decision, images = report.decision, f"{report.images_seen:,} images"
    value = report.metrics.get(plan.objective, math.nan)
    if not math.isfinite(value):
        return (
            f"At {images} its {plan.objective} was {value}, no finite number: such a trial counts "
            "as the worst of its rung and is stopped at once."
        )
    if decision.guard is not None:
        return (
            f"At {images} the guard {decision.guard} ended it: {decision.reason}. It counts as the "
            "worst of the next rung."
        )
    if decision.rung is None:
        return None
    standing = decision.standing or 0
    where = f"At {images}, a rung,"
    if decision.rung != report.images_seen:
        where = (
            f"At {images}, where its pretraining was long enough ago to compare it on the rung of "
            f"{decision.rung:,},"
        )
    if decision.cutoff is None:
        return (
            f"{where} its {plan.objective} was {value:.2f}. It was the first trial "
            "there, and the first always goes on."
        )
    others = "1 trial" if standing == 1 else f"{standing} trials"
    went = {
        "go_on": "so it went on",
        "prune": "so it was stopped",
        "end": "and it had trained to its end anyway",
    }[decision.action]
    relation = "above" if value > decision.cutoff else "not above"
    return (
        f"{where} its {plan.objective} was {value:.2f}. {others} had been there "
        f"before. About one in {plan.space.study.scheduler.reduction} goes on, which put the "
        f"cutoff at {decision.cutoff:.2f}; {value:.2f} is {relation} it, {went}. "
        + _hindsight(trial, report, state, plan)
    )


def _hindsight(trial: TrialState, report: Reported, state: StudyState, plan: Plan) -> str:
    """Say how the trial stands at a rung by now, since halving decides on who came before."""
    values = values_at(state, plan, report.decision.rung or report.images_seen)
    better = sum(value < values[trial.number] for value in values.values())
    return (
        f"By now {len(values)} trials have a value there, {better or 'none'} of them a better one."
    )


def _best(trial: TrialState, state: StudyState, plan: Plan) -> str:
    best = trial.best(plan.objective)
    if not math.isfinite(best):
        return "It never had a finite score."
    ahead = sum(other.best(plan.objective) < best for other in state.searched)
    place = "the best of the study" if ahead == 0 else f"number {ahead + 1} of the study"
    return (
        f"Its best score was {best:.2f}, at {trial.best_images(plan.objective):,} images, "
        f"{place} so far."
    )


def _fault(fault: Fault) -> str:
    where, text = f"{fault.images_seen:,} images", _last_line(fault.text)
    if fault.cause == "memory" and not fault.final:
        return f"At {where} it {text}."
    return f"{_FAILED[fault.final]} at {where}: {text}."


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].rstrip(".") if lines else "no reason was given"
