"""The engine of a study: it asks, it decides, and it writes both down before they take effect.

Suggestions and decisions follow from the journal (`rules`). What an engine knows besides, which
trials it has handed out since it began, influences only the order in which open trials are resumed.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raycolor.errors import ConfigError
from raycolor.kept_plan import differences
from raycolor.plan import Plan
from raycolor.spaces.samples import possible_values
from raycolor.study.confirmation import confirmed, is_confirmed
from raycolor.study.opening import AnyJournal
from raycolor.study.records import (
    FORMAT,
    Ask,
    Decision,
    End,
    Ending,
    Fault,
    FaultCause,
    FinalScores,
    Record,
    References,
    Reopened,
    Reported,
    Resources,
    Session,
)
from raycolor.study.rules import Nothing, Rules
from raycolor.study.state import StudyState, TrialState

CHANGEABLE = (
    "data: ",
    "fingerprint: ",
    "study.searcher.",
    "study.scheduler.compare_in_pretraining",
    "study.guards.",
    "study.confirm",
    "fixed.budget.images",
    "fixed.budget.checkpoint_seconds",
)
"""Beginnings of the paths of a plan that a study may change on its way, from there on. A data set
may lie elsewhere: its fingerprint says whether it is the same."""


SCHEDULES = ("optimizers.generator.schedule", "optimizers.discriminator.schedule")
"""Settings that stretch a learning rate over the budget, unless they are constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an observer of an engine hears: a record that has just become durable."""

    record: Record
    state: StudyState


class Engine:
    """A study at work on its journal."""

    def __init__(
        self, plan: Plan, journal: AnyJournal, *, clock: Callable[[], float] = time.time
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
        self.observers: list[Callable[[Event], None]] = []
        self._rules = Rules(plan)
        self._journal = journal
        self._clock = clock
        self._handed_out: set[int] = set()
        for record in journal.records:
            self._rules.note(record)
        if self.state.sessions:
            check_same_study(self.state.sessions[-1].identity, plan)

    @property
    def state(self) -> StudyState:
        """All that the journal says."""
        return self._rules.state

    def begin(
        self, environment: Mapping[str, Any], fingerprint: str, *, revived: Sequence[int] = ()
    ) -> None:
        """Write that a driver begins to work, and which trials go on after all.

        Args:
            environment: versions and hardware.
            fingerprint: of the data set.
            revived: numbers of trials that a person wishes to take up again.

        Raises:
            ConfigError: the study began with other data or weights, or a trial cannot be taken up
                again.
        """
        identity = {**self.plan.identity(), "fingerprint": fingerprint}
        if self.state.sessions:
            check_same_study(self.state.sessions[-1].identity, self.plan, fingerprint)
            check_same_weights(self.state.sessions[-1].environment, environment, self.plan)
        self._check_revived(revived)
        self._write(
            Session(
                format=FORMAT,
                time=self._clock(),
                identity=identity,
                plan=self.plan.as_tree(),
                environment=dict(environment),
            )
        )
        for number in list(self.state.reopening):
            self._write(Reopened(time=self._clock(), number=number, cause="extension"))
        for number in revived:
            if self.state.trials[number].status != "open":
                self._write(Reopened(time=self._clock(), number=number, cause="revival"))

    def ask(self, *, alone_last: bool = False) -> TrialState | Nothing:
        """Hand out a trial: an open one that nobody works on, else a new one, else the reason.

        The suggestion is durable when this returns.

        Args:
            alone_last: those that run alone come after new ones.
        """
        waiting = [
            trial
            for trial in self.state.trials
            if trial.status == "open" and trial.number not in self._handed_out
        ]
        first = [trial for trial in waiting if not (alone_last and trial.alone)]
        if not first:
            asked = self._rules.next_trial(self._clock())
            if isinstance(asked, Ask):
                self._write(asked)
                self._handed_out.add(asked.number)
                return self.state.trials[asked.number]
            if not waiting:
                return asked
            first = waiting
        self._handed_out.add(first[0].number)
        return first[0]

    def report(
        self, number: int, images_seen: int, stage: str, metrics: Mapping[str, float]
    ) -> Decision:
        """Decide on a report; report and decision are durable when this returns.

        A report that comes again, as after a restart from a checkpoint, has its old decision and is
        not written twice; of a trial that was reopened since, it lets the trial go on, unless the
        objective is no number this time too: that is a final fault.
        """
        if (old := self.state.decision(number, images_seen)) is not None:
            if old.action != "go_on" and self.state.trials[number].status == "open":
                value = metrics.get(self.plan.objective)
                if value is None or not math.isfinite(value):
                    text = f"the objective is again not a finite number at {images_seen:,} images"
                    self.fault(number, text, final=True)
                    return Decision(action="prune", reason=text, value=math.inf)
                return Decision(action="go_on", reason=self.state.trials[number].reason)
            return old
        kept = {name: float(value) for name, value in metrics.items() if value is not None}
        decision = self._rules.judge(number, images_seen, stage, kept)
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

    def out_of_memory(self, number: int, text: str) -> None:
        """Note that a trial ran out of GPU memory.

        The first time it is handed out again, to run alone; the second time it has failed.
        """
        self.fault(number, text, final=self.state.trials[number].alone, cause="memory")
        self._handed_out.discard(number)

    def fault(
        self, number: int, text: str, *, final: bool, cause: FaultCause | None = None
    ) -> None:
        """Note that a trial failed; a final fault ends it, another lets it go on."""
        trial = self.state.trials[number]
        if trial.status != "open":
            return
        self._write(
            Fault(
                time=self._clock(),
                number=number,
                images_seen=trial.images_seen,
                # A path in a traceback may hold bytes that are no UTF-8.
                text=text.encode("utf-8", "backslashreplace").decode("utf-8"),
                final=final,
                cause=cause,
            )
        )

    def note_resources(
        self, *, cpus: int, gpus: float, concurrent: int, machines: int, measured: bool = False
    ) -> None:
        """Note what each trial of this session gets, once Ray has started and it is known.

        Args:
            cpus: cores, and threads, of one trial.
            gpus: of one trial.
            concurrent: trials at once.
            machines: of the cluster; 1 without one.
            measured: whether a measurement decided it.
        """
        self._write(
            Resources(
                time=self._clock(),
                cpus=cpus,
                gpus=gpus,
                concurrent=concurrent,
                machines=machines,
                measured=measured,
            )
        )

    def note_references(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Note the scores of `gray` and `truth`, once."""
        if not self.state.references:
            self._write(
                References(time=self._clock(), scores={name: dict(s) for name, s in scores.items()})
            )

    def note_test(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Note the scores on the test split, once.

        Args:
            scores: by the numbers of the confirming trials of the winner, as text, and of `gray`.
        """
        if needs_test(self.state, self.plan):
            self._write(
                FinalScores(
                    time=self._clock(), scores={name: dict(s) for name, s in scores.items()}
                )
            )

    def end(self, reason: Ending) -> None:
        """Write that this driver stops."""
        self._write(End(time=self._clock(), reason=reason))

    @property
    def finished(self) -> bool:
        """Whether the plan is done."""
        return is_finished(self.state, self.plan)

    def _write(self, record: Record) -> None:
        self._journal.append(record)
        self._rules.apply(record)
        for observer in self.observers:
            observer(Event(record=record, state=self.state))

    def _check_revived(self, revived: Sequence[int]) -> None:
        """Refuse to take up what cannot be.

        Raises:
            ConfigError: with each such trial.
        """
        problems = []
        for number in revived:
            if not 0 <= number < len(self.state.trials):
                last = len(self.state.trials) - 1
                allowed = f"it has 0 to {last}" if last >= 0 else "it has none yet"
                problems.append(f"--revive {number}: the study has no such trial; {allowed}")
            elif self.state.trials[number].status == "completed":
                problems.append(
                    f"--revive {number}: the trial has trained to its end; a larger budget.images "
                    "lets the best go on"
                )
        if problems:
            raise ConfigError("\n".join(problems))


def is_finished(state: StudyState, plan: Plan) -> bool:
    """Tell whether a plan is done: every trial has ended, the best are confirmed and tested."""
    enough = len(state.searched) >= plan.trials
    if not enough or state.reopening or any(trial.status == "open" for trial in state.trials):
        return False
    if plan.space.study.confirm.top is None:
        return True
    return is_confirmed(state, plan) and not needs_test(state, plan)


def needs_test(state: StudyState, plan: Plan) -> bool:
    """Tell whether a winner is confirmed that was not scored on the test split yet."""
    return any(str(trial.number) not in state.tested for trial in to_test(state, plan))


def to_test(state: StudyState, plan: Plan) -> list[TrialState]:
    """Return the trials that confirmed the winner, to be scored on the test split."""
    if plan.space.study.confirm.top is None or not is_confirmed(state, plan):
        return []
    found = confirmed(state, plan)
    if not found:
        return []
    return [trial for trial in found[0].trials if trial.status == "completed"]


def check_same_study(before: Mapping[str, Any], plan: Plan, fingerprint: str | None = None) -> None:
    """Refuse a plan that would turn a study into another one.

    Raises:
        ConfigError: with each value that differs and may not.
    """
    now: dict[str, Any] = plan.identity()
    now["fingerprint"] = before.get("fingerprint") if fingerprint is None else fingerprint
    lines = [line for line in differences(before, now) if not line.startswith(CHANGEABLE)]
    if now["fingerprint"] != before.get("fingerprint"):
        was, found = str(before.get("fingerprint"))[:12], str(now["fingerprint"])[:12]
        lines.append(f"data: {plan.data} holds other pictures now (fingerprint {found}, was {was})")
    former, images = before["fixed"]["budget.images"], plan.base.budget.images
    if images < former:
        lines.append(f"fixed.budget.images: was {former}, is now {images}; it can only grow")
    if images > former and any(
        schedule != "constant"
        for path in SCHEDULES
        for schedule in possible_values(plan.space, path)
    ):
        lines.append(
            f"fixed.budget.images: was {former}, is now {images}; a learning rate's schedule is "
            "stretched over it, so it cannot grow"
        )
    if lines:
        raise ConfigError(
            f"{plan.where}: holds a study with another plan; give the old values, choose another "
            "--study, or move the old one aside with --fresh:\n"
            + "\n".join(f"  {line}" for line in lines)
        )


def check_same_weights(before: Mapping[str, Any], now: Mapping[str, Any], plan: Plan) -> None:
    """Refuse other weights under a name that the study had weights of before.

    Args:
        before: the last session's environment.
        now: this session's.
        plan: of the study.

    Raises:
        ConfigError: with each file that differs.
    """
    former = before.get("weights", {})
    lines = [
        f"{name}: holds other weights now (SHA-256 {sha256[:12]}, was {former[name][:12]})"
        for name, sha256 in now.get("weights", {}).items()
        if former.get(name, sha256) != sha256
    ]
    if lines:
        raise ConfigError(
            f"{plan.where}: its trials began with other weights; put the old file back, choose "
            "another --study, or move the old one aside with --fresh:\n"
            + "\n".join(f"  {line}" for line in lines)
        )
