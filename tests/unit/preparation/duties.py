"""What worker processes are given to do in tests: some of it kills them."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def overflow_at_three(number: int) -> int:
    """Ends as a decoder does that writes where it must not."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return 2 * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(path: Path) -> str:
    """Dies unless the file is there, and leaves it."""
    if path.exists():
        return "done"
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def hang_at_three(number: int) -> int:
    if number == 3:
        # Deaf to everything but SIGKILL, as code in C may be.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    return 2 * number


def fail_at_three(number: int) -> int:
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  (the process ends with it)
    return 6 // (number - 3)


def interrupt_itself(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return 2 * number


def measure(content: bytes) -> int:
    return len(content)


def process(number: int) -> int:
    time.sleep(0.01)
    return os.getpid()


Duty = Callable[[int], int]
