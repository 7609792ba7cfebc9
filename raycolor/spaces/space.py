"""The search space of a study: what it varies, what it holds fixed, and how it is run.

`raycolor.spaces.file` reads one from a file. This module imports neither torch nor ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from raycolor.config import TrialConfig, nested
from raycolor.spaces.domains import Domain, FileModel, Scalar, edges

SearcherName = Literal["tpe", "random", "grid"]
SchedulerName = Literal["asha", "none"]

DEFAULT_TRIALS = 10
MOST_TRIALS = 100_000
MOST_CONCURRENT = 10_000
GPU_SHARES = (1 / 2, 1 / 3, 1 / 4, 1 / 8)
"""Of one GPU that a trial may have; on a large one small networks may still be faster by eight."""
SHARE_ROUNDING = 0.01
"""A third is written as 0.33."""


class SearcherSettings(FileModel):
    """How configurations are suggested."""

    kind: SearcherName = "tpe"
    """`tpe`: tree-structured Parzen estimator of Optuna (Bergstra et al. 2011), multivariate and
    grouped; `random`; `grid`: all combinations of choices, integers and points, one after
    another."""
    startup_trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 10
    """`tpe`: random trials before the model is used."""
    repeats: Annotated[bool, Field(strict=True)] = False
    """Whether a configuration may be suggested again while others are untried; it would run with
    another seed. Where all settings have few values, `tpe` and `random` often meet old ones."""


class SchedulerSettings(FileModel):
    """How trials are stopped early."""

    kind: SchedulerName = "asha"
    """`asha`: asynchronous successive halving (Li et al. 2020), the stopping kind; `none`."""
    first_rung: Annotated[int, Field(ge=1, lt=2**62)] | None = None
    """Images at which trials are first compared, a multiple of budget.report_every; null takes one
    report."""
    reduction: Annotated[int, Field(ge=2, le=16)] = 3
    """About one in this many trials survives a rung; each rung is this many times the last."""
    compare_in_pretraining: Annotated[bool, Field(strict=True)] = False
    """Whether a rung compares a trial that is still in its pretraining. Trials that pretrain alike
    have the same score there, whatever else they have; so each is first compared when it has seen
    `first_rung` images after its pretraining, on the highest rung that it has reached by then."""


class ResourceSettings(FileModel):
    """What one trial gets."""

    cpus: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """Cores, and threads, of one trial; `auto` shares the machine's cores between the trials."""
    gpus: Annotated[float, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    """GPUs of one trial: 0, a whole number, or 1/2, 1/3, 1/4, 1/8 of one with that share of its
    memory (a trial that needs more runs again, alone on a whole one); `auto` is 1 where there are
    GPUs, or what a measurement finds."""
    price_per_hour: Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)] | None = None
    """Price of an hour of one GPU, or without GPUs of one trial, in any currency; for
    `--max-cost`."""
    share_pretraining: Annotated[bool, Field(strict=True)] = True
    """Whether a trial takes pretraining over that another one on this data has trained, which saves
    time and changes no result where `determinism` is exact. It is kept on each machine, in
    `~/.cache/raycolor/stages` (or below `RAYCOLOR_CACHE`; at most 4 GiB, or `RAYCOLOR_STAGES_GIB`),
    and on a cluster in the study's folder too. It happens where trials meet in all that acts on
    pretraining: search such settings by choices, integers, or with `points`."""
    wait_seconds: Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)] = 1800.0
    """On a cluster: longest time for which a machine that holds a trial is waited for."""

    @field_validator("gpus", mode="after")
    @classmethod
    def _whole_or_share(cls, gpus: float | Literal["auto"]) -> float | Literal["auto"]:
        if gpus == "auto" or (gpus >= 1 and gpus % 1 == 0):
            return gpus
        if gpus > 1:
            raise ValueError(f"{gpus:g} is above 1 and not whole; take a whole number")
        if gpus and not any(abs(gpus - share) < SHARE_ROUNDING for share in GPU_SHARES):
            raise ValueError(f"{gpus:g} is no share of a GPU; take 0, 0.125, 0.25, 0.33, 0.5 or 1")
        return gpus


