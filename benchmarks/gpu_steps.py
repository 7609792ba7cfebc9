"""Images a second of both training steps by batch, backbone, precision, kernels and compilation.

The networks of a backbone are built once: its cases differ in what they are fed and in the kernels.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from cases import Step, configuration, gigaflops_an_image
from device import Limits, device_of_steps, timed, wait
from torch import nn

from raycolor.config import TrialConfig
from raycolor.networks.build import fast_dtype
from raycolor.steps import (
    Networks,
    adversarial_step,
    build_networks,
    pretraining_step,
    set_determinism,
)
from raycolor.tuning.memory import is_out_of_memory, release

GIB = 2**30
PRECISIONS = ("float32", "bfloat16")
DETERMINISMS = ("exact", "fast")
STEPS: dict[str, Step] = {"pretraining": pretraining_step, "adversarial": adversarial_step}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured beside others."""

    backbone: str
    precision: str
    determinism: str
    batch_size: int
    compiled: bool = False


@dataclass(slots=True, kw_only=True)
class Found:
    """What was measured of a case, round after round."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STEPS})
    """Of a step, by its name."""
    peak_gib: float | None = None
    compile_seconds: float | None = None
    failed: str | None = None
    """A sentence; such a case takes no more turns."""


def cases_of(
    backbones: Iterable[str],
    batches: Iterable[int],
    precisions: Iterable[str],
    determinisms: Iterable[str],
    *,
    compiled: bool,
) -> list[Case]:
    """List all combinations; those of the largest batches come last."""
    switch = (False, True) if compiled else (False,)
    found = itertools.product(sorted(batches), backbones, precisions, determinisms, switch)
    return [
        Case(
            batch_size=batch,
            backbone=backbone,
            precision=precision,
            determinism=determinism,
            compiled=one,
        )
        for batch, backbone, precision, determinism, one in found
    ]


class Bench:
    """The networks of all backbones on the device, and what feeds them."""

    def __init__(self, backbones: Sequence[str], *, size: int, quick: bool) -> None:
        """Build networks.

        Args:
            backbones: of generators.
            size: of the pictures, pixels.
            quick: take narrow networks.
        """
        self._size, self._quick = size, quick
        self._device = device_of_steps()
        self._networks = {}
        self._compiled: dict[str, Networks] = {}
        self.gflop_an_image: dict[str, dict[str, float]] = {}
        for backbone in backbones:
            config = self._config(Case(backbone=backbone, precision="float32", **PLAIN))
            counted = build_networks(config, torch.device("cpu"))
            self.gflop_an_image[backbone] = {
                name: gigaflops_an_image(step, counted, config) for name, step in STEPS.items()
            }
            self._networks[backbone] = build_networks(config, self._device)

    def measure(self, case: Case, found: Found, seconds: float) -> None:
        """Measure a case once more, or note in one sentence why that cannot be."""
        # Outside of the handler, whose error still holds the memory.
        found.failed = self._attempt(case, found, seconds)
        networks = self._networks[case.backbone]
        networks.discriminator.requires_grad_(True)
        for adam in (networks.generator_adam, networks.discriminator_adam):
            adam.zero_grad()
        if found.failed is not None:
            release()

    def _attempt(self, case: Case, found: Found, seconds: float) -> str | None:
        try:
            self._measure(case, found, seconds)
        except RuntimeError as error:  # of CUDA, of a kernel that is missing, of the compiler
            return sentence(error, compiled=case.compiled)
        return None

    def _measure(self, case: Case, found: Found, seconds: float) -> None:
        others = 0
        if torch.cuda.is_available():
            # Whatever else lies there, other backbones' networks above all.
            own = held_bytes(self._networks[case.backbone])
            others = torch.cuda.memory_allocated() - own
            torch.cuda.reset_peak_memory_stats()
        first = not found.seconds["adversarial"]
        began = 0.0
        for name, step in self.steps(case).items():
            started = time.perf_counter()
            step()
            wait()
            began += time.perf_counter() - started
            found.seconds[name].append(timed(_without_number(step), seconds)[0])
        if case.compiled and first:
            usual = sum(times[-1] for times in found.seconds.values())
            found.compile_seconds = max(0.0, began - usual)
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() - others
            found.peak_gib = max(found.peak_gib or 0.0, peak / GIB)

    def steps(self, case: Case) -> dict[str, Callable[[], object]]:
        """Let torch take a case's kernels, and return its steps by name."""
        config = self._config(case)
        set_determinism(config)
        networks = self._networks[case.backbone]
        if case.compiled:
            networks = self._compiled.setdefault(case.backbone, compiled(networks))
        networks = replace(networks, dtype=fast_dtype(config, self._device))
        shape = (case.batch_size, 3, self._size, self._size)
        rgb_u8 = torch.randint(0, 256, shape, dtype=torch.uint8, device=self._device)
        return {name: partial(step, networks, config, rgb_u8) for name, step in STEPS.items()}

    def _config(self, case: Case) -> TrialConfig:
        return configuration(
            case.backbone,
            size=self._size,
            batch_size=case.batch_size,
            precision=case.precision,
            determinism=case.determinism,
            quick=self._quick,
        )


