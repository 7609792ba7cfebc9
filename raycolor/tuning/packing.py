"""How many trials at once get most out of this machine: measured once, kept in its cache folder.

A few steps of the space's base configuration run in one process, in two, in four, which share the
cores or a GPU. No Ray, and no torch in this process. What is measured decides only where the user
leaves it open, and only if it is clearly better than the rule without it: one percent more is noise
of the measurement, but another number of threads has other last bits.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from raycolor.cache import cache_folder
from raycolor.config import TrialConfig
from raycolor.environment import describe_environment
from raycolor.files import write_text
from raycolor.plan import Plan
from raycolor.study.state import StudyState
from raycolor.tuning.pacers import Pacers
from raycolor.tuning.shares import MOST_ON_CPU, Machine, Shares, told

LEAST_GAIN = 1.10
"""Times the speed of the rule, below which the rule is kept."""
LEAST_WORK = 500_000
"""Images of 64 pixels of a whole study, below which nothing is measured: over an hour on a laptop,
against the half of a minute that measuring takes there."""
ROUNDS = 2
"""Of measurements."""
MOST_ON_GPU = 4
"""Trials of one GPU; Ray takes shares of 1/2, 1/3 and 1/4."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Packing:
    """Trials at once on one machine, and what each of them gets."""

    trials: int
    cpus: int
    gpus: float = 0.0

    def __str__(self) -> str:
        number = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        each = " each" if self.trials > 1 else ""
        return f"{number} at once, {told(self.cpus, self.gpus)}{each}"


Speeds = dict[Packing, float]
"""Images a second of all trials together."""
Measure = Callable[[Packing], float | None]
"""Returns them; None where so many do not fit."""


