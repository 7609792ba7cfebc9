"""What follows from a journal: the next suggestion and every decision.

Everything here is a function of the records that were applied, in their order, and of nothing else:
that is what makes a study that was killed go on as if it never had been. A session's plan holds for
the records after it, so that a study may grow and still be replayed.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from raycolor.kept_plan import restored_plan
from raycolor.plan import Plan
from raycolor.study.confirmation import wanted
from raycolor.study.guards import find_sickness
from raycolor.study.halving import Halving
from raycolor.study.records import Ask, Decision, Fault, Record, Reopened, Reported, Session
from raycolor.study.state import StudyState, TrialState
from raycolor.study.suggest import derived_seed, suggest


class Nothing(Enum):
    """Why there is no next trial."""

    LATER = "later"
    """What comes next depends on trials that still run."""
    LEFT = "left"
    """The plan is done, but for trials that still run."""


class Rules:
    """The state of a study, and what its plan makes of it.

    Attributes:
        state: all that the records said.
        plan: the one in force: of the last session, or the given one before the first.
    """

    def __init__(self, plan: Plan) -> None:
        """Begin with no records.

        Args:
            plan: of a study; sessions replace it by their own.
        """
        self.state = StudyState()
        self.plan = plan
        self._halving = _halving(plan)

    def next_trial(self, time: float) -> Ask | Nothing:
        """Return what to ask for next, beside the trials that are open.

        Args:
            time: seconds since 1970, for the record.
        """
        state, plan = self.state, self.plan
        number = len(state.trials)
        searched = state.searched
        if len(searched) < plan.trials:
            chosen = suggest(
                plan.space,
                searched,
                objective=plan.objective,
                number=len(searched),
                seed=plan.seed,
            )
            if chosen is not None:
                seed = derived_seed("trial", plan.seed, len(searched))
                return Ask(time=time, number=number, phase="search", seed=seed, chosen=chosen)
        if plan.space.study.confirm.top is None:
            return Nothing.LEFT
        if any(trial.status == "open" for trial in searched):
            # Which are the best is not known yet.
            return Nothing.LATER
        missing = wanted(state, plan)
        if not missing:
            return Nothing.LEFT
        trial, place = missing[0]
        parts = (plan.seed, trial.number, place)
        return Ask(
            time=time,
            number=number,
            phase="confirm",
            seed=derived_seed("confirm", *parts),
            chosen=trial.chosen,
            confirms=trial.number,
            pretraining_seed=derived_seed("confirm pretraining", *parts),
        )

    def judge(
        self, number: int, images_seen: int, stage: str, metrics: Mapping[str, float]
    ) -> Decision:
        """Decide on a new report, and take note of who stands where.

        Args:
            number: the trial's.
            images_seen: at the report.
            stage: of the training.
            metrics: of the report.
        """
        trial, plan = self.state.trials[number], self.plan
        value = metrics.get(plan.objective, math.nan)
        if trial.phase == "confirm":
            return _confirming(trial.confirms, images_seen, value, plan)
        first = self._first_compared(trial)
        decision = self._halving.decide(number, images_seen, value, first=first)
        if decision.action != "go_on":
            return decision
        told = [(report.stage, report.metrics) for report in trial.reports]
        sickness = find_sickness(
            [*told, (stage, metrics)],
            plan.space.study.guards,
            plan.base.fid_key,
            str(trial.chosen.get("losses.adversarial", plan.base.losses.adversarial)),
        )
        if sickness is None:
            return decision
        self._halving.note_fault(number, images_seen, first=first)
        return replace(decision, action="prune", reason=sickness.reason, guard=sickness.guard)

    def note(self, record: Record) -> None:
        """Take note of what an earlier session wrote: its decisions stand."""
        match record:
            case Reported():
                trial = self.state.trials[record.number]
                if trial.phase == "search":
                    value = record.metrics.get(self.plan.objective, math.nan)
                    first = self._first_compared(trial)
                    self._halving.decide(record.number, record.images_seen, value, first=first)
                    if record.decision.guard is not None:
                        self._halving.note_fault(record.number, record.images_seen, first=first)
            case _:
                pass
        self.apply(record)

    def apply(self, record: Record) -> None:
        """Take in a record; of a report, after `judge`."""
        match record:
            case Session():
                self._begin(record)
            case Fault(final=True):
                trial = self.state.trials[record.number]
                if trial.phase == "search":
                    first = self._first_compared(trial)
                    self._halving.note_fault(record.number, record.images_seen, first=first)
            case Reopened():
                trial = self.state.trials[record.number]
                self._halving.note_reopened(record.number, trial.images_seen)
            case _:
                pass
        self.state.apply(record)

    def _first_compared(self, trial: TrialState) -> int:
        """Return the image count from which on a trial is compared; 0 for on all rungs."""
        points = self.plan.comparison_points(self.plan.pretraining_of(trial.chosen))
        return 0 if points == self.plan.rungs else points[0]

    def _begin(self, session: Session) -> None:
        plan = restored_plan(session.plan, self.plan.folder, remote=self.plan.remote)
        if plan.rungs != self.plan.rungs or plan.base.budget != self.plan.base.budget:
            self._halving.extend(plan.rungs, plan.base.budget.images)
        self.plan = plan


def replay(plan: Plan, records: list[Record]) -> list[str]:
    """Check the law: a journal's suggestions and decisions follow from the records before them.

    Args:
        plan: of the study, for its folder; the sessions' own plans are what counts.
        records: the whole journal.

    Returns:
        One line for each record that does not follow; empty for a lawful journal.
    """
    rules = Rules(plan)
    broken = []
    for line, record in enumerate(records, start=1):
        expected: Record | Nothing | None = None
        match record:
            case Ask():
                expected = rules.next_trial(record.time)
            case Reported():
                decision = rules.judge(
                    record.number, record.images_seen, record.stage, record.metrics
                )
                expected = replace(record, decision=decision)
            case Fault(cause="memory"):
                expected = replace(record, final=rules.state.trials[record.number].alone)
            case _:
                pass
        if expected is not None and repr(expected) != repr(record):
            broken.append(f"line {line}: expected {expected}, found {record}")
        rules.apply(record)
    return broken


def _halving(plan: Plan) -> Halving:
    reduction = plan.space.study.scheduler.reduction
    return Halving(plan.rungs, reduction, plan.base.budget.images)


def _confirming(confirms: int | None, images_seen: int, value: float, plan: Plan) -> Decision:
    """Decide on a report of a confirming trial: it trains to its end unless it is sick."""
    seen = f"{images_seen:,} images"
    if not math.isfinite(value):
        reason = f"the objective is not a finite number at {seen}"
        return Decision(action="prune", reason=reason, value=math.inf)
    if images_seen >= plan.base.budget.images:
        reason = f"trained to its end, {seen}; confirms trial {confirms}"
        return Decision(action="end", reason=reason, value=value)
    reason = f"confirms trial {confirms}, is never pruned"
    return Decision(action="go_on", reason=reason, value=value)
