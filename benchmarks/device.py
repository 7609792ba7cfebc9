"""The device under the steps: waiting for it, and what it gives at best.

A GPU's calls are queued, so a block of them is timed as a whole and waited for once, at its end: to
wait after each call would measure the queue too.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the matrices that are multiplied."""
COPIED = {"cpu": 2**28, "cuda": 2**31}
"""Bytes that are copied: far more than caches hold."""
QUICK_SIDE, QUICK_COPIED = 256, 2**20
MOST_CALLS = 10_000
"""Of a block."""


def device_of_steps() -> torch.device:
    """Where steps are measured."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare_cuda() -> None:
    """Let CUDA's matrix library work with exact kernels too; before anything is asked of it."""
    # It reads this once, when it starts; where both kinds are measured, `fast` gets it too.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def about_device() -> dict[str, Any]:
    """Return what a benchmark's file says of the device beside its environment."""
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32": takes_tf32(),
        "threads": torch.get_num_threads(),
    }


def wait() -> None:
    """Wait until the device has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[int], object], seconds: float) -> tuple[float, float]:
    """Return seconds of one call, by the clock and of the processor.

    One call is waited for and says how many make up the time; then those are waited for together.

    Args:
        work: takes the number of its call.
        seconds: about as long; a single call takes as long as it takes.
    """
    wait()
    found = _block(work, 0, 1)
    calls = min(round(seconds / found[0]), MOST_CALLS)
    return found if calls < 2 else _block(work, 1, calls)


def _block(work: Callable[[int], object], first: int, calls: int) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    for call in range(first, first + calls):
        work(call)
    wait()
    return (time.perf_counter() - clock) / calls, (time.process_time() - processor) / calls


def takes_tf32() -> bool:
    """Tell whether the convolutions of a float32 step round their factors to TF32 here."""
    return (
        torch.cuda.is_available()
        and torch.cuda.get_device_capability() >= (8, 0)
        and torch.backends.cudnn.allow_tf32
    )


@contextmanager
def as_convolutions() -> Iterator[None]:
    """Let matrix products of float32 round as the convolutions of a step do.

    By torch's default convolutions take TF32 and products do not, and a step beside such a product
    would look several times nearer to the card's limit than it is.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Limits:
    """Measures what the device gives at best: products of large matrices, and copies."""

    def __init__(self, device: torch.device, *, quick: bool) -> None:
        """Measure nothing yet, and hold no memory.

        Args:
            device: that is measured.
            quick: take little of it.
        """
        self._side = QUICK_SIDE if quick else SIDE[device.type]
        self._copied = QUICK_COPIED if quick else COPIED[device.type]
        self._device = device

    def flop_per_second(self, precision: str, seconds: float) -> float:
        """Return products and sums a second of square matrices.

        Args:
            precision: `float32`, in which a GPU takes TF32 if convolutions do, or `bfloat16`.
            seconds: about how long it is measured.
        """
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        matrix = torch.randn(self._side, self._side, device=self._device).to(dtype)
        with as_convolutions():
            return 2.0 * self._side**3 / timed(lambda _: matrix @ matrix, seconds)[0]

    def bytes_per_second(self, seconds: float) -> float:
        """Return bytes a second, read and written alike."""
        source = torch.ones(self._copied // 4, device=self._device)
        copy = torch.empty_like(source)
        one, _ = timed(lambda _: copy.copy_(source), seconds)
        return 2.0 * source.nbytes / one
