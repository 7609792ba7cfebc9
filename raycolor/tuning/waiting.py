"""Waits until a cluster has a machine for a trial, and says meanwhile what it waits for.

Machines of a cluster come and go: an autoscaler starts them when it sees demand, and a spot market
takes them away. What the autoscaler may add stands in the file that `ray up` leaves on the head.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raycolor.errors import ConfigError
from raycolor.spaces.space import MOST_CONCURRENT, ResourceSettings
from raycolor.tuning.shares import Machine, Shares, share_out, smallest_need, told

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on the head: the cluster file, filled in."""
LOOK_S = 1.0
"""Seconds between two looks at a cluster."""
SETTLE_S = 30.0
"""Seconds for which machines that a cluster always has are waited for, once one is there."""
TELL_S = 30.0
"""Seconds between two words about the same thing."""
STATUS_S = 30.0
"""Longest time of the question to the autoscaler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What an autoscaler may do."""

    to_come: tuple[Machine, ...] = ()
    """Machines of known size that it may add, each as often as it may."""
    always: int = 0
    """Machines besides the head that it keeps up in any case."""


def wait_for_shares(
    settings: ResourceSettings,
    *,
    concurrent: int | None,
    trials: int,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Shares:
    """Wait until a cluster holds one trial, and divide it.

    Args:
        settings: of the study; `wait_seconds` is the limit.
        concurrent: trials at once; None for as many as fit.
        trials: of the study; more are never asked for.
        tell: hears what is waited for, and why.
        clock: never goes back, in seconds.
        sleep: waits that many seconds.

    Raises:
        ConfigError: no machine came in time, or none that may come is large enough.
    """
    growth = growth_of(BOOTSTRAP.expanduser())
    begun = clock()
    settled: float | None = None
    asked, told_at, last = False, -TELL_S, ""
    while True:
        machines = machines_now()
        now = clock()
        everything = [*machines, *growth.to_come]
        cpus, gpus = smallest_need(everything, settings)
        able = [machine for machine in machines if machine.places(cpus, gpus)]
        if able:
            settled = now if settled is None else settled
            missing = growth.always + 1 - len(machines)
            if missing <= 0 or now - settled >= SETTLE_S:
                break
            text = f"Waiting for {missing} more of {growth.always} machines."
        else:
            if growth.to_come and not any(m.places(cpus, gpus) for m in everything):
                # It raises, and says what is too small.
                share_out(everything, settings, concurrent=concurrent)
            if now - begun >= settings.wait_seconds:
                raise ConfigError(
                    f"{_waiting(machines, cpus, gpus)} None came within the "
                    f"{settings.wait_seconds:g} s of study.resources.wait_seconds; see `ray "
                    "status` on the head, and give the same command again"
                )
            if not asked:
                share = {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}
                _ask([share] * min(concurrent or _places(growth, cpus, gpus), trials))
                asked = True
            text = _waiting(machines, cpus, gpus)
        if text != last or now - told_at >= TELL_S:
            news = "" if able else autoscaler_news()
            tell(f"{text}{news} Ctrl-C ends it.")
            last, told_at = text, now
        sleep(LOOK_S)
    if asked:
        # From here on the trials themselves are the demand.
        _ask([])
    return share_out(machines, settings, concurrent=concurrent, to_come=_more(growth, machines))


def machines_now() -> list[Machine]:
    """List the machines of the cluster that Ray is connected to."""
    import ray

    return [
        Machine(
            name=node["NodeManagerAddress"],
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=float(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def growth_of(path: Path) -> Growth:
    """Read what an autoscaler may add from the file that `ray up` left on the head.

    Nothing is known where there is no such file, or where it names no sizes, as for machines of
    one's own.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError):
        return Growth()
    if not isinstance(found, Mapping):
        return Growth()
    kinds: Mapping[str, Any] = found.get("available_node_types") or {}
    head, limit = found.get("head_node_type"), int(found.get("max_workers") or 0)
    to_come: list[Machine] = []
    always = 0
    for name, kind in kinds.items():
        always += int(kind.get("min_workers") or 0)
        sizes = kind.get("resources") or {}
        if name == head or not sizes.get("CPU"):
            continue
        machine = Machine(name=name, cpus=int(sizes["CPU"]), gpus=float(sizes.get("GPU", 0)))
        to_come += [machine] * int(kind.get("max_workers", limit))
    return Growth(to_come=tuple(to_come[:limit]), always=always)


def autoscaler_news() -> str:
    """Ask the autoscaler what it is starting and what failed; empty if it says nothing."""
    words = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "status"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=STATUS_S, check=False, input=""
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return news_in(done.stdout)


def news_in(status: str) -> str:
    """Pick from the text of `ray status` what is pending and what failed."""
    sections = {"Pending:": "It is starting", "Recent failures:": "It failed with"}
    said = []
    for heading, words in sections.items():
        _, _, after = status.partition(f"\n{heading}\n")
        lines = []
        for line in after.splitlines():
            if not line.startswith(" "):
                break
            if not line.strip().startswith("(no "):
                lines.append(line.strip().rstrip(","))
        if lines:
            said.append(f" {words} {'; '.join(lines)}.")
    return "".join(said)


class StallWatch:
    """Says why nothing runs, when that has lasted for a while."""

    def __init__(
        self, tell: Callable[[str], None], news: Callable[[], str] = autoscaler_news
    ) -> None:
        """Begin to watch.

        Args:
            tell: hears it.
            news: of the autoscaler.
        """
        self._tell = tell
        self._news = news
        self._since: float | None = None
        self._next = 0.0

    def look(self, now: float, *, running: int, pending: int) -> None:
        """Take in how many trials run and how many wait for a machine.

        Args:
            now: on a clock that never goes back, in seconds.
            running: trials whose workers run.
            pending: trials that want to.
        """
        if running or not pending:
            self._since = None
            return
        if self._since is None:
            self._since, self._next = now, now + TELL_S
        if now >= self._next:
            count = "1 trial waits" if pending == 1 else f"{pending} trials wait"
            self._tell(
                f"{count} for a machine since {now - self._since:.0f} s, and none runs."
                f"{self._news()} Ctrl-C ends it; the same command goes on."
            )
            self._next = now + TELL_S


def _waiting(machines: Sequence[Machine], cpus: int, gpus: float) -> str:
    there = ", ".join(str(machine) for machine in machines) or "none"
    return f"Waiting for a machine that holds a trial ({told(cpus, gpus)}). Machines: {there}."


def _places(growth: Growth, cpus: int, gpus: float) -> int:
    """Count the trials that fit on all machines that may come; 1 if nothing is known."""
    return max(1, sum(machine.places(cpus, gpus) for machine in growth.to_come))


def _more(growth: Growth, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """Leave out of what may come what is there already."""
    left = list(growth.to_come)
    for machine in machines:
        same = next((m for m in left if (m.cpus, m.gpus) == (machine.cpus, machine.gpus)), None)
        if same is not None:
            left.remove(same)
    return tuple(left[:MOST_CONCURRENT])


def _ask(bundles: Sequence[Mapping[str, float]]) -> None:
    """Tell the autoscaler what is needed at once."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[dict(bundle) for bundle in bundles])
