"""Trials as Optuna is told of them: made for one suggestion, then thrown away."""

from datetime import UTC, datetime

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from raycolor.spaces.domains import Scalar

_ALWAYS = datetime.fromtimestamp(0, UTC)
"""Optuna wants times of its trials, and no sampler reads them."""


class ToldTrial(FrozenTrial):
    """A trial that a study takes as it is.

    A study copies what it is told, with all that hangs on it, so that the teller may change it
    later; a thousand trials are told before every suggestion, and that took most of its time.
    """

    def __init__(
        self,
        *,
        state: TrialState,
        value: float | None,
        params: dict[str, Scalar],
        distributions: dict[str, BaseDistribution],
        intermediate_values: dict[int, float],
    ) -> None:
        """Make a trial; the study gives it its number.

        Args:
            state: how it ended, if it did.
            value: its score, if it trained to its end.
            params: its searched values.
            distributions: of each of them.
            intermediate_values: scores by image count.
        """
        super().__init__(
            number=-1,
            trial_id=-1,
            state=state,
            value=value,
            datetime_start=_ALWAYS,
            datetime_complete=_ALWAYS if state.is_finished() else None,
            params=params,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values=intermediate_values,
        )

    def __deepcopy__(self, memo: object) -> "ToldTrial":
        """Return itself: nobody but the study holds it."""
        return self
