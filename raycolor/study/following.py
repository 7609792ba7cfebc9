"""Following a study that another process works on, from this machine or from another one."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from raycolor.errors import CheckpointError
from raycolor.plan import Plan
from raycolor.remote.bucket import Bucket
from raycolor.storage import HopelessError, Patience, StorageError
from raycolor.study.engine import is_finished
from raycolor.study.live import LiveView
from raycolor.study.look import Builder, Look
from raycolor.study.naming import trial_name
from raycolor.study.news import WAITS_S, News
from raycolor.study.pulse import Pulse
from raycolor.study.records import Record, Session
from raycolor.study.segments import holder
from raycolor.study.state import StudyState

PAUSE_S = 10.0
"""Seconds between two rounds, if the user names none."""
MOST_NAMED = 4
"""Trials at work that a line names."""


class Follower:
    """Reads a study's journal again and again, builds its views and shows how it goes.

    Attributes:
        state: of the study.
        plan: of its newest session; None before the first.
    """

    def __init__(
        self,
        look: Look,
        console: Console,
        *,
        tell: Callable[[str], None],
        pause_s: float = PAUSE_S,
        page: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin; the look's folder is held by the caller.

        Args:
            look: at the study.
            console: where to show it: a table that is refreshed in place on a terminal, otherwise a
                line when something has changed.
            tell: hears what is out of the ordinary, a sentence each time.
            pause_s: seconds between two rounds.
            page: where the page goes, if not into the look's folder.
            clock: seconds of this machine.
            sleep: waits that many seconds.
        """
        self.state = StudyState()
        self.plan: Plan | None = None
        self._look = look
        self._console = console
        self._tell = tell
        self._pause_s = pause_s
        self._page = page
        self._clock = clock
        self._sleep = sleep
        self._reader = look.reader()
        self._origin: str | None = None
        address = look.address or Path(look.named).resolve().as_uri()
        self._bucket = Bucket(address, patience=Patience(WAITS_S))
        self._pulse = Pulse(clock=clock)
        self._builder: Builder | None = None
        self._view: LiveView | None = None
        self._live: Live | None = None
        self._heard = clock()
        self._said = ""
        self._is_away = self._is_gone = self._is_doubted = False

    def run(self) -> None:
        """Follow the study until it has ended; all views are complete then.

        Raises:
            CheckpointError: there is no study, its journal is damaged, or its storage refuses in a
                way that no waiting mends.
            KeyboardInterrupt: the user has seen enough.
        """
        try:
            while not self.round():
                self._sleep(self._pause_s)
        finally:
            if self._live is not None:
                self._live.stop()
                self._live = None
            if self._builder is not None:
                self._builder.close()

    def round(self) -> bool:
        """Read, build and show once.

        Returns:
            Whether the study has ended and everything is built.

        Raises:
            CheckpointError: as `run`.
        """
        first = self._origin is None
        try:
            # First, since what was read once does not come again.
            found = holder(self._bucket)
            former, news = self._origin, self._reader.read()
            if first and news.kind == "gone":
                raise self._look.missing()
            self._take(news, former)
            self._pulse.look(found, news=bool(news.records) and not first)
            done = self._build()
        except StorageError as error:
            if first or isinstance(error.__cause__, HopelessError):
                raise
            self._note_away(error)
            return False
        except CheckpointError:
            # Files are listed and read one after the other, and may be taken away meanwhile.
            if first or self._is_doubted:
                raise
            self._is_doubted = True
            return False
        self._is_doubted = False
        if self._is_away:
            self._is_away = False
            self._tell(f"{self._look.named}: it works again.")
        self._show(changed=bool(news.records) or news.kind == "anew")
        return done

    def _note_away(self, error: StorageError) -> None:
        if not self._is_away:
            self._is_away = True
            # What it says at its end is for commands that give up.
            what = str(error).rpartition("; ")[0]
            self._tell(f"{what}; trying again every {self._pause_s:g} s.")

    # --- what the journal says

    def _take(self, news: News, former: str | None) -> None:
        """Take in what is new."""
        match news.kind:
            case "gone":
                if not self._is_gone and former is not None:
                    self._tell(f"{self._moved(former)}; waiting for a new one.")
                    self._is_gone = True
            case "anew":
                self._origin = news.origin
                if former is not None and former != self._origin:
                    before = "" if self._is_gone else f"{self._moved(former)}, and "
                    self._tell(
                        f"{before or self._look.named + ': '}a new study has begun there, which "
                        "is followed from now on."
                    )
                self._is_gone = False
                self._begin_anew()
                self._apply(news.records)
            case "more":
                self._is_gone = False
                self._apply(news.records)

    def _moved(self, origin: str) -> str:
        try:
            aside = self._reader.aside(origin)
        except StorageError:
            aside = None
        where = "moved aside, or deleted" if aside is None else f"moved aside to {aside}"
        return f"{self._look.named}: the study that was followed has been {where}"

    def _begin_anew(self) -> None:
        if self._builder is not None:
            self._builder.close()
        self.state, self.plan, self._builder, self._view = StudyState(), None, None, None
        self._pulse = Pulse(clock=self._clock)

    def _apply(self, records: list[Record]) -> None:
        self._heard = self._clock()
        for record in records:
            self.state.apply(record)
            if isinstance(record, Session):
                # Measured from here on: what earlier sessions took says nothing of this one.
                self.plan = self._look.plan(record)
                self._view = LiveView(self.plan, self._console, clock=self._time_there)
                self._view.begin(self.state)
        if records and self._builder is not None and self.plan is not None:
            self._builder.plan = self.plan
            self._builder.note()

    def _time_there(self) -> float:
        """Tell the time of the driver's clock, as far as its records tell."""
        running = self.state.ending is None and self._pulse.lives()
        return self.state.last_time + (self._clock() - self._heard if running else 0.0)

    def _build(self) -> bool:
        """Build what is new; return whether that was the last time."""
        if self.plan is None or self._origin is None:
            return False
        if self._builder is None:
            # What an older study of this name left goes aside.
            self.plan.files.belong(self._origin)
            self._builder = Builder(self.plan, page=self._page, clock=self._clock)
        done = self._has_ended(self.plan)
        self._builder.build(self.state, all_of_it=done)
        return done

    def _has_ended(self, plan: Plan) -> bool:
        """Tell whether nothing more is to come without a new wish of a person."""
        finished = is_finished(self.state, plan)
        if self.state.ending is not None:
            return finished or self.state.ending.reason != "interrupted"
        # A driver that was killed between its last report and its last word.
        return finished and self._pulse.lives() is False

    # --- what is shown

    def _show(self, *, changed: bool) -> None:
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(
                    get_renderable=self.render, console=self._console, refresh_per_second=2
                )
                self._live.start()
            return
        pulse = self._pulse.sentence(self.state)
        if changed or pulse != self._said:
            self._said = pulse
            text = f"{time.strftime('%H:%M:%S')}  {self.line()}"
            self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def line(self) -> str:
        """Say in one line how the study goes."""
        if self._view is None:
            return "the study begins"
        headline = self._view.headline().plain.replace("\n", "; ")
        return f"{headline}; {self._at_work()}{self._pulse.sentence(self.state)}"

    def render(self) -> Group:
        """Build the picture of this moment."""
        # In the thread of the picture, while another may put a new study in the place of this one.
        view, plan = self._view, self.plan
        if view is None or plan is None:
            return Group(Text("the study begins", style="dim"))
        told = (
            f"\n{self._pulse.sentence(self.state)}\n"
            f"read every {self._pause_s:g} s; Ctrl-C ends looking, not the study\n"
            f"tensorboard --logdir {plan.folder / 'tensorboard'}"
        )
        return Group(view.render(), Text(told, style="dim"))

    def _at_work(self) -> str:
        running = [trial for trial in self.state.trials if trial.status == "open"]
        if self.state.ending is not None or not running:
            return ""
        named = ", ".join(
            f"{trial_name(trial.number, trial.chosen)} at {trial.images_seen:,} images"
            for trial in running[:MOST_NAMED]
        )
        more = f" and {len(running) - MOST_NAMED} more" if len(running) > MOST_NAMED else ""
        return f"at work: {named}{more}; "