def _without_number(step: Callable[[], object]) -> Callable[[int], object]:
    return lambda _: step()


PLAIN: dict[str, Any] = {"determinism": "exact", "batch_size": 2}


def compiled(networks: Networks) -> Networks:
    """Compile the forward passes of both networks, and so their backward passes."""
    # Each case is another graph of the same code, and past a limit torch would compile no more.
    for limit in ("recompile_limit", "accumulated_recompile_limit"):
        setattr(torch._dynamo.config, limit, 10_000)
    assert networks.opponent is not None
    generator, discriminator = (
        cast(nn.Module, torch.compile(network, dynamic=False))
        for network in (networks.generator, networks.discriminator)
    )
    opponent = replace(networks.opponent, discriminator=discriminator)
    return replace(networks, generator=generator, opponent=opponent)


def held_bytes(networks: Networks) -> int:
    """Count the bytes that networks and their optimisers hold between two steps."""
    tensors = [
        tensor
        for network in (networks.generator, networks.discriminator)
        for tensor in (*network.parameters(), *network.buffers())
    ]
    if networks.average is not None:
        tensors += [*networks.average.network.parameters(), *networks.average.network.buffers()]
    for adam in (
        networks.pretraining_adam,
        networks.generator_adam,
        networks.discriminator_adam,
    ):
        states = adam.state.values()
        tensors += [one for state in states for one in state.values() if torch.is_tensor(one)]
    return sum(tensor.nbytes for tensor in tensors)


def sentence(error: Exception, *, compiled: bool) -> str:
    """Say why a case has no speed."""
    if is_out_of_memory(error):
        return "It does not fit into the GPU's memory."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    what = "It cannot be compiled here" if compiled else "It cannot run here"
    return f"{what}: {lines[0].strip()[:200]}"


def measured(
    bench: Bench, cases: Sequence[Case], limits: Limits, *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Let all cases and the card's matrix rates take turns.

    Returns:
        Medians: the rates in FLOP a second by precision, and a row a case.
    """
    found = [Found() for _ in cases]
    rates: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for number in range(rounds):
        print(f"steps, round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for precision, so_far in rates.items():
            so_far.append(limits.flop_per_second(precision, seconds))
        for case, one in zip(cases, found, strict=True):
            if one.failed is None:
                bench.measure(case, one, seconds)
    best = {precision: statistics.median(so_far) for precision, so_far in rates.items()}
    rows = []
    for case, one in zip(cases, found, strict=True):
        gflop = bench.gflop_an_image[case.backbone]
        rows.append({**asdict(case), **result(one, case, gflop, best[case.precision])})
    return {
        "matrix_flop_per_second": best,
        "gigaflops_an_image": bench.gflop_an_image,
        "cases": rows,
    }


def result(found: Found, case: Case, gflop: dict[str, float], best: float) -> dict[str, Any]:
    """Return medians of a case; `share` is that of the measured matrix rate."""
    row: dict[str, Any] = {}
    for name, seconds in found.seconds.items():
        known = seconds and found.failed is None
        images = case.batch_size / statistics.median(seconds) if known else None
        row[f"{name}_images_per_second"] = images
        row[f"{name}_share"] = None if images is None else images * gflop[name] * 1e9 / best
    row["peak_gib"] = found.peak_gib
    row["compile_seconds"] = found.compile_seconds
    row["failed"] = found.failed
    return row