class DivergenceGuard(FileModel):
    """Ends a trial whose distance explodes after it was better."""

    factor: Annotated[float, Field(gt=1, le=1000, allow_inf_nan=False)] = 3.0
    """Times its own lowest distance above which a trial counts as diverging."""
    patience: Annotated[int, Field(ge=1, le=1000)] | None = 3
    """Successive reports in which it has to stand; null switches the guard off."""


class ChanceGuard(FileModel):
    """Ends a trial whose discriminator tells nothing apart."""

    within: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    """Distance of its accuracy from 0.5, on a scale from 0 to 1, that counts as chance."""
    patience: Annotated[int, Field(ge=1, le=1000)] | None = 5
    """Successive reports of the adversarial stage in which it has to stand; null switches the
    guard off."""


class ZeroLossGuard(FileModel):
    """Ends a trial whose generator has no opponent any more."""

    below: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Adversarial loss of the generator, not multiplied, that counts as zero."""
    patience: Annotated[int, Field(ge=1, le=1000)] | None = 3
    """Successive reports of the adversarial stage in which it has to stand; null switches the
    guard off."""


class GuardSettings(FileModel):
    """Rules that end a sick trial between rungs."""

    divergence: DivergenceGuard = DivergenceGuard()
    discriminator_at_chance: ChanceGuard = ChanceGuard()
    adversarial_loss_zero: ZeroLossGuard = ZeroLossGuard()
    silence_seconds: Annotated[float, Field(ge=1, le=10**7, allow_inf_nan=False)] | None = 3600.0
    """Longest time of one trial between two reports; a process that is silent for longer hangs, is
    ended, and its trial is taken up again from its checkpoint. null waits for ever."""


class ConfirmSettings(FileModel):
    """The best configurations again with other seeds, to the whole budget, never pruned."""

    top: Annotated[int, Field(ge=1, le=100)] | None = None
    """Configurations of completed trials that are confirmed; null confirms nothing, and leaves the
    test split alone."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """Other seeds of each of them."""


class StudySettings(FileModel):
    """How a study is run."""

    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    """Number of trials; null takes 10, or with a grid all its combinations."""
    concurrent: Annotated[int, Field(ge=1, le=MOST_CONCURRENT)] | Literal["auto"] = "auto"
    """Trials at once; `auto`: one a GPU, or without GPUs one a core, at most 4."""
    searcher: SearcherSettings = SearcherSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    guards: GuardSettings = GuardSettings()
    confirm: ConfirmSettings = ConfirmSettings()
    resources: ResourceSettings = ResourceSettings()


class SpaceFile(FileModel):
    """A search-space file, before its domains are checked against `TrialConfig`."""

    study: StudySettings = StudySettings()
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    search: dict[str, Domain] = Field(default_factory=dict)
    baseline: dict[str, Scalar] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A search space whose every trial can run."""

    name: str
    """The file's name without its ending."""
    study: StudySettings
    fixed: Mapping[str, Scalar]
    search: Mapping[str, Domain]
    """In an order in which every domain comes after those that its `when` names."""
    baseline: Mapping[str, Scalar]
    """The first trial's values: what is known to work, which the search has to beat. Empty for a
    first trial like the others."""

    def config(self, chosen: Mapping[str, Scalar], **seeds: int) -> TrialConfig:
        """Build the configuration of one trial.

        Args:
            chosen: value of each searched path that exists in it.
            seeds: `seed` and `pretraining_seed`.
        """
        values = {**self.fixed, **chosen}
        if "seed" in seeds:
            values["seed"] = seeds["seed"]
        if "pretraining_seed" in seeds:
            values["pretraining.seed"] = seeds["pretraining_seed"]
        return TrialConfig.model_validate(nested(values))

    def rungs(self) -> tuple[int, ...]:
        """Image counts at which trials are compared, ascending; the last is the whole budget.

        Exact integers, so that 243 with a reduction of 3 keeps its top rung.
        """
        if self.study.scheduler.kind == "none":
            return ()
        base = self.config(
            {path: edges(domain)[0] for path, domain in self.search.items() if not domain.when}
        )
        rung = self.study.scheduler.first_rung or base.budget.report_every
        rungs = []
        while rung <= base.budget.images:
            rungs.append(rung)
            rung *= self.study.scheduler.reduction
        return tuple(rungs)
