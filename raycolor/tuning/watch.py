"""Watches workers from the driver: one that is frozen as a whole cannot end itself.

A worker whose step takes too long ends itself (`trainable`). That fails where nothing of its
process runs any more: stopped by a signal or a debugger, or on a machine that is frozen too. Ray
sees a live process then, and would wait for ever.
"""

from collections.abc import Iterable

PATIENCE_S = 30.0
"""Seconds beyond the silence that is allowed, for the worker to end itself and for Ray to tell."""
LOOK_S = 1.0
"""Seconds between two looks."""


class SilenceWatch:
    """How long each running trial has been silent while the driver listened."""

    def __init__(self, limit: float | None) -> None:
        """Begin to watch.

        Args:
            limit: seconds of silence after which a worker ends itself; None watches nothing.
        """
        self._limit = limit
        self._looked: float | None = None
        self._silent: dict[str, float] = {}

    def hear(self, trial_id: str) -> None:
        """Note a sign of life."""
        self._silent[trial_id] = 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to look again."""
        if self._limit is None:
            return False
        return self._looked is None or now - self._looked >= LOOK_S

    def overdue(self, now: float, running: Iterable[str]) -> list[str]:
        """Look at the trials that run, and return those whose workers are to be ended.

        Args:
            now: on a clock that never goes back, in seconds.
            running: Ray's names of the trials whose workers run.
        """
        if self._limit is None:
            return []
        # While the driver itself waits, for a storage say, reports queue up: that is no silence.
        passed = 0.0 if self._looked is None else min(now - self._looked, 2 * LOOK_S)
        self._looked = now
        self._silent = {name: self._silent.get(name, 0.0) + passed for name in running}
        late = [name for name, s in self._silent.items() if s >= self._limit + PATIENCE_S]
        for name in late:
            # It gets the same time again to be gone.
            self.hear(name)
        return late
