"""The engine of a study: it asks, it decides, and it writes both down before they take effect.

Suggestions and decisions are pure functions of the journal. What an engine knows besides, which
trials it has handed out since it began, influences only the order in which open trials are resumed.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raycolor.errors import ConfigError
from raycolor.plan import Plan, differences
from raycolor.study.halving import Halving
from raycolor.study.journal import Journal
from raycolor.study.records import (
    FORMAT,
    Ask,
    Decision,
    End,
    Ending,
    Fault,
    Record,
    References,
    Reported,
    Session,
)
from raycolor.study.state import StudyState, TrialState
from raycolor.study.suggest import derived_seed, suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an observer of an engine hears: a record that has just become durable."""

    record: Record
    state: StudyState


class Engine:
    """A study at work on its journal.

    Attributes:
        state: all that the journal says.
    """

    def __init__(
        self, plan: Plan, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Replay a journal.

        Args:
            plan: of this session.
            journal: open for writing.
            clock: seconds since 1970.

        Raises:
            ConfigError: the journal belongs to a study with another plan.
        """
        self.plan = plan
        self.state = StudyState()
        self.observers: list[Callable[[Event], None]] = []
        self._journal = journal
        self._clock = clock
        self._handed_out: set[int] = set()
        self._halving = Halving(
            plan.rungs, plan.space.study.scheduler.reduction, plan.base.budget.images
        )
        for record in journal.records:
            self._replay(record)
        if self.state.sessions:
            check_same_study(self.state.sessions[-1].identity, plan)

    def begin(self, environment: Mapping[str, Any], fingerprint: str) -> None:
        """Write that a driver begins to work.

        Args:
            environment: versions and hardware.
            fingerprint: of the data set.

        Raises:
            ConfigError: the study began with other data.
        """
        identity = {**self.plan.identity(), "fingerprint": fingerprint}
        if self.state.sessions:
            check_same_study(self.state.sessions[-1].identity, self.plan, fingerprint)
        self._write(
            Session(
                format=FORMAT,
                time=self._clock(),
                identity=identity,
                plan=self.plan.as_tree(),
                environment=dict(environment),
            )
        )

    def ask(self) -> TrialState | None:
        """Hand out a trial: an open one that nobody works on, else a new one; None if none is left.

        The suggestion is durable when this returns.
        """
        for trial in self.state.trials:
            if trial.status == "open" and trial.number not in self._handed_out:
                self._handed_out.add(trial.number)
                return trial
        number = len(self.state.trials)
        if number >= self.plan.trials:
            return None
        chosen = suggest(
            self.plan.space,
            self.state.trials,
            objective=self.plan.objective,
            number=number,
            seed=self.plan.seed,
        )
        if chosen is None:
            return None
        self._write(
            Ask(
                time=self._clock(),
                number=number,
                phase="search",
                seed=derived_seed("trial", self.plan.seed, number),
                chosen=chosen,
            )
        )
        self._handed_out.add(number)
        return self.state.trials[number]

    def report(
        self, number: int, images_seen: int, stage: str, metrics: Mapping[str, float]
    ) -> Decision:
        """Decide on a report; report and decision are durable when this returns.

        A report that comes again, as after a restart from a checkpoint, has its old decision and is
        not written twice.
        """
        if (old := self.state.decision(number, images_seen)) is not None:
            return old
        kept = {name: float(value) for name, value in metrics.items() if value is not None}
        value = kept.get(self.plan.objective, math.nan)
        decision = self._halving.decide(number, images_seen, value)
        self._write(
            Reported(
                time=self._clock(),
                number=number,
                images_seen=images_seen,
                stage=stage,
                metrics=kept,
                decision=decision,
            )
        )
        return decision

    def fault(self, number: int, text: str, *, final: bool) -> None:
        """Note that a trial failed; a final fault ends it, another lets it go on."""
        trial = self.state.trials[number]
        if trial.status != "open":
            return
        if final:
            self._halving.note_fault(number, trial.images_seen)
        self._write(
            Fault(
                time=self._clock(),
                number=number,
                images_seen=trial.images_seen,
                # A path in a traceback may hold bytes that are no UTF-8.
                text=text.encode("utf-8", "backslashreplace").decode("utf-8"),
                final=final,
            )
        )

    def note_references(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Note the scores of `gray` and `truth`, once."""
        if not self.state.references:
            self._write(
                References(time=self._clock(), scores={name: dict(s) for name, s in scores.items()})
            )

    def end(self, reason: Ending) -> None:
        """Write that this driver stops."""
        self._write(End(time=self._clock(), reason=reason))

    @property
    def finished(self) -> bool:
        """Whether every trial of the plan has ended."""
        return is_finished(self.state, self.plan)

    def _write(self, record: Record) -> None:
        self._journal.append(record)
        self.state.apply(record)
        for observer in self.observers:
            observer(Event(record=record, state=self.state))

    def _replay(self, record: Record) -> None:
        """Take in a record of an earlier session: its decision stands."""
        match record:
            case Reported():
                value = record.metrics.get(self.plan.objective, math.nan)
                self._halving.decide(record.number, record.images_seen, value)
            case Fault(final=True):
                self._halving.note_fault(record.number, record.images_seen)
            case _:
                pass
        self.state.apply(record)


def is_finished(state: StudyState, plan: Plan) -> bool:
    """Tell whether every trial of a plan has ended."""
    enough = len(state.trials) >= plan.trials
    return enough and all(trial.status != "open" for trial in state.trials)


def check_same_study(before: Mapping[str, Any], plan: Plan, fingerprint: str | None = None) -> None:
    """Refuse a plan that would turn a study into another one.

    Raises:
        ConfigError: with each value that differs.
    """
    now: dict[str, Any] = plan.identity()
    now["fingerprint"] = before.get("fingerprint") if fingerprint is None else fingerprint
    if lines := differences(before, now):
        raise ConfigError(
            f"{plan.folder}: holds a study with another plan; choose another --study, or give the "
            "old values:\n" + "\n".join(f"  {line}" for line in lines)
        )


def replay(plan: Plan, records: list[Record]) -> list[str]:
    """Check the law: a journal's suggestions and decisions follow from the records before them.

    Returns:
        One line for each record that does not follow; empty for a lawful journal.
    """
    state = StudyState()
    scheduler = plan.space.study.scheduler
    halving = Halving(plan.rungs, scheduler.reduction, plan.base.budget.images)
    broken = []
    for line, record in enumerate(records, start=1):
        expected: Record | None = None
        match record:
            case Ask():
                chosen = suggest(
                    plan.space,
                    state.trials,
                    objective=plan.objective,
                    number=record.number,
                    seed=plan.seed,
                )
                seed = derived_seed("trial", plan.seed, record.number)
                expected = replace(record, chosen=chosen or {}, seed=seed)
            case Reported():
                value = record.metrics.get(plan.objective, math.nan)
                decision = halving.decide(record.number, record.images_seen, value)
                expected = replace(record, decision=decision)
            case Fault(final=True):
                halving.note_fault(record.number, record.images_seen)
            case _:
                pass
        if expected is not None and repr(expected) != repr(record):
            broken.append(f"line {line}: expected {expected}, found {record}")
        state.apply(record)
    return broken
