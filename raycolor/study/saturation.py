"""Discriminators that tell true and generated pictures apart nearly always: a warning, no guard."""

from collections.abc import Iterable

from raycolor.problems import listed
from raycolor.study.guards import SATURATED_REPORTS, is_saturated
from raycolor.study.leaderboard import Row
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

MOST_NAMED = 3
REMEDY = "a lower learning rate of the discriminator may help"


def has_saturated(trial: TrialState) -> bool:
    """Tell whether a trial's discriminator was saturated in its last reports."""
    # The adversarial stage comes last, so the last reports say it all.
    return is_saturated([(r.stage, r.metrics) for r in trial.reports[-SATURATED_REPORTS:]])


def saturation_sentence(shown: Iterable[Row], state: StudyState) -> str:
    """Name the trials of some rows whose discriminators are saturated; empty where none is.

    Args:
        shown: rows of the leaderboard that a user sees; only their trials are looked at.
        state: of the study.
    """
    trials = [state.trials[row.number] for row in shown if row.number is not None]
    found = [trial_name(trial.number, trial.chosen) for trial in trials if has_saturated(trial)]
    if not found:
        return ""
    names = listed(found, most=MOST_NAMED)
    return (
        f"Saturated discriminator{'' if len(found) == 1 else 's'}: {names}, right nearly always in "
        f"the last {SATURATED_REPORTS} reports. That is no sickness, but the generator may learn "
        f"little more; {REMEDY}."
    )
