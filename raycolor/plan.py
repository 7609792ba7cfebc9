"""The plan of one study: a search space and flags, checked, frozen and printable.

This module imports neither torch nor ray, so that `--dry-run` answers at once.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from raycolor.config import TrialConfig, flattened
from raycolor.errors import ConfigError
from raycolor.remote.address import below, check_address, is_address, mirror_of
from raycolor.remote.mirror import Mirror, study_files
from raycolor.spaces.domains import Scalar, combinations, edges, grid_values
from raycolor.spaces.file import find_space, load_space
from raycolor.spaces.space import DEFAULT_TRIALS, MOST_CONCURRENT, MOST_TRIALS, Space

BUILT_IN = "photos"
"""Name of the data set that ships with raycolor."""
MOST_LENGTHS = 1000
"""Lengths of pretraining over which a cost is averaged."""
INSTEAD_OF_GPU_HOURS = (
    "leave it out, or limit the search with --time-budget SECONDS, or with --max-cost and "
    "study.resources.price_per_hour"
)
"""What to do where there are no GPU hours to count."""
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FOLDER_RULE = "use at most 100 letters, digits, '.', '_' and '-', the first a letter or digit"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a study is asked to do."""

    space: Space
    study: str
    """Name of the study, which is its folder's."""
    out: Path
    """Folder of the studies on this machine."""
    remote: str | None = None
    """Address of the studies on shared storage, for which `out` stands on this machine; None where
    `out` itself holds them."""
    seen: Path | None = None
    """The study's folder on a disk of this machine, where `out` is only for what somebody who looks
    at it has built; None otherwise."""
    data: str
    """`photos`, or the absolute path or the address of a prepared data set."""
    trials: int
    concurrent: int | None
    """Trials at once; None for as many as the machines hold."""
    address: str | None
    """Address of a running Ray cluster; None starts one on this machine."""
    time_budget_s: float | None
    """Seconds after which running trials end at their next report; None for no limit."""
    gpu_hours: float | None = None
    """GPU hours of all trials after which running ones end at their next report; None for no
    limit."""
    max_cost: float | None = None
    """The same as a cost, by the space's `study.resources.price_per_hour`."""
    seed: int

    @property
    def folder(self) -> Path:
        """The study's folder on this machine."""
        return self.out / self.study

    @property
    def address_of_study(self) -> str | None:
        """The study's folder on shared storage, or elsewhere; None where it lies in `folder`."""
        if self.seen is not None:
            return self.seen.resolve().as_uri()
        return None if self.remote is None else below(self.remote, self.study)

    @property
    def where(self) -> str:
        """The study's folder, as command lines take it."""
        if self.seen is not None:
            return str(self.seen)
        return self.address_of_study or str(self.folder)

    @property
    def files(self) -> Mirror:
        """What the study's trials kept, wherever it lies."""
        return study_files(self.folder, self.address_of_study)

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """Image counts at which trials are compared."""
        return self.space.rungs()

    @cached_property
    def base(self) -> TrialConfig:
        """A configuration of the space, for what is the same in all of them."""
        first = {p: edges(d)[0] for p, d in self.space.search.items() if not d.when}
        return self.space.config(first)

    @property
    def objective(self) -> str:
        """The metric that ranks trials; lower is better."""
        return f"{self.base.fid_key}_best"

    def identity(self) -> dict[str, Any]:
        """What makes this study another one if it changes; the rest may change at a resume."""
        study = self.space.study.model_dump(
            mode="json", exclude={"trials": True, "concurrent": True, "resources": True}
        )
        search = {path: d.model_dump(mode="json") for path, d in self.space.search.items()}
        return {
            "space": self.space.name,
            "study": study,
            "fixed": self._settled(),
            "search": search,
            "baseline": dict(self.space.baseline),
            "data": self.data,
            "seed": self.seed,
        }

    def as_tree(self) -> dict[str, Any]:
        """The whole plan as plain values, for `plan.yaml` and the journal."""
        return {
            **self.identity(),
            "trials": self.trials,
            "concurrent": self.concurrent,
            "resources": self.space.study.resources.model_dump(mode="json"),
            "address": self.address,
            "time_budget_s": self.time_budget_s,
            "gpu_hours": self.gpu_hours,
            "max_cost": self.max_cost,
            "objective": self.objective,
            "rungs": list(self.rungs),
        }

    def _settled(self) -> dict[str, Any]:
        """All settings of a trial that the plan fixes, defaults included."""
        searched, fixed = self.space.search, self.space.fixed
        # One that is fixed and searched is searched beside some choices only.
        return {
            path: value
            for path, value in flattened(self.base.model_dump(mode="json")).items()
            if path not in searched or path in fixed
        }

    def largest_cost(self) -> int:
        """Training images if no trial is stopped early."""
        return self.trials * self.base.budget.images + self.confirming_cost()

    def confirming_cost(self) -> int:
        """Training images of the confirmation at most."""
        confirm = self.space.study.confirm
        again = min(confirm.top, self.trials) * confirm.seeds if confirm.top else 0
        return again * self.base.budget.images

    def comparison_points(self, pretraining: int) -> tuple[int, ...]:
        """Image counts at which a trial is compared with others.

        Args:
            pretraining: its length in images.

        Returns:
            The rungs. Where trials are not compared in their pretraining, those up to its end give
            way to one point, as far behind that end as the first rung is behind the beginning.
        """
        rungs = self.rungs
        if not rungs or not pretraining or self.space.study.scheduler.compare_in_pretraining:
            return rungs
        first = pretraining + rungs[0]
        return (first, *(rung for rung in rungs if rung > first))

    def pretraining_of(self, chosen: Mapping[str, Scalar]) -> int:
        """Length in images of the pretraining of a configuration."""
        return int(str(chosen.get("pretraining.images", self.base.pretraining.images)))

    def smallest_cost(self) -> int:
        """Training images if halving keeps exactly its share wherever trials are compared."""
        lengths = self._pretraining_lengths()
        cost = 0.0
        for length in lengths:
            before, alive = 0, self.trials / len(lengths)
            for point in (*self.comparison_points(length), self.base.budget.images):
                if point > before:
                    cost += alive * (min(point, self.base.budget.images) - before)
                    before, alive = point, alive / self.space.study.scheduler.reduction
        return math.ceil(cost) + self.confirming_cost()

    def _pretraining_lengths(self) -> Sequence[int]:
        """Lengths of pretraining that trials may have, each as likely; of a long range its ends."""
        domain = self.space.search.get("pretraining.images")
        if domain is None:
            return (self.base.pretraining.images,)
        values = grid_values(domain)
        if values is None or len(values) > MOST_LENGTHS:
            values = edges(domain)
        return [int(str(value)) for value in values]

    def describe(self) -> str:
        """The plan for people."""
        scheduler = self.space.study.scheduler
        searcher = self.space.study.searcher
        lines = [
            f"Study      {self.study} in {self.where}",
            f"Space      {self.space.name}; data {self.data}; seed {self.seed}",
            f"Trials     {self.trials}"
            + (f", {self.concurrent} at once" if self.concurrent else "")
            + f"; {searcher.kind}"
            + (f" after {searcher.startup_trials} random ones" if searcher.kind == "tpe" else ""),
            f"Objective  {self.objective}, lower is better",
        ]
        if self.rungs:
            rungs = ", ".join(f"{rung:,}" for rung in self.rungs)
            lines.append(
                f"Rungs      {rungs} images; about one in {scheduler.reduction} survives each"
            )
            if any(self.comparison_points(n) != self.rungs for n in self._pretraining_lengths()):
                lines[-1] += f"; the first is {self.rungs[0]:,} after pretraining, or later"
        else:
            lines.append("Rungs      none: every trial trains to its end")
        lines.append(
            f"Cost       at most {self.largest_cost():,} training images; about "
            f"{self.smallest_cost():,} if halving keeps its share"
        )
        if self.time_budget_s is not None:
            lines.append(f"Time       at most about {self.time_budget_s:g} s")
        if self.gpu_hours is not None:
            lines.append(f"GPU hours  at most about {self.gpu_hours:g}")
        if self.max_cost is not None:
            price = self.space.study.resources.price_per_hour
            lines.append(f"Spend      at most about {self.max_cost:g}, at {price:g} an hour")
        confirm = self.space.study.confirm
        if confirm.top is not None:
            lines.append(
                f"Confirm    the best {confirm.top} with {confirm.seeds} other seeds each, then "
                "the test split"
            )
        if self.space.baseline:
            lines.append("Baseline   the first trial, which the others have to beat:")
            lines.append("  " + ", ".join(f"{p}={v}" for p, v in self.space.baseline.items()))
        lines.append("Search" if self.space.search else "Search     nothing: trials differ by seed")
        width = max((len(path) for path in self.space.search), default=0)
        for path, domain in self.space.search.items():
            text = domain.model_dump(mode="json", exclude={"kind", "when"}, exclude_none=True)
            described = ", ".join(f"{k} {v}" for k, v in text.items() if (k, v) != ("step", 1))
            when = "; ".join(f"{p} is {' or '.join(map(str, v))}" for p, v in domain.when.items())
            lines.append(
                f"  {path:<{width}}  {domain.kind}: {described}"
                + (f"  (if {when})" if when else "")
            )
        return "\n".join(lines)


