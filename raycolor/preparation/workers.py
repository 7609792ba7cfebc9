"""Processes that share jobs. One that dies or hangs costs its job, never the whole.

Python's own pools break, or wait for ever, when a process is killed; decoders of pictures are
written in C, and files come from strangers.
"""

import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Generic, Literal, TypeVar

from raycolor.errors import DataError

J = TypeVar("J")
R = TypeVar("R")
TRIES = 2
"""A process may be killed for the greed of another, so a job gets a second try."""
MOST_LOSSES = 20
"""So many processes that die one after another, of ten jobs or more, are no fault of the jobs."""
STARTING_S = 60.0
"""Seconds that a process may take to start and to receive its job, beside the time for the job."""
RAISED = 1
"""Exit code of a process that ended with an error of Python."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of a job whose process died or hung."""

    how: Literal["crashed", "hung"]
    detail: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """A process says that it has its job."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[R]):
    result: R


@dataclass(slots=True, kw_only=True)
class _Worker(Generic[J]):
    process: BaseProcess
    connection: Connection
    job: J | None = None
    num_tries: int = 0
    """How often its job was begun, here and by processes that died of it."""
    deadline: float = 0.0
    """When its job hangs, in monotonic seconds."""


class Workers(Generic[J, R]):
    """Processes that each do one job at a time."""

    def __init__(
        self, work: Callable[[J], R], number: int, *, patience_s: float, preload: str
    ) -> None:
        """Start the processes.

        Args:
            work: does a job; it is sent to the processes once.
            number: of processes.
            patience_s: a job that takes longer hangs.
            preload: the module of `work`.
        """
        self._work = work
        self._patience_s = patience_s
        self._num_losses = 0
        """Processes that died since a job was last done."""
        self._context = _make_context()
        self._context.set_forkserver_preload([preload])
        self._workers: list[_Worker[J]] = []
        for _ in range(number):
            self._workers.append(self._start())

    def __enter__(self) -> "Workers[J, R]":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            _end(worker)

    def run(self, jobs: Iterator[J]) -> Iterator[tuple[J, R | Lost]]:
        """Do jobs, and give their results as they come.

        A job is taken from the iterator when a process is about to be free for it, so jobs may be
        large.

        Raises:
            DataError: processes die whatever the job.
            RuntimeError: a job raised an error, a fault of ours; its traceback is on stderr.
        """
        ahead = next(jobs, None)
        while True:
            for worker in self._workers:
                if ahead is None:
                    break
                if worker.job is None:
                    self._give(worker, ahead, num_tries=0)
                    # Made while the processes work.
                    ahead = next(jobs, None)
            busy = [worker for worker in self._workers if worker.job is not None]
            if not busy:
                return
            yield from self._wait(busy)

    def _wait(self, busy: list[_Worker[J]]) -> Iterator[tuple[J, R | Lost]]:
        """Wait until a process answers, dies or hangs."""
        first = min(worker.deadline for worker in busy)
        timeout_s = max(0.0, first - time.monotonic())
        answered = wait([worker.connection for worker in busy], timeout_s)
        for worker in busy:
            job = worker.job
            assert job is not None
            if worker.connection in answered:
                answer = self._receive(worker)
                if isinstance(answer, _Begun):
                    worker.num_tries += 1
                    worker.deadline = time.monotonic() + self._patience_s
                elif answer is not None:
                    worker.job = None
                    yield job, answer.result if isinstance(answer, _Done) else answer
            elif time.monotonic() > worker.deadline:
                self._replace(worker)
                yield job, Lost("hung", f"was ended after {self._patience_s:g} seconds")

    def _receive(self, worker: _Worker[J]) -> "_Begun | _Done[R] | Lost | None":
        """Read an answer; None means that the process died, and the job was given to another."""
        try:
            answer: _Begun | _Done[R] = worker.connection.recv()
        except (EOFError, OSError):
            job, num_tries = worker.job, worker.num_tries
            assert job is not None
            detail = self._bury(worker)
            if num_tries < TRIES:
                self._give(worker, job, num_tries=num_tries)
                return None
            return Lost("crashed", detail)
        if isinstance(answer, _Done):
            self._num_losses = 0
        return answer

    def _give(self, worker: _Worker[J], job: J, *, num_tries: int) -> None:
        while True:
            try:
                worker.connection.send(job)
            except OSError:
                self._bury(worker)
            else:
                worker.job, worker.num_tries = job, num_tries
                worker.deadline = time.monotonic() + self._patience_s + STARTING_S
                return

    def _bury(self, worker: _Worker[J]) -> str:
        """Replace a process that died, and say how it did."""
        worker.process.join()
        code = worker.process.exitcode
        self._num_losses += 1
        if code == RAISED:
            raise RuntimeError(f"a process failed at {worker.job!r:.200}; see the traceback above")
        if self._num_losses >= MOST_LOSSES:
            raise DataError(
                f"{MOST_LOSSES} processes died one after another, the last with exit code {code}; "
                "if memory is short, take fewer --workers"
            )
        self._replace(worker)
        return f"its process ended with code {code}, {TRIES} times"

    def _replace(self, worker: _Worker[J]) -> None:
        _end(worker)
        fresh = self._start()
        worker.process, worker.connection = fresh.process, fresh.connection
        worker.job = None

    def _start(self) -> _Worker[J]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._work, self._patience_s), daemon=True
        )
        # Ctrl-C reaches all processes of a terminal. Only we shall answer it, and end the others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(process=process, connection=ours)


def _end(worker: _Worker[J]) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _serve(connection: Connection, work: Callable[[J], R], patience_s: float) -> None:
    """Do jobs in a process of their own, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = connection.recv()
            connection.send(_Begun())
        except (EOFError, OSError):
            return
        # If the other side is killed, nobody else ends a job that hangs.
        signal.alarm(math.ceil(2 * patience_s) + 1)
        result = work(job)
        signal.alarm(0)
        with suppress(OSError):
            connection.send(_Done(result))


def _make_context() -> ForkServerContext | SpawnContext:
    # Forked by a clean server, a process starts at once and shares none of our threads.
    if sys.platform == "linux":
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")