def settle(
    plan: Plan,
    state: StudyState,
    machine: Machine,
    rule: Shares,
    *,
    tell: Callable[[str], None],
    start: Callable[[TrialConfig, str | None, int], Pacers] = Pacers,
) -> Shares:
    """Decide how trials share this machine, where the study leaves it open.

    A study that is taken up keeps what it had, as long as the machine has as many cores: the number
    of threads is part of what makes its trials the same to the last bit.

    Args:
        plan: of the study.
        state: as far as its journal goes.
        machine: this one.
        rule: what each trial gets without a measurement.
        tell: hears what was measured.
        start: starts processes that train a configuration on a data set, so many.
    """
    settings = plan.space.study.resources
    if plan.concurrent is not None or settings.cpus != "auto" or settings.gpus != "auto":
        return rule
    if state.resources:
        session, last = max(state.resources.items())
        same = state.sessions[session].environment.get("cores") == machine.cpus
        if last.measured and same and last.gpus <= machine.gpus:
            return Shares(
                concurrent=last.concurrent,
                cpus=last.cpus,
                gpus=last.gpus,
                machines=1,
                measured=True,
            )
        return rule
    tried = packings(machine, most=plan.trials)
    if len(tried) < 2 or not is_worth_it(plan.base, plan.smallest_cost()):
        return rule

    def measuring() -> Speeds:
        gpus = max(1, int(machine.gpus))
        with start(plan.base, plan.data, max(tried).trials // gpus) as running:
            # One of several GPUs stands for all.
            return speeds_of(
                tried, lambda packing: running.speed(packing.trials // gpus, packing.cpus)
            )

    by_rule = Packing(trials=rule.concurrent, cpus=rule.cpus, gpus=rule.gpus)
    speeds = known_speeds(plan.base, tried, measuring)
    chosen = choose(speeds, by_rule)
    if chosen in speeds:
        tell(sentence(speeds, chosen))
    return replace(
        rule,
        concurrent=chosen.trials,
        cpus=chosen.cpus,
        gpus=chosen.gpus,
        measured=chosen in speeds,
    )


def packings(machine: Machine, *, most: int) -> list[Packing]:
    """List what is tried on a machine, fewest trials first.

    Args:
        machine: whose cores or GPUs are shared.
        most: trials of the study.
    """
    gpus = int(machine.gpus)
    if gpus:
        numbers = [(gpus * share, 1 / share) for share in range(1, MOST_ON_GPU + 1)]
    else:
        numbers = [(number, 0.0) for number in (1, 2, MOST_ON_CPU)]
    return [
        Packing(trials=number, cpus=machine.cpus // number, gpus=share)
        for number, share in numbers
        if number <= min(most, machine.cpus)
    ]


def speeds_of(tried: Sequence[Packing], measure: Measure) -> Speeds:
    """Measure packings until one does not fit: no larger one would.

    They take turns, and the best of each counts: whatever else the machine does only slows down.
    """
    fitting, speeds = sorted(tried), Speeds()
    for _ in range(ROUNDS):
        for place, packing in enumerate(fitting):
            speed = measure(packing)
            if speed is None:
                fitting = fitting[:place]
                break
            speeds[packing] = max(speed, speeds.get(packing, 0.0))
    return {packing: speeds[packing] for packing in fitting}


def choose(speeds: Mapping[Packing, float], rule: Packing) -> Packing:
    """Return the fastest packing, or the rule's where nothing is clearly faster, or it is unknown.

    Args:
        speeds: that were measured.
        rule: what is taken without them.
    """
    if rule not in speeds:
        return rule
    best = max(speeds, key=lambda packing: (speeds[packing], -packing.trials))
    return best if speeds[best] >= LEAST_GAIN * speeds[rule] else rule


def sentence(speeds: Mapping[Packing, float], chosen: Packing) -> str:
    """Say what was chosen, and beside what."""
    others = [packing for packing in speeds if packing != chosen]
    if not others:
        return f"{chosen}: {speeds[chosen]:.0f} images/s (measured)."
    other = max(others, key=lambda packing: speeds[packing])
    return (
        f"{chosen}: {speeds[chosen]:.0f} images/s in all, against {speeds[other]:.0f} for {other} "
        "(measured)."
    )


def is_worth_it(config: TrialConfig, images: int) -> bool:
    """Tell whether a study is long enough for a measurement.

    Args:
        config: of its trials.
        images: of all of them.
    """
    return images * (config.data.size / 64) ** 2 >= LEAST_WORK


def known_speeds(
    config: TrialConfig, tried: Sequence[Packing], measuring: Callable[[], Speeds]
) -> Speeds:
    """Read what is kept of this shape of networks on this machine, or measure and keep it.

    What cannot be kept, or had to be left out on a CPU for want of time, is measured the next time
    again.

    Args:
        config: of the trials.
        tried: the packings.
        measuring: returns their speeds.
    """
    about = {"shape": shape_of(config), "machine": _machine(), "tried": [asdict(p) for p in tried]}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "packing" / f"{name}.json"
    if (kept := _read(path, about)) is not None:
        return kept
    speeds = measuring()
    on_gpu = any(packing.gpus for packing in speeds)
    if on_gpu or len(speeds) == len(tried):
        rows = [{**asdict(packing), "images_per_second": speeds[packing]} for packing in speeds]
        with suppress(OSError):
            write_text(path, json.dumps({"about": about, "speeds": rows}, indent=2) + "\n")
    return speeds


def shape_of(config: TrialConfig) -> dict[str, Any]:
    """Return what the speed of a step depends on: no rate, no weight of a loss, no seed."""
    tree = config.model_dump(mode="json")
    losses = {name: tree["losses"][name] for name in ("kind", "adversarial")}
    return {
        **{name: tree[name] for name in ("generator", "discriminator", "precision", "determinism")},
        "losses": losses,
        "size": tree["data"]["size"],
        "batch_size": tree["budget"]["batch_size"],
    }


def _machine() -> dict[str, Any]:
    """Name what the speed depends on beside it."""
    found = describe_environment()
    names = ("raycolor", "packages", "processor", "cores", "gpus")
    return {name: found[name] for name in names}


def _read(path: Path, about: Mapping[str, Any]) -> Speeds | None:
    """Read kept speeds; None if there are none, or the file is damaged or of something else."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["about"] != about:
            return None
        return {
            Packing(trials=row["trials"], cpus=row["cpus"], gpus=row["gpus"]): float(
                row["images_per_second"]
            )
            for row in kept["speeds"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
