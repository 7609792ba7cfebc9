"""GPU memory of trials, with a CUDA that is made up."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import torch

import raycolor.trial
from raycolor.config import TrialConfig
from raycolor.crops import Residents
from raycolor.errors import Diverged
from raycolor.study.engine import Engine
from raycolor.study.journal import Journal
from raycolor.study.rules import Nothing
from raycolor.study.state import TrialState
from raycolor.trial import Report
from raycolor.tuning import memory
from raycolor.tuning.adapters import Dispatcher
from raycolor.tuning.trainable import Assignment, Outcome, StudyTrainable, needs
from tests.unit.study.fakes import clock, make

GIB = 2**30


@dataclass(slots=True, kw_only=True)
class Card:
    """A GPU of 16 GiB, and what was asked of it."""

    free: int = 15 * GIB
    reserved: int = 0
    broken: bool = False
    calls: list[Any] = field(default_factory=list)

    def mem_get_info(self) -> tuple[int, int]:
        if self.broken:
            raise RuntimeError("CUDA error: out of memory")
        return self.free, 16 * GIB


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(cuda, "mem_get_info", card.mem_get_info)
    monkeypatch.setattr(cuda, "memory_reserved", lambda: card.reserved)
    monkeypatch.setattr(cuda, "set_per_process_memory_fraction", card.calls.append)
    monkeypatch.setattr(cuda, "reset_peak_memory_stats", lambda: card.calls.append("peak"))
    monkeypatch.setattr(cuda, "empty_cache", lambda: card.calls.append("emptied"))
    return card


@pytest.mark.parametrize(("gpus", "capped"), [(0.25, 0.25), (0.5, 0.5), (1.0, 1.0), (2.0, 1.0)])
def test_a_trial_keeps_to_its_share(card: Card, gpus: float, capped: float) -> None:
    memory.keep_to_share(gpus)
    assert card.calls == [capped, "peak"]


def test_without_a_gpu_nothing_is_capped(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.keep_to_share(0.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory.keep_to_share(0.5)
    assert card.calls == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.OutOfMemoryError(), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator"), False),
        (ValueError("CUDA out of memory"), False),
        (MemoryError(), False),
    ],
)
def test_what_counts_as_running_out(error: Exception, expected: bool) -> None:
    assert memory.is_out_of_memory(error) == expected


ALONE = "it is to run once more, alone on a whole GPU"
AGAIN = "it is to run once more, in a new process"
REMEDY = "take a smaller budget.batch_size, data.size or generator, or a GPU with more memory"
OTHERS = ", of which other programs held 5.0 GiB"


@pytest.mark.parametrize(
    ("gpus", "alone", "where", "follows"),
    [
        (0.5, False, "in 1/2 of a GPU of 16.0 GiB", ALONE),
        (0.3333, False, "in 1/3 of a GPU of 16.0 GiB", ALONE),
        (1.0, False, f"on a whole GPU of 16.0 GiB{OTHERS}", AGAIN),
        (1.0, True, f"on a whole GPU of 16.0 GiB{OTHERS}", REMEDY),
    ],
)
def test_it_is_told_in_one_sentence(
    card: Card, gpus: float, alone: bool, where: str, follows: str
) -> None:
    card.free, card.reserved = GIB, 10 * GIB
    told = memory.shortage(gpus=gpus, alone=alone, batch_size=64, size=128)
    assert told == (f"ran out of GPU memory {where}, with batch size 64 at 128 pixels; {follows}")


def test_cuda_s_own_memory_is_no_other_program_s(card: Card) -> None:
    card.free, card.reserved = GIB // 2, 15 * GIB
    told = memory.shortage(gpus=1.0, alone=True, batch_size=64, size=128)
    assert "whole GPU of 16.0 GiB, with" in told


def test_a_gpu_that_does_not_even_tell_its_size(card: Card) -> None:
    card.broken = True
    told = memory.shortage(gpus=1.0, alone=True, batch_size=64, size=128)
    assert told.startswith("ran out of GPU memory on a whole GPU, with batch size 64 at 128 pixels")


# --- a worker


class Weights:
    """Stands for tensors on the card."""


class Trials:
    """Replaces `train`: what each trial does, and whether its tensors still live."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.held: list[ref[Weights]] = []

    def train(self, config: TrialConfig, *args: Any, **named: Any) -> Iterator[Report]:
        weights = Weights()
        circle: list[Any] = [weights]
        circle.append(circle)  # as networks and optimisers refer to each other
        self.held.append(ref(weights))
        yield Report(images_seen=16, stage="adversarial", metrics={}, references={})
        if (error := self.errors.pop(0)) is not None:
            raise error
        yield Report(images_seen=32, stage="adversarial", metrics={}, references={})

    @property
    def alive(self) -> list[bool]:
        return [weights() is not None for weights in self.held]


def assignment(folder: Path, *, gpus: float = 0.5, alone: bool = False) -> dict[str, Any]:
    return {
        "number": 0,
        "name": "000",
        "config": TrialConfig().model_dump(mode="json"),
        "data": None,
        "folder": str(folder),
        "address": None,
        "study": None,
        "mark": "",
        "rungs": (),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "alone": alone,
        "share_pretraining": False,
        "publish_pretraining": False,
        "silence_seconds": None,
    }


