"""Journals that a test tells by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raycolor.plan import Plan
from raycolor.spaces.domains import Scalar
from raycolor.study.records import (
    Action,
    Ask,
    Decision,
    End,
    Fault,
    FaultCause,
    Record,
    References,
    Reported,
    Session,
)
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import FD, GRAY, metrics


@dataclass(slots=True, kw_only=True)
class Told:
    """A journal that a test tells record by record, in any state that it wishes."""

    records: list[Record] = field(default_factory=list)

    @property
    def state(self) -> StudyState:
        """What the journal says."""
        return fold(self.records)

    def session(self, plan: Plan) -> "Told":
        """A driver began."""
        identity = {**plan.identity(), "fingerprint": "abc"}
        self.records.append(
            Session(
                format=1,
                time=self._time(),
                identity=identity,
                plan=plan.as_tree(),
                environment={"python": "3"},
            )
        )
        return self

    def gray(self, value: float = GRAY) -> "Told":
        """The grey pictures were scored."""
        self.records.append(References(time=self._time(), scores={"gray": {FD: value}}))
        return self

    def ask(self, **changed: Scalar) -> int:
        """A trial began; keywords are paths with `__` for dots, None takes a path out."""
        chosen: dict[str, Scalar] = {
            "losses.l1_lambda": 84.0,
            "optimizers.discriminator.learning_rate": 1e-4,
            "generator.backbone": "efficientnet_lite0",
            "pretraining.images": 0,
        }
        chosen |= {path.replace("__", "."): value for path, value in changed.items()}
        chosen = {path: value for path, value in chosen.items() if value is not None}
        number = sum(isinstance(record, Ask) for record in self.records)
        self.records.append(
            Ask(time=self._time(), number=number, phase="search", seed=7, chosen=chosen)
        )
        return number

    def report(
        self,
        number: int,
        images: int,
        value: float | None,
        action: Action = "go_on",
        reason: str = "between rungs",
        rung: int | None = None,
        cutoff: float | None = None,
        standing: int | None = None,
        more: Mapping[str, float] | None = None,
    ) -> "Told":
        """A trial reported."""
        self.records.append(
            Reported(
                time=self._time(),
                number=number,
                images_seen=images,
                stage="adversarial",
                metrics={**metrics(value, images), **(more or {})},
                decision=Decision(
                    action=action,
                    reason=reason,
                    rung=rung,
                    value=value,
                    cutoff=cutoff,
                    standing=standing,
                ),
            )
        )
        return self

    def fault(
        self,
        number: int,
        text: str = "the worker died",
        *,
        final: bool = True,
        cause: FaultCause | None = None,
        images: int = 0,
    ) -> "Told":
        """A trial failed."""
        self.records.append(
            Fault(
                time=self._time(),
                number=number,
                images_seen=images,
                text=text,
                final=final,
                cause=cause,
            )
        )
        return self

    def _time(self) -> float:
        return 1_000_000_000.0 + len(self.records)


def end(number: int) -> End:
    """A record that differs from others by its time."""
    return End(time=float(number), reason="finished")
