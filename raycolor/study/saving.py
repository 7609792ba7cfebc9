"""What a study's trials spend on keeping things: checkpoints, best generators, pictures.

A report tells the seconds of what was kept before it, since its own checkpoint holds the report. So
time is taken between the first and the last report of each trial: in it lie as many checkpoints of
reports as stretches of training and evaluation.
"""

from dataclasses import dataclass

from raycolor.plan import Plan
from raycolor.study.state import StudyState

MOST = 0.05
"""Share of the trials' time above which something should be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """The time that keeping things took, as far as trials with two reports or more tell."""

    share: float
    """Of their time, 0 to 1."""
    seconds_between: float
    """Of training and evaluation, between two reports."""


def saving(state: StudyState) -> Saving | None:
    """Measure what checkpoints cost; None where no trial tells, as before its second report."""
    kept = worked = 0.0
    stretches = 0
    for trial in state.trials:
        # A diverging report has none of the times, nor has one of an older study.
        told = [report.metrics for report in trial.reports if "train_seconds" in report.metrics]
        if len(told) < 2 or "checkpoint_seconds" not in told[0].keys() & told[-1].keys():
            continue
        first, last = told[0], told[-1]
        kept += last["checkpoint_seconds"] - first["checkpoint_seconds"]
        worked += sum(
            last.get(name, 0.0) - first.get(name, 0.0)
            for name in ("train_seconds", "evaluate_seconds")
        )
        stretches += len(told) - 1
    if not stretches or kept < 0 or worked <= 0:
        return None
    return Saving(share=kept / (kept + worked), seconds_between=worked / stretches)


def saving_sentence(found: Saving | None, plan: Plan) -> str:
    """Say what share of the time went into checkpoints, and what to do if it is too much.

    There is one at every report, and between two as often as `budget.checkpoint_seconds` says:
    where reports come more often than that, only fewer of them help.

    Args:
        found: in the study; None says nothing.
        plan: of the study.
    """
    if found is None:
        return ""
    text = f"Checkpoints and pictures took {found.share:.1%} of the trials' time"
    if found.share <= MOST:
        return f"{text}."
    budget = plan.base.budget
    if found.seconds_between > budget.checkpoint_seconds:
        remedy = (
            "most of them are those between reports: a larger budget.checkpoint_seconds (now "
            f"{budget.checkpoint_seconds:g}) makes fewer, and this study takes it"
        )
    else:
        remedy = (
            f"there is a checkpoint at every report, here every {found.seconds_between:.3g} s: a "
            f"larger budget.report_every (now {budget.report_every:,}) makes fewer, in a new study"
        )
    return f"{text}, more than {MOST:.0%}: {remedy}."