def make_plan(
    *,
    space: str,
    study: str | None,
    out: Path | str,
    data: str,
    trials: int | None,
    concurrent: int | None,
    overrides: Mapping[str, Scalar],
    address: str | None,
    time_budget_s: float | None,
    gpu_hours: float | None = None,
    max_cost: float | None = None,
    seed: int,
) -> Plan:
    """Make a plan from a space file and flags; None leaves a value to the file.

    `out` is a folder, or an address on shared storage.

    Raises:
        ConfigError: all problems at once, one a line.
    """
    problems: list[str] = []
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        problems.append(f"--trials {trials}: a study has from 1 to {MOST_TRIALS} trials")
    if concurrent is not None and not 1 <= concurrent <= MOST_CONCURRENT:
        problems.append(f"--concurrent {concurrent}: give a number from 1 to {MOST_CONCURRENT}")
    if time_budget_s is not None and not 0 < time_budget_s < math.inf:
        problems.append(
            f"--time-budget {time_budget_s:g}: give a number of seconds above 0, or leave the flag "
            "out for no limit"
        )
    for flag, limit in (("--gpu-hours", gpu_hours), ("--max-cost", max_cost)):
        if limit is not None and not 0 < limit < math.inf:
            problems.append(
                f"{flag} {limit:g}: give a number above 0, or leave the flag out for no limit"
            )
    if not 0 <= seed < 2**32:
        problems.append(f"--seed {seed}: give a number from 0 to {2**32 - 1}")
    remote = out if isinstance(out, str) and is_address(out) else None
    if remote is not None:
        try:
            check_address("--out", remote)
        except ConfigError as error:
            problems.append(str(error))
    if is_address(data):
        try:
            check_address("--data", data)
        except ConfigError as error:
            problems.append(str(error))
    if study is not None and not FOLDER_NAME.fullmatch(study):
        problems.append(f"--study {study!r}: becomes a folder's name; {FOLDER_RULE}")
    loaded: Space | None = None
    try:
        loaded = load_space(find_space(space), overrides)
        if study is None and not FOLDER_NAME.fullmatch(loaded.name):
            problems.append(
                f"--space {space}: the file's name becomes a folder's, and {loaded.name!r} cannot; "
                "name the study: --study NAME"
            )
    except ConfigError as error:
        problems.extend(str(error).splitlines())
    unpriced = loaded is not None and loaded.study.resources.price_per_hour is None
    if max_cost is not None and unpriced:
        problems.append(
            f"--max-cost {max_cost:g}: needs a price; set study.resources.price_per_hour"
        )
    if gpu_hours is not None and loaded is not None and loaded.study.resources.gpus == 0:
        problems.append(
            f"--gpu-hours {gpu_hours:g}: trials use no GPU (study.resources.gpus: 0), so this "
            f"limit would never come; {INSTEAD_OF_GPU_HOURS}"
        )
    if problems:
        raise ConfigError("\n".join(problems))
    assert loaded is not None
    number = trials or loaded.study.trials
    if loaded.study.searcher.kind == "grid":
        most = number or MOST_TRIALS + 1
        found = sum(1 for _ in islice(combinations(loaded.search), most))
        if found > MOST_TRIALS:
            raise ConfigError(
                f"--space {space}: the grid has more than {MOST_TRIALS:,} combinations; say how "
                "many to try, the first ones of it: --trials N"
            )
        number = found
    from_file = None if loaded.study.concurrent == "auto" else loaded.study.concurrent
    return Plan(
        space=loaded,
        study=study or loaded.name,
        out=Path(out) if remote is None else mirror_of(remote),
        remote=remote,
        data=data_name(data),
        trials=number or DEFAULT_TRIALS,
        concurrent=concurrent or from_file,
        address=address,
        time_budget_s=time_budget_s,
        gpu_hours=gpu_hours,
        max_cost=max_cost,
        seed=seed,
    )


def data_name(data: str) -> str:
    """Name a data set as plans do, from the word of a flag."""
    if is_address(data):
        base, mark, options = data.partition("?")
        return base.rstrip("/") + mark + options
    return data if data == BUILT_IN else str(Path(data).resolve())
