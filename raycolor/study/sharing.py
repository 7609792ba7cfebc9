"""Whether another trial may ever pretrain as one does, so that publishing it is worth the while."""

from raycolor.plan import Plan
from raycolor.spaces.domains import grid_values
from raycolor.stages.settings import LEFT_OUT
from raycolor.study.state import TrialState


def can_be_met(trial: TrialState, plan: Plan) -> bool:
    """Tell whether a trial's pretraining can be that of another one.

    No two trials have the same value of a range without points; but every study of a space has its
    baseline. A confirming trial has a pretraining of its own by intent.

    Args:
        trial: of the study.
        plan: of the study.
    """
    if trial.phase == "confirm":
        return False
    if trial.number == 0 and plan.space.baseline:
        return True
    acting = [path for path in trial.chosen if path not in LEFT_OUT]
    return all(grid_values(plan.space.search[path]) is not None for path in acting)
