"""What a study found out, for the terminal and for the page."""

from dataclasses import dataclass

from raycolor.plan import Plan
from raycolor.study.confirmation import Confirmed, confirmed, winner
from raycolor.study.evidence import (
    Cost,
    Lead,
    RankCorrelation,
    arrival_luck,
    cost,
    lead,
    rank_correlations,
)
from raycolor.study.importance import LEAST_TRIALS, Importance, importances
from raycolor.study.leaderboard import Row, gray_score, rows
from raycolor.study.saving import Saving, saving
from raycolor.study.standings import comparison_points, values_at, where_compared
from raycolor.study.state import StudyState, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that is told about a study besides its trials."""

    board: list[Row]
    """The leaderboard, best first."""
    best: TrialState | None
    gray: float | None
    """Objective of the grey pictures; None before the first report."""
    lead: Lead | None
    confirmed: list[Confirmed]
    """The configurations that were tried with other seeds, best mean first."""
    luck: str
    """How many trials were pruned by few others; empty where none was."""
    importances: dict[int, list[Importance]]
    """By the image count at which trials were compared; none where too few were."""
    compared: dict[int, str]
    """Where that was, in words: `at 512 images`."""
    correlations: list[RankCorrelation]
    cost: Cost
    saving: Saving | None
    """What checkpoints cost; None where no trial tells."""


def findings(state: StudyState, plan: Plan) -> Findings:
    """Work out what a study found so far."""
    judged = {}
    for images in comparison_points(state, plan, least=LEAST_TRIALS):
        values = values_at(state, plan, images)
        found = importances(
            plan.space.search,
            [state.trials[number].chosen for number in values],
            list(values.values()),
            seed=plan.seed,
        )
        if found:
            judged[images] = found
    return Findings(
        board=rows(state, plan),
        best=winner(state, plan),
        gray=gray_score(state, plan),
        lead=lead(state, plan),
        confirmed=confirmed(state, plan),
        luck=arrival_luck(state, plan),
        importances=judged,
        compared={images: where_compared(state, plan, images) for images in judged},
        correlations=rank_correlations(state, plan),
        cost=cost(state, plan),
        saving=saving(state),
    )
