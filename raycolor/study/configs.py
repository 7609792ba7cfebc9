"""The configuration of a trial, as its worker and its files have it."""

from raycolor.config import TrialConfig
from raycolor.plan import Plan
from raycolor.study.state import TrialState


def config_of(trial: TrialState, plan: Plan) -> TrialConfig:
    """Build the configuration of a trial.

    The pretraining stage has the study's seed, so that trials can share it; a confirming trial has
    one of its own, since nothing of it may be what the search was chosen by.
    """
    pretraining = plan.seed if trial.pretraining_seed is None else trial.pretraining_seed
    return plan.space.config(trial.chosen, seed=trial.seed, pretraining_seed=pretraining)
