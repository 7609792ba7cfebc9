"""Processes that train side by side for a while, to see how trials would share this machine."""

import json
import subprocess
import sys
import threading
from types import TracebackType

from raycolor.config import TrialConfig
from raycolor.plan import BUILT_IN

MOST_SECONDS = 90.0
"""Longest time of all measurements; what is not known by then is left out."""
STEP_SECONDS = 3.0
"""Of each measurement, or a single step."""
FULL = 0.9
"""Part of a GPU's memory that trials may take together."""


class Pacers:
    """Processes of `raycolor.pace`; they end with the block, or when their time is over."""

    def __init__(
        self,
        config: TrialConfig,
        data: str | None,
        number: int,
        *,
        command: tuple[str, ...] = (sys.executable, "-m", "raycolor.pace"),
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            config: what they train.
            data: the data set, as plans name it.
            number: of processes.
            command: runs one of them.
            most_seconds: after which they are ended.
        """
        data = None if data == BUILT_IN else data
        self._first = json.dumps({"config": config.model_dump(mode="json"), "data": data})
        self._number = number
        self._command = command
        self._limit = threading.Timer(most_seconds, self._kill)
        self._limit.daemon = True
        self._running: list[subprocess.Popen[str]] = []
        self._standing = False

    def __enter__(self) -> "Pacers":
        self._limit.start()
        for _ in range(self._number):
            self._running.append(
                subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limit.cancel()
        self._kill()
        for process in self._running:
            process.communicate()

    def speed(self, trials: int, threads: int) -> float | None:
        """Return the images a second of so many processes in all.

        Args:
            trials: processes that train at once.
            threads: of each.

        Returns:
            None if they do not fit into the GPU's memory, died, or had no time left.
        """
        if not self._standing and not self._stand():
            return None
        some = self._running[:trials]
        asked = json.dumps({"threads": threads, "seconds": STEP_SECONDS})
        answers = self._ask(some, asked)
        if answers is None:
            return None
        found = [json.loads(answer) for answer in answers]
        if sum(one["gpu_share"] for one in found) > FULL:
            return None
        return float(sum(one["images"] / one["seconds"] for one in found))

    def _stand(self) -> bool:
        """Wait until the networks of all stand; tell whether they do."""
        self._standing = self._ask(self._running, self._first) is not None
        return self._standing

    def _ask(self, some: list[subprocess.Popen[str]], question: str) -> list[str] | None:
        """Ask all at once, then read one line of each; None if one of them is gone."""
        for process in some:
            assert process.stdin is not None
            try:
                process.stdin.write(question + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                return None
        answers = []
        for process in some:
            assert process.stdout is not None
            answers.append(process.stdout.readline())
        return answers if all(answers) else None

    def _kill(self) -> None:
        for process in self._running:
            process.kill()
