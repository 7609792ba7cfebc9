"""How many trials at once get most out of this machine: measured once, kept in its cache folder.

A few steps of the space's base configuration run in one process, in two, in up to eight, which
share the cores or a GPU. No Ray, and no torch in this process. What is measured decides only where
the user leaves it open, and only if it is clearly better than the rule without it: one percent more
is noise of the measurement, but another number of threads has other last bits.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from raycolor.cache import cache_folder
from raycolor.config import TrialConfig
from raycolor.environment import describe_environment
from raycolor.files import write_text
from raycolor.plan import Plan
from raycolor.study.state import StudyState
from raycolor.tuning.pacers import OutOfTime, Pacers
from raycolor.tuning.shares import Machine, Shares, told

LEAST_GAIN = 1.10
"""Times the speed of the rule, below which the rule is kept."""
LEAST_WORK = 500_000
"""Images of 64 pixels of a whole study, below which nothing is measured: over an hour on a laptop,
against a minute or two that measuring takes at most."""
ROUNDS = 2
"""Of measurements."""
METHOD = 2
"""Raised when packings are measured in another way, so that no kept one is used."""
ON_GPU = (1, 2, 3, 4, 8)
"""Trials of one GPU, one for each share of it that there is."""
ON_CPU = (1, 2, 4, 8)
"""Trials on a machine without GPUs."""


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
"""Returns them; None where so many do not fit. Raises OutOfTime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of measuring."""

    speeds: Speeds
    ended: Literal["tried", "unfit", "late"] = "tried"
    """`tried`: each packing, or up to one that was slower than the one before; `unfit`: one had no
    room, or a process ended; `late`: there was no more time."""
    trouble: str = ""
    """Why it ended before all was tried, in words."""


def settle(
    plan: Plan,
    state: StudyState,
    machine: Machine,
    rule: Shares,
    *,
    tell: Callable[[str], None],
    start: Callable[[TrialConfig, str | None], Pacers] = Pacers,
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
        start: starts processes that train a configuration on a data set.
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
    by_rule = Packing(trials=rule.concurrent, cpus=rule.cpus, gpus=rule.gpus)
    tried = packings(machine, by_rule, most=plan.trials)
    # Nothing else is compared than with the rule.
    if len(tried) < 2 or by_rule not in tried:
        return rule
    if not is_worth_it(plan.base, plan.smallest_cost()):
        return rule

    def measuring() -> Measured:
        gpus = max(1, int(machine.gpus))
        with start(plan.base, plan.data) as running:
            # One of several GPUs stands for all.
            def measure(packing: Packing) -> float | None:
                speed = running.speed(packing.trials // gpus, packing.cpus, packing.gpus)
                return None if speed is None else gpus * speed

            found = speeds_of(tried, measure, through=by_rule)
            return replace(found, trouble=running.trouble)

    found = known_speeds(plan.base, tried, measuring)
    speeds = found.speeds
    chosen = choose(speeds, by_rule)
    if chosen in speeds:
        tell(sentence(speeds, chosen))
    else:
        tell(f"{chosen} (whether another number is faster could not be measured: {found.trouble}).")
    return replace(
        rule,
        concurrent=chosen.trials,
        cpus=chosen.cpus,
        gpus=chosen.gpus,
        measured=chosen in speeds,
    )


def packings(machine: Machine, rule: Packing, *, most: int) -> list[Packing]:
    """List what is tried on a machine, fewest trials first.

    Args:
        machine: whose cores or GPUs are shared.
        rule: what is taken without a measurement; three trials on three cores, say.
        most: trials of the study.
    """
    gpus = int(machine.gpus)
    if gpus:
        numbers = [(gpus * share, 1 / share) for share in ON_GPU]
    else:
        numbers = [(number, 0.0) for number in ON_CPU]
    found = [
        Packing(trials=number, cpus=machine.cpus // number, gpus=share)
        for number, share in numbers
        if number <= machine.cpus
    ]
    return sorted(packing for packing in {rule, *found} if packing.trials <= most)


def speeds_of(tried: Sequence[Packing], measure: Measure, *, through: Packing) -> Measured:
    """Measure packings until one does not fit, or is slower than the one before.

    They take turns, and the best of each counts: whatever else the machine does only slows down.

    Args:
        tried: the packings.
        measure: one of them.
        through: up to here, slower ones are no reason to end: without the rule's own speed the
            others say nothing.
    """
    fitting, speeds = sorted(tried), Speeds()
    ended: Literal["tried", "unfit"] = "tried"
    for turn in range(ROUNDS):
        for place, packing in enumerate(fitting):
            try:
                speed = measure(packing)
            except OutOfTime:
                return Measured(
                    speeds={each: speeds[each] for each in fitting if each in speeds}, ended="late"
                )
            if speed is None:
                # Nor would a larger one.
                fitting, ended = fitting[:place], "unfit"
                break
            speeds[packing] = max(speed, speeds.get(packing, 0.0))
            slower = place > 0 and speed < speeds[fitting[place - 1]]
            if turn == 0 and slower and packing >= through:
                fitting = fitting[: place + 1]
                break
    return Measured(speeds={packing: speeds[packing] for packing in fitting}, ended=ended)


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
    config: TrialConfig, tried: Sequence[Packing], measuring: Callable[[], Measured]
) -> Measured:
    """Read what is kept of this shape of networks on this machine, or measure and keep it.

    What cannot be kept, or had to be left out for want of time, is measured the next time again;
    so is what ended on a CPU, where nobody's memory is short for long.

    Args:
        config: of the trials.
        tried: the packings.
        measuring: measures their speeds.
    """
    about = {
        "method": METHOD,
        "shape": shape_of(config),
        "machine": _machine(),
        "tried": [asdict(p) for p in tried],
    }
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "packing" / f"{name}.json"
    if (kept := _read(path, about)) is not None:
        return Measured(speeds=kept)
    found = measuring()
    speeds = found.speeds
    on_gpu = any(packing.gpus for packing in speeds)
    if found.ended == "tried" or (found.ended == "unfit" and on_gpu):
        rows = [{**asdict(packing), "images_per_second": speeds[packing]} for packing in speeds]
        with suppress(OSError):
            write_text(path, json.dumps({"about": about, "speeds": rows}, indent=2) + "\n")
    return found


def shape_of(config: TrialConfig) -> dict[str, Any]:
    """Return what the speed of a step depends on: no rate, no weight of a loss, no seed."""
    tree = config.model_dump(mode="json")
    losses = {name: tree["losses"][name] for name in ("kind", "adversarial")}
    return {
        **{name: tree[name] for name in ("generator", "discriminator", "precision", "determinism")},
        "losses": losses,
        "pretraining_only": config.pretraining.images >= config.budget.images,
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