def begin(folder: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> StudyTrainable:
    monkeypatch.setattr(raycolor.trial, "train", trials.train)
    # What Ray's constructor needs, a running Ray, is none of this.
    worker = StudyTrainable.__new__(StudyTrainable)
    worker.setup(assignment(folder))
    return worker


def outcome(worker: StudyTrainable) -> Outcome:
    found = worker.step()["outcome"]
    assert isinstance(found, Outcome)
    return found


def test_a_worker_that_ran_out_says_so_and_gives_everything_back(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = Trials(torch.OutOfMemoryError("CUDA out of memory."), None)
    forgotten: list[str] = []
    monkeypatch.setattr(Residents, "forget", lambda self: forgotten.append(card.calls[-1]))
    worker = begin(tmp_path, trials, monkeypatch)
    assert outcome(worker).images_seen == 16
    assert card.calls == [0.5, "peak"]
    assert trials.alive == [True]
    ran_out = outcome(worker)
    assert ran_out.shortage is not None
    assert ran_out.shortage.startswith("ran out of GPU memory in 1/2 of a GPU of 16.0 GiB")
    batch = TrialConfig().budget.batch_size
    assert f"with batch size {batch} at {TrialConfig().data.size} pixels" in ran_out.shortage
    assert (ran_out.fault, ran_out.storage) == (None, None)
    # Before the cache is emptied nothing may refer to what lies in it.
    assert trials.alive == [False]
    assert card.calls == [0.5, "peak", "emptied"]
    # The pictures too, and they are none of the next trial's memory.
    assert forgotten == ["peak"]
    # The process has another trial, alone now.
    assert worker.reset_config(assignment(tmp_path, gpus=1.0, alone=True))
    assert outcome(worker).images_seen == 16
    assert card.calls == [0.5, "peak", "emptied", "emptied", 1.0, "peak"]
    assert forgotten == ["peak"]  # a trial that ends leaves them to the next


def test_every_trial_leaves_its_memory_to_the_next(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = Trials(None, None)
    worker = begin(tmp_path, trials, monkeypatch)
    outcome(worker)
    worker.reset_config(assignment(tmp_path))
    assert (trials.alive, card.calls) == ([False], [0.5, "peak", "emptied"])


@pytest.mark.parametrize("error", [ValueError("a hole"), RuntimeError("illegal memory access")])
def test_other_errors_are_faults(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    worker = begin(tmp_path, Trials(error), monkeypatch)
    outcome(worker)
    failed = outcome(worker)
    assert failed.shortage is None
    assert failed.fault is not None
    assert str(error) in failed.fault


def test_a_diverged_trial_has_not_run_out(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = begin(tmp_path, Trials(Diverged(16, {})), monkeypatch)
    outcome(worker)
    diverged = outcome(worker)
    assert (diverged.stage, diverged.shortage) == ("diverged", None)


def test_one_that_runs_alone_needs_a_process_of_its_own(tmp_path: Path) -> None:
    """Ray gives a process to trials with equal needs."""
    shared, whole = assignment(tmp_path, gpus=1.0), assignment(tmp_path, gpus=1.0, alone=True)
    assert needs(shared) == needs(assignment(tmp_path, gpus=1.0))
    assert needs(shared) != needs(whole)
    assert needs(shared).required_resources == needs(whole).required_resources
    assert needs(assignment(tmp_path)).required_resources["GPU"] == 0.5


# --- the driver


def test_ray_is_told_of_the_end_only_when_nothing_can_come_back(tmp_path: Path) -> None:
    """Ray asks no more once it has heard that nothing is left."""
    plan = make(tmp_path, trials=2)
    with Journal(plan.folder / "journal") as journal:
        engine = Engine(plan, journal, clock=clock())
        engine.begin({}, "abc")

        def assign(trial: TrialState) -> Assignment:
            return Assignment(**assignment(tmp_path, alone=trial.alone) | {"number": trial.number})

        dispatcher = Dispatcher(engine, assign, deadline=None, gpus=0.5)

        def begun(trial_id: str) -> tuple[int, bool]:
            found = dispatcher.next(trial_id)
            assert isinstance(found, Assignment)
            return found.number, found.alone

        assert [begun("a"), begun("b")] == [(0, False), (1, False)]
        assert dispatcher.next("c") is Nothing.LATER
        assert not dispatcher.receive("b", Outcome(fault="Traceback:\na hole"))
        assert dispatcher.next("c") is Nothing.LATER
        assert not dispatcher.receive("a", Outcome(shortage="ran out of GPU memory"))
        assert begun("c") == (0, True)
        assert dispatcher.next("d") is Nothing.LATER
        dispatcher.fault("c", "the worker died", final=False)
        assert dispatcher.next("d") is Nothing.LATER
        assert not dispatcher.receive("c", Outcome(shortage="ran out of GPU memory again"))
        assert dispatcher.next("d") is Nothing.LEFT
    assert [trial.status for trial in engine.state.trials] == ["failed", "failed"]
    assert engine.state.trials[0].reason == "ran out of GPU memory again"
