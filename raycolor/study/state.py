"""What a journal says, folded into trials."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from raycolor.spaces.domains import Scalar
from raycolor.study.records import (
    Ask,
    Decision,
    End,
    Fault,
    FinalScores,
    Phase,
    Record,
    References,
    Reopened,
    Reported,
    Resources,
    Session,
)

Status = Literal["open", "completed", "pruned", "failed"]


@dataclass(slots=True, kw_only=True)
class TrialState:
    """One trial, as far as the journal knows."""

    number: int
    seed: int
    chosen: dict[str, Scalar]
    phase: Phase = "search"
    confirms: int | None = None
    """Number of the searched trial whose configuration it confirms; None in the search."""
    pretraining_seed: int | None = None
    """Of its own pretraining stage; None for the study's."""
    status: Status = "open"
    """`open` trials have not ended: they run, or wait for a driver that takes them up."""
    reason: str = ""
    """Why it ended, or what the last decision was."""
    reports: list[Reported] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    """Indices of the sessions in which it reported, ascending."""
    stopped_at: int | None = None
    """Under which image count a study counts it among the stopped; None while it does not."""

    @property
    def images_seen(self) -> int:
        """Image count of the last report."""
        return self.reports[-1].images_seen if self.reports else 0

    @property
    def last_metrics(self) -> dict[str, float]:
        """Metrics of the last report; empty before the first."""
        return self.reports[-1].metrics if self.reports else {}

    @property
    def seconds(self) -> float:
        """Seconds of training and evaluation that it has reported; a diverging report has none."""
        return self.seconds_until(self.images_seen)

    def seconds_until(self, images: int) -> float:
        """Seconds that it had reported at an image count."""
        for report in reversed(self.reports):
            if report.images_seen <= images and "train_seconds" in report.metrics:
                return report.metrics["train_seconds"] + report.metrics.get("evaluate_seconds", 0.0)
        return 0.0

    @property
    def shortage(self) -> Fault | None:
        """The fault by which it first ran out of GPU memory, if it did: it runs alone since."""
        return next((fault for fault in self.faults if fault.cause == "memory"), None)

    @property
    def alone(self) -> bool:
        """Whether it is to have a whole GPU for itself."""
        return self.shortage is not None

    @property
    def too_large(self) -> bool:
        """Whether it failed because a whole GPU had too little memory for it."""
        return self.status == "failed" and any(f.cause == "memory" for f in self.faults[-1:])

    @property
    def images_inherited(self) -> int:
        """Training images that another run had trained."""
        return int(self._last("images_inherited"))

    @property
    def images_trained(self) -> int:
        """Training images of its own."""
        return self.images_seen - self.images_inherited

    @property
    def seconds_inherited(self) -> float:
        """Seconds of training and evaluation that these images took the other run."""
        return self._last("seconds_inherited")

    def _last(self, metric: str) -> float:
        """Return a metric that only adds up; a diverging report, or an old study, has none."""
        for report in reversed(self.reports):
            if metric in report.metrics:
                return report.metrics[metric]
        return 0.0

    def best(self, objective: str) -> float:
        """Lowest value of the objective; infinite before the first report."""
        values = [report.metrics.get(objective, math.nan) for report in self.reports]
        return min((value for value in values if math.isfinite(value)), default=math.inf)

    def best_images(self, objective: str) -> int | None:
        """Image count at which the objective was lowest for the first time."""
        best = self.best(objective)
        for report in self.reports:
            if report.metrics.get(objective) == best:
                return report.images_seen
        return None


