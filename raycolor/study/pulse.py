"""Whether the driver of a study lives, as far as somebody sees who looks at it for a while.

A driver renews its lease every 20 s. Whoever watches it sees that, on whichever machine, and needs
no clock of the other one.
"""

import time
from collections.abc import Callable

from raycolor.study.lease import EXPIRY_S, Holder
from raycolor.study.state import StudyState


class Pulse:
    """Watches the lease of one study."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to watch.

        Args:
            clock: seconds of this machine.
        """
        self._clock = clock
        self._seen: tuple[str, int] | None = None
        self._holder: Holder | None = None
        self._changed = self._looked = 0.0
        self._moves = False

    def look(self, holder: Holder | None, *, news: bool) -> None:
        """Take in what is there now.

        Args:
            holder: who holds the lease; None if nobody does.
            news: whether the journal has grown since the last look.
        """
        seen = None if holder is None else (holder.token, holder.beat)
        self._looked = self._clock()
        if seen != self._seen or news:
            # At the first look nothing has moved yet.
            self._moves = news or self._seen is not None
            self._changed = self._looked
        self._seen, self._holder = seen, holder

    def lives(self) -> bool | None:
        """Tell whether a driver works on the study; None where that does not show yet."""
        if self._holder is None:
            return False
        if (here := self._holder.lives()) is not None:
            return here
        # Up to the last look: somebody who looks seldom, or is busy building, sees no silence.
        if self._looked - self._changed > EXPIRY_S:
            return False
        return True if self._moves else None

    def sentence(self, state: StudyState) -> str:
        """Say what the study does: runs, was stopped, or was killed.

        Args:
            state: of the study, which has not ended.
        """
        if state.ending is not None:
            return "interrupted; the same command goes on with it, and is waited for"
        who = "" if self._holder is None else f" ({self._holder})"
        match self.lives():
            case True:
                return f"runs{who}"
            case None:
                return f"runs, or was killed{who}; that shows within a minute"
            case False if self._holder is None:
                return "no search works on it, as after a pause for its storage; waiting for one"
            case False:
                return f"was killed, or is cut off{who}; waiting for the same command to go on"
