"""How far a preparation is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 15.0
"""Seconds between two lines where no bar can be drawn."""


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show the progress while the block runs.

    Yields:
        A function to be told how many files of how many are done.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task("Reading", total=None)

        def watch(done: int, total: int) -> None:
            step = "Writing" if done == total else "Reading"
            progress.update(task, description=step, completed=done, total=total)

        yield watch


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == 0:
            self._console.print(f"Reading {total:,} files.")
            self._began = self._last = now
        elif done == total:
            self._console.print("Writing the data set.")
        elif now - self._last >= LINE_EVERY_S:
            self._last = now
            rate = done / (now - self._began)
            left = (total - done) / rate
            self._console.print(
                f"{done:,} of {total:,} files, {rate:.0f} a second, about {_duration(left)} left"
            )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