@dataclass(slots=True, kw_only=True)
class StudyState:
    """A study, as far as its journal knows."""

    sessions: list[Session] = field(default_factory=list)
    resources: dict[int, Resources] = field(default_factory=dict)
    """What each trial gets, by the index of the session; missing until Ray has started."""
    references: dict[str, dict[str, float]] = field(default_factory=dict)
    trials: list[TrialState] = field(default_factory=list)
    tested: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores on the test split by the number of the confirming trial, and of `gray`."""
    tests: list[FinalScores] = field(default_factory=list)
    """Every look at the test split: more than one where the study grew after the first."""
    reopening: list[int] = field(default_factory=list)
    """Trials that a grown budget lets go on and that no record has reopened yet, best first."""
    ending: End | None = None
    """How the last session ended; None while it runs or after it was killed."""
    wall_seconds: float = 0.0
    """Seconds that drivers worked on it: of each session, from its first record to its last."""
    trial_seconds: float = 0.0
    """Seconds of training and evaluation of all trials, which ran side by side."""
    survivors: Counter[int] = field(default_factory=Counter)
    """How many trials of the search went on at a rung, by the rung."""
    stopped: Counter[int] = field(default_factory=Counter)
    """How many were stopped or failed, by the image count by which they had: the rung that decided,
    the last report, or one more where a fault came after that."""
    last_time: float = 0.0
    """Of the last record, seconds since 1970, UTC; 0 before the first."""

    def apply(self, record: Record) -> None:
        """Take in one record."""
        if self.sessions and not isinstance(record, Session):
            # A clock that was set back must not take away what was worked.
            self.wall_seconds += max(0.0, record.time - self.last_time)
        self.last_time = record.time
        match record:
            case Session():
                self._begin(record)
            case Resources():
                self.resources[len(self.sessions) - 1] = record
            case References():
                self.references = record.scores
            case Ask():
                assert record.number == len(self.trials), "trials are numbered in order"
                self.trials.append(
                    TrialState(
                        number=record.number,
                        seed=record.seed,
                        chosen=record.chosen,
                        phase=record.phase,
                        confirms=record.confirms,
                        pretraining_seed=record.pretraining_seed,
                    )
                )
            case Reported():
                self._apply_report(record)
            case Fault():
                trial = self.trials[record.number]
                trial.faults.append(record)
                if record.final:
                    trial.status, trial.reason = "failed", record.text
                    if trial.phase == "search":
                        self._count_stopped(trial, record.images_seen + 1)
            case Reopened():
                trial = self.trials[record.number]
                trial.status = "open"
                if trial.stopped_at is not None:
                    self.stopped[trial.stopped_at] -= 1
                    trial.stopped_at = None
                self.reopening = [one for one in self.reopening if one != record.number]
                trial.reason = {
                    "extension": "goes on, as the budget grew and it was among the best",
                    "revival": "taken up again by hand",
                }[record.cause]
            case FinalScores():
                self.tested = {**self.tested, **record.scores}
                self.tests.append(record)
            case End():
                self.ending = record

    def _begin(self, session: Session) -> None:
        if self.sessions and budget_of(session) > (former := budget_of(self.sessions[-1])):
            # What was the end is one no longer: those that are not reopened stay behind. A driver
            # that was killed before it could reopen some leaves that to the next one.
            self.reopening += _going_on(self.searched, former, session)
            for trial in self.trials:
                if trial.status == "completed":
                    trial.status = "pruned"
                    trial.reason = f"not among the best when the budget of {former:,} images grew"
            self.tested = {}
        self.sessions.append(session)
        self.ending = None

    def _apply_report(self, record: Reported) -> None:
        trial = self.trials[record.number]
        before = trial.seconds
        trial.reports.append(record)
        self.trial_seconds += trial.seconds - before
        if self.sessions and len(self.sessions) - 1 not in trial.sessions:
            trial.sessions.append(len(self.sessions) - 1)
        trial.reason = record.decision.reason
        if trial.phase == "search":
            self._count(trial, record)
        match record.decision.action:
            case "prune":
                trial.status = "pruned"
            case "end":
                trial.status = "completed"
            case "go_on":
                pass

    def _count(self, trial: TrialState, record: Reported) -> None:
        """Count who goes on and who does not; a forecast looks at the sums, not at all trials."""
        rung = record.decision.rung
        if record.decision.action == "prune":
            self._count_stopped(trial, record.images_seen if rung is None else rung)
        elif record.decision.action == "go_on" and rung is not None:
            self.survivors[rung] += 1

    def _count_stopped(self, trial: TrialState, images: int) -> None:
        trial.stopped_at = images
        self.stopped[images] += 1

    def decision(self, number: int, images_seen: int) -> Decision | None:
        """Return the decision on a report that is already in the journal."""
        for report in reversed(self.trials[number].reports):
            if report.images_seen == images_seen:
                return report.decision
        return None

    def best_trial(self, objective: str) -> TrialState | None:
        """Return the trial of the search with the lowest objective; the first of equals."""
        able = [trial for trial in self.searched if math.isfinite(trial.best(objective))]
        return min(able, key=lambda trial: trial.best(objective), default=None)

    @property
    def searched(self) -> list[TrialState]:
        """Trials of the search; the others confirm some of them."""
        return [trial for trial in self.trials if trial.phase == "search"]


def budget_of(session: Session) -> int:
    """Training images of a whole trial in a session."""
    return int(session.plan["fixed"]["budget.images"])


def _going_on(searched: Sequence[TrialState], former: int, session: Session) -> list[int]:
    """Return the trials that a session with a larger budget lets go on, best first.

    Of those that had trained to the former end about one in `reduction` goes on, at least one: as
    if that end had been a rung. Without halving all do.
    """
    objective = session.plan["objective"]
    able = [
        trial
        for trial in searched
        if trial.status == "completed"
        and trial.images_seen == former
        and math.isfinite(trial.best(objective))
    ]
    able.sort(key=lambda trial: (trial.best(objective), trial.number))
    scheduler = session.plan["study"]["scheduler"]
    if scheduler["kind"] == "asha":
        able = able[: max(1, len(able) // scheduler["reduction"])]
    return [trial.number for trial in able]


def fold(records: Iterable[Record]) -> StudyState:
    """Read a study's state from its records."""
    state = StudyState()
    for record in records:
        state.apply(record)
    return state
