import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from raycolor.errors import DataError
from raycolor.preparation.workers import Lost, Workers
from tests.unit.preparation import duties


def run(
    duty: duties.Duty, jobs: Iterable[int], number: int = 2, patience_s: float = 60.0
) -> dict[int, int | Lost]:
    with Workers[int, int](
        duty, number, patience_s=patience_s, preload="raycolor.preparation.squares"
    ) as workers:
        return dict(workers.run(iter(jobs)))


@pytest.mark.parametrize("number", [1, 3])
def test_every_job_is_done_once(number: int) -> None:
    assert run(duties.double, range(50), number) == {i: 2 * i for i in range(50)}


def test_no_jobs_no_results() -> None:
    assert run(duties.double, []) == {}


def test_jobs_are_shared() -> None:
    processes = run(duties.process, range(40), 3)
    assert len(set(processes.values())) == 3
    assert os.getpid() not in processes.values()


@pytest.mark.parametrize("duty", [duties.die_at_three, duties.overflow_at_three])
def test_process_that_dies_costs_its_job_only(duty: duties.Duty) -> None:
    done = run(duty, range(6))
    lost = done.pop(3)
    assert done == {i: 2 * i for i in (0, 1, 2, 4, 5)}
    assert isinstance(lost, Lost)
    assert lost.how == "crashed"
    assert "ended with code -" in lost.detail


def test_job_whose_process_was_killed_once_is_done(tmp_path: Path) -> None:
    with Workers[Path, str](
        duties.die_once, 1, patience_s=60.0, preload="raycolor.preparation.squares"
    ) as workers:
        (done,) = workers.run(iter([tmp_path / "been"]))
    assert done == (tmp_path / "been", "done")


def test_process_that_hangs_costs_its_job_only() -> None:
    began = time.monotonic()
    done = run(duties.hang_at_three, range(6), patience_s=0.5)
    assert done.pop(3) == Lost("hung", "was ended after 0.5 seconds")
    assert done == {i: 2 * i for i in (0, 1, 2, 4, 5)}
    assert time.monotonic() - began > 0.5


def test_patience_begins_with_the_job_not_with_the_process() -> None:
    # A process needs longer to start than this; a job does not.
    assert run(duties.double, range(3), patience_s=0.05) == {0: 0, 1: 2, 2: 4}


def test_processes_that_always_die_end_it() -> None:
    with pytest.raises(DataError, match=r"20 processes died one after another.*-9.*--workers"):
        run(duties.die, range(100))


def test_fault_of_ours_is_no_crash_of_a_decoder() -> None:
    with pytest.raises(RuntimeError, match="a process failed at 3; see the traceback"):
        run(duties.fail_at_three, range(6), number=1)


def test_ctrl_c_is_not_for_the_processes() -> None:
    assert run(duties.interrupt_itself, range(3)) == {0: 0, 1: 2, 2: 4}


def test_processes_end_with_the_block() -> None:
    with Workers[int, int](
        duties.process, 2, patience_s=60.0, preload="raycolor.preparation.squares"
    ) as workers:
        processes = {process for _, process in workers.run(iter(range(30)))}
    assert len(processes) == 2
    for process in processes:
        assert isinstance(process, int)
        assert not psutil.pid_exists(process)


def test_large_jobs_are_made_one_ahead() -> None:
    made = 0

    def jobs() -> Iterator[bytes]:
        nonlocal made
        for _ in range(12):
            made += 1
            yield bytes(3_000_000)

    with Workers[bytes, int](
        duties.measure, 2, patience_s=60.0, preload="raycolor.preparation.squares"
    ) as workers:
        for number, (_, size) in enumerate(workers.run(jobs()), start=1):
            assert size == 3_000_000
            assert made <= number + 2 + 1
    assert made == 12
