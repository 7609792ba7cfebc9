"""Processes that train side by side for a while, to see how trials would share this machine."""

import json
import math
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from raycolor.config import TrialConfig
from raycolor.plan import BUILT_IN

MOST_SECONDS = 120.0
"""Longest time of all measurements; what is not known by then is left out."""
STEP_SECONDS = 3.0
"""Of each measurement, or a single step."""
FULL = 0.9
"""Part of a GPU's memory that trials may take together, and more of them of what is free of the
machine's."""
LONGEST = 200
"""Characters of what a process said last."""


class OutOfTime(Exception):  # noqa: N818  # no error: some speeds are known
    """The time of all measurements is over."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pacer:
    process: subprocess.Popen[str]
    errors: IO[str]
    """What it writes to its standard error."""

    def last_words(self) -> str:
        """Say why it ended."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return lines[-1][:LONGEST].rstrip(".") if lines else f"exit code {code}"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Pacers:
    """Processes of `raycolor.pace`; they end with the block, or when their time is over.

    They start when a measurement needs them: where four do not fit into a GPU's memory, two may.

    Attributes:
        trouble: why the last measurement gave no speed, in words; empty before there was one.
    """

    trouble: str = ""

    def __init__(
        self,
        config: TrialConfig,
        data: str | None,
        *,
        command: tuple[str, ...] = (sys.executable, "-m", "raycolor.pace"),
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            config: what they train.
            data: the data set, as plans name it.
            command: runs one of them.
            most_seconds: after which they are ended.
        """
        data = None if data == BUILT_IN else data
        self._first = {"config": config.model_dump(mode="json"), "data": data}
        self._command = command
        self._seconds = most_seconds
        self._timer = threading.Timer(most_seconds, self._kill)
        self._timer.daemon = True
        self._starting = threading.Lock()
        self._over = False
        self._running: list[_Pacer] = []
        self._fitting = 0  # so many have trained at once

    def __enter__(self) -> "Pacers":
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._end(list(self._running))

    def speed(self, trials: int, threads: int, gpus: float = 0.0) -> float | None:
        """Return the images a second of so many processes in all.

        Args:
            trials: processes that train at once.
            threads: of each.
            gpus: of each, with that share of its memory.

        Returns:
            None if one of them ended, or all together need more than the GPU's memory; those that
            no smaller number needs are ended then.

        Raises:
            OutOfTime: now, or before.
        """
        speed = self._speed(trials, {"threads": threads, "seconds": STEP_SECONDS, "gpus": gpus})
        if speed is None:
            if self._over:
                raise self._out_of_time()
            self._end(self._running[self._fitting :])
        return speed

    def _speed(self, trials: int, asked: dict[str, Any]) -> float | None:
        number = trials - len(self._running)
        if not asked["gpus"] and self._running and number * self._largest() > FULL * _free_bytes():
            self.trouble = f"{trials} of them would fill this machine's memory"
            return None
        missing = [self._begin() for _ in range(number)]
        if self._ask(missing, self._first) is None:
            return None
        answers = self._ask(self._running[:trials], asked)
        if answers is None:
            return None
        found = [json.loads(answer) for answer in answers]
        # Alone, a trial may have all of it.
        if trials > 1 and sum(one["gpu_share"] for one in found) > FULL:
            self.trouble = f"{trials} of them fill the memory of the GPU"
            return None
        self._fitting = max(self._fitting, trials)
        return float(sum(one["images"] / one["seconds"] for one in found))

    def _begin(self) -> _Pacer:
        """Start one more process."""
        with self._starting:
            # Nobody would end it any more.
            if self._over:
                raise self._out_of_time()
            errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # outlives this
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            pacer = _Pacer(process=process, errors=errors)
            self._running.append(pacer)
        return pacer

    def _ask(self, some: list[_Pacer], question: dict[str, Any]) -> list[str] | None:
        """Ask all at once, then read one line of each; None if one of them is gone."""
        answers = []
        for pacer in some:
            assert pacer.process.stdin is not None
            try:
                pacer.process.stdin.write(json.dumps(question) + "\n")
                pacer.process.stdin.flush()
            except BrokenPipeError:
                pass  # it has ended: it will not answer
        for pacer in some:
            assert pacer.process.stdout is not None
            answers.append(pacer.process.stdout.readline())
        gone = [pacer for pacer, answer in zip(some, answers, strict=True) if not answer]
        if not gone:
            return answers
        self.trouble = f"a process that trains it ended: {gone[0].last_words()}"
        self._end(gone)
        return None

    def _largest(self) -> int:
        """Return the bytes of memory that one of them has needed at most; 0 if nobody knows."""
        found = (
            _kibibytes(Path("/proc", str(pacer.process.pid), "status"), "VmHWM")
            for pacer in self._running
        )
        return max((each or 0 for each in found), default=0) * 1024

    def _end(self, some: list[_Pacer]) -> None:
        for pacer in some:
            self._running.remove(pacer)
            pacer.end()

    def _out_of_time(self) -> OutOfTime:
        self.trouble = f"it took longer than {self._seconds:.0f} seconds"
        return OutOfTime()

    def _kill(self) -> None:
        with self._starting:
            self._over = True
            for pacer in list(self._running):
                pacer.process.kill()


def _free_bytes() -> float:
    """Return how much of this machine's memory more processes could take; endless if nobody knows.

    What Linux tells; elsewhere the measurement goes on without it.
    """
    found = _kibibytes(Path("/proc/meminfo"), "MemAvailable")
    return math.inf if found is None else 1024.0 * found


def _kibibytes(path: Path, name: str) -> int | None:
    """Read one line of a file of Linux's kernel; None where there is none."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
