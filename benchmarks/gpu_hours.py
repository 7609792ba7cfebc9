"""How many GPU hours a study takes, from measured speeds and its plan.

No torch here: the plan says where trials are compared and how many survive, the speeds are numbers.
"""

from dataclasses import dataclass

from raycolor.plan import Plan, make_plan

SECONDS = 3600.0
"""Of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """What was measured on one card."""

    pretraining: float
    """Images a second of the generator alone."""
    adversarial: float
    """Images a second of the game."""
    evaluation_seconds: float | None = None
    """Of one report; None where it was not measured, and is left out."""
    packing_gain: float = 1.0
    """Times the images a second of one trial that the best number of trials gives together."""


def plan_of(space: str, *, trials: int, epochs: int, pictures: int) -> Plan:
    """Plan the study of a space file with another length; it reports by epochs, its rungs stay.

    Args:
        space: its name.
        trials: of the search.
        epochs: of a whole trial, rounds through the pictures.
        pictures: of the training split.

    Raises:
        ConfigError: the space file does not allow such a length.
    """
    return make_plan(
        space=space,
        study=None,
        out="runs",
        data="photos",
        trials=trials,
        concurrent=None,
        overrides={
            "budget.images": epochs * pictures,
            "budget.report_every": pictures,
        },
        address=None,
        time_budget_s=None,
        seed=0,
    )


def expected_stages(plan: Plan, pretraining: int) -> tuple[float, float]:
    """Return the images that a trial is expected to train in pretraining, and after it.

    Args:
        plan: of the study; one in `reduction` goes on wherever trials are compared.
        pretraining: length of the trial's in images.
    """
    end = plan.base.budget.images
    alive, position, early, late = 1.0, 0, 0.0, 0.0
    for point in (*plan.comparison_points(pretraining), end):
        there = min(point, end)
        alone = max(0, min(there, pretraining) - position)
        early += alive * alone
        late += alive * (there - position - alone)
        alive, position = alive / plan.space.study.scheduler.reduction, there
    return early, late


def estimate(plan: Plan, speeds: Speeds) -> dict[str, float]:
    """Estimate the GPU hours of a study whose trials are all as long as the baseline.

    Args:
        plan: of the study.
        speeds: of its trials on one GPU.

    Returns:
        Images of all trials of the search, and hours by what they are spent on. `hours` is the sum
        of the search, its trials one after the other, `hours_packed` with as many at once as was
        best, `hours_confirming` what the confirmation adds, `hours_without_halving` the search if
        no trial were stopped.
    """
    pretraining = plan.pretraining_of(plan.space.baseline)
    early, late = expected_stages(plan, pretraining)
    whole = plan.base.budget.images
    hours = {
        "hours_pretraining": plan.trials * early / speeds.pretraining / SECONDS,
        "hours_adversarial": plan.trials * late / speeds.adversarial / SECONDS,
        "hours_evaluations": plan.trials * _evaluating(plan, early + late, speeds) / SECONDS,
    }
    complete = (
        pretraining / speeds.pretraining
        + (whole - pretraining) / speeds.adversarial
        + _evaluating(plan, whole, speeds)
    ) / SECONDS
    spent = sum(hours.values())
    return {
        "trials": plan.trials,
        "images_of_a_whole_trial": whole,
        "images_of_pretraining": pretraining,
        "images": plan.trials * (early + late),
        "evaluations": plan.trials * (early + late) / plan.base.budget.report_every,
        **hours,
        "hours": spent,
        "hours_packed": spent / speeds.packing_gain,
        "hours_confirming": plan.confirming_cost() / whole * complete,
        "hours_without_halving": plan.trials * complete,
    }


def _evaluating(plan: Plan, images: float, speeds: Speeds) -> float:
    """Seconds of the reports on the way."""
    return images / plan.base.budget.report_every * (speeds.evaluation_seconds or 0.0)
