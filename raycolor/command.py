"""What all command lines share: errors in plain words, exit codes, Ctrl-C and the console.

Exit codes:

- 0: done.
- 1: some of several files failed, the others are done; or a fault of raycolor, with a traceback.
- 2: the user's error: one sentence on stderr says what to mend; nothing was changed or lost.
- 130: interrupted, as shells have it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import tyro
from rich.console import Console

from raycolor.errors import RaycolorError

SOME_FAILED = 1
USER_ERROR = 2
INTERRUPTED = 130
WIDTH_OF_FILES = 140
"""Columns of tables where the output is no terminal, whose width nobody knows."""


@contextmanager
def command_line() -> Iterator[None]:
    """Run the body of a command line; what it raises becomes a sentence and an exit code."""
    # `kill` ends a command as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except RaycolorError as error:
        complain(str(error))
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        complain("Interrupted.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has what it wanted, as in `... | head`; Python must not complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(USER_ERROR)


def named(value: str | None) -> object:
    """Name the value of a flag in the help, and leave out a default that its text tells."""
    return tyro.conf.arg(metavar=value, help_behavior_hint="")


def complain(text: str) -> None:
    """Write to stderr, where the output of a command is not expected."""
    print(text, file=sys.stderr)  # noqa: T201  (a command line's error)


def make_console() -> Console:
    """Make the console of a command: colours where wanted, and whole lines in a pipe or a file."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    width = None if os.environ.get("COLUMNS", "").isdigit() else WIDTH_OF_FILES
    return Console(soft_wrap=True, highlight=False, width=width)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
