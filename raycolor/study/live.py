"""What a user sees while a study runs: a live table, or a line a report where it is no terminal."""

import math
import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from raycolor.plan import Plan
from raycolor.study.confirmation import winner
from raycolor.study.engine import Event
from raycolor.study.forecast import remaining_seconds, total_seconds
from raycolor.study.leaderboard import gray_score
from raycolor.study.naming import short_path, trial_name, value_text
from raycolor.study.records import Ask, Fault, Reported
from raycolor.study.state import StudyState, TrialState

STYLES = {"open": "bold", "completed": "green", "pruned": "dim", "failed": "red"}
LINES_AROUND = 8
"""Lines of the terminal that are not rows of trials."""
SECONDS_OF_AN_ESTIMATE = 1.0
"""For which an estimate of the time left stands: making one looks at all trials."""
WIDE = 80
"""Columns of a terminal from which on stage, loss and accuracy are shown."""


class LiveView:
    """An observer of the engine that shows the study."""

    def __init__(
        self, plan: Plan, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._console = console
        self._clock = clock
        self._state = StudyState()
        self._seconds_before = 0.0
        self._started = clock()
        self._live: Live | None = None
        self._left: float | None = None
        self._estimated: float | None = None

    def start(self, state: StudyState) -> None:
        """Begin to show."""
        self.begin(state)
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self.render, console=self._console, refresh_per_second=2
            )
            self._live.start()
        else:
            self._console.print("starting Ray and the first trials")

    def begin(self, state: StudyState) -> None:
        """Begin to measure, without showing anything: a session has begun."""
        self._state = state
        self._seconds_before = total_seconds(state)
        self._started = self._clock()

    def stop(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def take(self, event: Event) -> None:
        """Show one new record."""
        self._state = event.state
        if self._live is not None:
            return
        match event.record:
            case Ask():
                trial = event.state.trials[event.record.number]
                values = (f"{short_path(p)} {value_text(v)}" for p, v in trial.chosen.items())
                self._line(f"{trial_name(trial.number, trial.chosen)}  begins: {', '.join(values)}")
            case Reported():
                self._line(self._report_line(event.record))
            case Fault():
                trial = event.state.trials[event.record.number]
                what = "failed" if event.record.final else "is taken up again"
                text = event.record.text.splitlines()[-1]
                self._line(f"{trial_name(trial.number, trial.chosen)}  {what}: {text}")
            case _:
                pass

    def _line(self, text: str) -> None:
        elapsed = duration(self._clock() - self._started)
        self._console.print(f"{elapsed}  {text}", soft_wrap=True, markup=False, highlight=False)

    def _report_line(self, record: Reported) -> str:
        trial = self._state.trials[record.number]
        metrics, key = record.metrics, self._plan.objective
        parts = [
            trial_name(trial.number, trial.chosen),
            record.stage,
            f"{record.images_seen:,} images",
            f"objective {metrics.get(key, math.nan):.4g}",
            f"loss {metrics.get('generator_loss', math.nan):.4g}",
        ]
        if "discriminator_accuracy" in metrics:
            parts.append(f"accuracy {metrics['discriminator_accuracy']:.0%}")
        action = {"go_on": "goes on", "prune": "PRUNED", "end": "completed"}
        parts.append(f"{action[record.decision.action]}: {record.decision.reason}")
        eta = self._eta()
        return "  ".join(parts) + (f"  (about {duration(eta)} left)" if eta is not None else "")

    def _eta(self) -> float | None:
        """Estimate the seconds left; None before the first report."""
        now = self._clock()
        fresh = self._estimated is not None and now - self._estimated < SECONDS_OF_AN_ESTIMATE
        if self._left is None or not fresh:
            self._left = remaining_seconds(
                self._state,
                self._plan,
                seconds_before=self._seconds_before,
                elapsed_s=now - self._started,
            )
            self._estimated = now
        return self._left

    def render(self) -> Group:
        """Build the picture of this moment."""
        return Group(self.headline(), self._table())

    def headline(self) -> Text:
        """Say how far the study is and who leads, in two lines."""
        state, plan = self._state, self._plan
        best = winner(state, plan)
        gray = gray_score(state, plan)
        ended = sum(trial.status != "open" for trial in state.searched)
        pruned = sum(trial.status == "pruned" for trial in state.searched)
        text = Text()
        text.append(f"{plan.study}", style="bold")
        text.append(f"  {ended} of {plan.trials} trials ended, {pruned} pruned")
        if again := [trial for trial in state.trials if trial.phase == "confirm"]:
            done = sum(trial.status != "open" for trial in again)
            text.append(f", {done} of {len(again)} confirmed")
        eta = self._eta()
        left = "starting" if eta is None else f"about {duration(eta)} left"
        text.append(f"  |  {duration(self._clock() - self._started)} elapsed, {left}\n")
        if best is None or gray is None:
            text.append("first reports are on their way", style="dim")
            return text
        value = best.best(plan.objective)
        text.append(f"best so far {value:.2f}", style="green bold")
        text.append(f" by {trial_name(best.number, best.chosen)}")
        text.append(f"; {against_gray(value, gray)} gray ({gray:.2f})")
        return text

    def _table(self) -> Table:
        # The last column alone gives way on a narrow terminal; on a very narrow one some others go.
        wide = self._console.width >= WIDE
        numbers = ("images", "objective", "loss", "accuracy") if wide else ("images", "objective")
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for name in ("trial", "stage") if wide else ("trial",):
            table.add_column(name, no_wrap=True)
        for name in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("status", no_wrap=True, overflow="ellipsis", ratio=1)
        for trial in self._shown():
            metrics = trial.last_metrics
            best = trial.best(self._plan.objective)
            accuracy = metrics.get("discriminator_accuracy")
            status = "running" if trial.status == "open" else trial.status
            reason = trial.reason.splitlines()[-1] if trial.reason else "starting"
            cells = {
                "trial": trial_name(trial.number, trial.chosen),
                "stage": trial.reports[-1].stage if trial.reports else "",
                "images": f"{trial.images_seen:,}",
                "objective": f"{best:.2f}" if math.isfinite(best) else "",
                "loss": f"{metrics['generator_loss']:.2f}" if "generator_loss" in metrics else "",
                "accuracy": "" if accuracy is None else f"{accuracy:.0%}",
                "status": f"{status}: {reason}" if self._console.width >= WIDE else status,
            }
            shown = [cells[str(column.header)] for column in table.columns]
            table.add_row(*map(escape, shown), style=STYLES[trial.status])
        return table

    def _shown(self) -> list[TrialState]:
        """Choose the trials that fit: open ones, then the newest of the others, in order."""
        room = max(4, self._console.size.height - LINES_AROUND)
        trials = self._state.trials
        if len(trials) <= room:
            return trials
        by_need = sorted(trials, key=lambda trial: (trial.status != "open", -trial.number))
        return sorted(by_need[:room], key=lambda trial: trial.number)


def against_gray(value: float, gray: float) -> str:
    """Say how far a value lies under or above that of the grey pictures."""
    if not gray > 0:
        return "not under"  # photographs without colour
    share = 1 - value / gray
    return f"{abs(share):.1%} {'under' if share >= 0 else 'ABOVE'}"


def duration(seconds: float) -> str:
    """Write a span of time as 4:22, or 1:04:22 with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
