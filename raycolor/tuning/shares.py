"""What each trial gets of the machines: cores, GPUs, and how many trials run at once.

No Ray here: machines come in as numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raycolor.errors import ConfigError
from raycolor.plan import INSTEAD_OF_GPU_HOURS
from raycolor.spaces.space import MOST_CONCURRENT, ResourceSettings

MOST_ON_CPU = 4
"""Trials at once on a machine without GPUs, unless the plan or a measurement says otherwise: more
would share the cores, and halving would have nobody left to compare."""
ROUNDING = 1e-6
"""Of thirds of a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine of a cluster offers to trials."""

    name: str
    """Address, or kind of a machine that is not there yet."""
    cpus: int
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}: {told(self.cpus, self.gpus)}"

    def places(self, cpus: int, gpus: float) -> int:
        """Count the trials of that size that fit on it at once."""
        places = self.cpus // cpus
        return min(places, int(self.gpus / gpus + ROUNDING)) if gpus else places


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each trial gets, and on how many machines."""

    concurrent: int
    cpus: int
    gpus: float
    machines: int
    measured: bool = False
    """Whether a measurement decided it."""


def smallest_need(machines: Sequence[Machine], settings: ResourceSettings) -> tuple[int, float]:
    """Return the cores and GPUs without which no trial starts.

    Args:
        machines: those that are there, and those that may come.
        settings: of the study.
    """
    if settings.gpus == "auto":
        gpus = 1.0 if any(machine.gpus >= 1 for machine in machines) else 0.0
    else:
        gpus = settings.gpus
    if 0 < gpus < 1:
        # As many as the share says have to fit: three of 0.34 would not. Ray counts to four places.
        gpus = min(gpus, math.floor(10_000 / round(1 / gpus)) / 10_000)
    return 1 if settings.cpus == "auto" else settings.cpus, gpus


def share_out(
    machines: Sequence[Machine],
    settings: ResourceSettings,
    *,
    concurrent: int | None,
    to_come: Sequence[Machine] = (),
) -> Shares:
    """Divide machines, which may differ, among trials that are all alike.

    Where the study leaves the cores of a trial open, it gets as many as leave room for all trials
    that run at once.

    Args:
        machines: that are there.
        settings: of the study.
        concurrent: trials at once; None for as many as all machines hold.
        to_come: those that an autoscaler may add. They are counted, so that it is asked for all of
            them at once.

    Raises:
        ConfigError: no machine holds one trial.
    """
    everything = [*machines, *to_come]
    least, gpus = smallest_need(everything, settings)
    able = [machine for machine in everything if machine.places(least, gpus)]
    if not able:
        raise ConfigError(_too_small(everything, settings, least, gpus))
    if gpus:
        most = sum(int(machine.gpus / gpus + ROUNDING) for machine in able)
    elif settings.cpus == "auto":
        most = sum(min(machine.cpus, MOST_ON_CPU) for machine in able)
    else:
        most = sum(machine.places(settings.cpus, gpus) for machine in able)
    wanted = concurrent or most
    cpus = settings.cpus
    if cpus == "auto":
        # More trials than GPUs never run at once, and need no cores.
        cpus = _cores(able, min(wanted, most) if gpus else wanted, gpus)
    holding = sum(machine.places(cpus, gpus) > 0 for machine in machines)
    return Shares(
        concurrent=min(wanted, MOST_CONCURRENT),
        cpus=cpus,
        gpus=gpus,
        machines=max(1, holding),
    )


def check_gpu_hours(hours: float | None, shares: Shares, *, cluster: bool) -> None:
    """Refuse a limit of GPU hours where no trial has a GPU: it would never be reached.

    Args:
        hours: the limit; None for none.
        shares: what each trial gets.
        cluster: whether other machines take part.

    Raises:
        ConfigError: with what limits a search without GPUs.
    """
    if hours is None or shares.gpus:
        return
    where, wait = "this machine has none", ""
    if cluster:
        where = "no machine of the cluster has a GPU for them"
        wait = "wait for one with --set study.resources.gpus=1, or "
    raise ConfigError(
        f"--gpu-hours {hours:g}: the trials use no GPU ({where}), so this limit would never come; "
        f"{wait}{INSTEAD_OF_GPU_HOURS}"
    )


def _cores(machines: Sequence[Machine], wanted: int, gpus: float) -> int:
    """Return the most cores of a trial with which that many fit at once; 1 if they never do."""
    for cpus in range(max(machine.cpus for machine in machines), 1, -1):
        if sum(machine.places(cpus, gpus) for machine in machines) >= wanted:
            return cpus
    return 1


def _too_small(
    machines: Sequence[Machine], settings: ResourceSettings, cpus: int, gpus: float
) -> str:
    largest = max((machine.gpus for machine in machines), default=0.0)
    if settings.gpus != "auto" and gpus > largest:
        return (
            f"study.resources.gpus: a trial asks for {gpus:g} GPUs, the largest machine has "
            f"{largest:g}; ask for fewer, or add GPUs"
        )
    most = max((machine.cpus for machine in machines if machine.places(1, gpus)), default=0)
    return (
        f"study.resources.cpus: a trial asks for {cpus} cores, the largest machine has "
        f"{most}; ask for fewer"
    )


def told(cpus: int, gpus: float) -> str:
    """Say cores and GPUs in words."""
    cores = "1 core" if cpus == 1 else f"{cpus} cores"
    return f"{cores}, {gpus:g} GPU{'' if gpus == 1 else 's'}" if gpus else cores
