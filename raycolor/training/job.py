"""What one run is asked to do, and whether its folder agrees.

    config.yaml     the configuration, all settings
    run.json        data set, threads, versions and hardware

This module imports neither torch nor ray, so that what cannot work is said at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raycolor.config import TrialConfig, has_schedule
from raycolor.environment import available_cores
from raycolor.errors import CheckpointError, ConfigError
from raycolor.files import replacing, write_text
from raycolor.kept_plan import differences
from raycolor.plan import BUILT_IN, Plan, data_name
from raycolor.problems import as_yaml
from raycolor.remote.address import check_address, is_address
from raycolor.spaces.domains import Scalar
from raycolor.training.config_file import read_config
from raycolor.training.source import Source, source_of

CONFIG = "config.yaml"
RUN = "run.json"
LOCK = ".lock"
MOST_THREADS = 4096
RUNS = Path("runs")
"""Folder of the runs, if no other is named."""
UNNAMED = ("config", "best")
"""Names of files and folders that say nothing of what is in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A run that a folder holds already."""

    config: TrialConfig
    threads: int
    data: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run, checked."""

    file: Path
    """Where the configuration was read."""
    config: TrialConfig
    plan: Plan
    """Of a study of this one configuration, whose folder is the run's: for what studies check."""
    threads: int
    source: Source | None
    """The study's trial that the configuration came from, if it did."""
    former: Former | None
    """The same run, begun before."""

    @property
    def folder(self) -> Path:
        """Where everything of the run goes."""
        return self.plan.folder

    def describe(self) -> str:
        """The job for people."""
        config, source = self.config, self.source
        of_trial = f", trial {source.trial} of the study {source.study}" if source else ""
        length = f"{config.budget.images:,} images"
        if config.pretraining.images:
            length += f", {config.pretraining.images:,} of them pretraining"
        lines = [
            f"Config     {self.file}{of_trial}",
            f"Run        {self.folder}",
            f"Data       {self.plan.data}",
            f"Threads    {self.threads}",
            f"Length     {length}; a report every {config.budget.report_every:,}",
            "Settings",
        ]
        tree = config.model_dump(mode="json")
        for name, value in tree.items():
            if isinstance(value, dict):
                lines.append(f"  {name}: {{{_inline(value)}}}")
            else:
                lines.append(f"  {name}: {as_yaml(value)}")
        return "\n".join(lines)


def make_job(
    file: Path,
    *,
    out: Path | None = None,
    data: str | None = None,
    threads: int | None = None,
    overrides: Mapping[str, Scalar] | None = None,
) -> Job:
    """Make a job from a file and flags.

    Args:
        file: the configuration.
        out: folder of the run; None names it after the configuration.
        data: `photos`, or the folder or address of a data set; None takes the one of the study that
            the configuration came from, else the built-in one.
        threads: None takes those of a run that goes on, else of the study's trial, else all cores.
        overrides: dotted paths and values that replace those of the file.

    Raises:
        ConfigError: all problems of file and flags; or the folder holds another run.
        CheckpointError: the folder or what lies beside the file is damaged.
    """
    problems = []
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        problems.append(f"--threads {threads}: give a number from 1 to {MOST_THREADS}")
    if data is not None and is_address(data):
        try:
            check_address("--data", data)
        except ConfigError as error:
            problems.append(str(error))
    try:
        space = read_config(file, overrides)
    except ConfigError as error:
        raise ConfigError("\n".join([*problems, str(error)])) from error
    if problems:
        raise ConfigError("\n".join(problems))
    source, config = source_of(file), space.config({})
    folder = out or RUNS / _name(file, source)
    former = _former(folder)
    named = data or (former.data if former else None) or (source.data if source else None)
    data = named or BUILT_IN
    if threads is None:
        of_study = source.threads[-1] if source and source.threads else None
        threads = former.threads if former else of_study or available_cores()
    if former:
        _check_same_run(folder, former, config, threads)
    plan = Plan(
        space=space,
        study=folder.name,
        out=folder.parent,
        data=data_name(data),
        trials=1,
        concurrent=1,
        address=None,
        time_budget_s=None,
        seed=0,
    )
    return Job(file=file, config=config, plan=plan, threads=threads, source=source, former=former)


def check_same_data(job: Job, fingerprint: str) -> None:
    """Refuse to go on with another data set.

    Raises:
        ConfigError: the run began with another one.
    """
    if job.former and job.former.fingerprint != fingerprint:
        was, now = job.former.fingerprint[:12], fingerprint[:12]
        line = f"data: was {job.former.data} ({was}), is now {job.plan.data} ({now})"
        raise _refusal(job.folder, [line])


def write_job(job: Job, fingerprint: str, environment: Mapping[str, Any]) -> None:
    """Write what a run is, before it begins or goes on.

    Raises:
        CheckpointError: the storage refuses.
    """
    about = {
        "data": job.plan.data,
        "fingerprint": fingerprint,
        "threads": job.threads,
        "source": job.source.model_dump(mode="json") if job.source else None,
        "environment": dict(environment),
    }
    try:
        with replacing(job.folder / CONFIG) as beside, beside.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(job.config.model_dump(mode="json"), file)
        # Last: a folder with it holds a run.
        write_text(job.folder / RUN, json.dumps(about, indent=2) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"{job.folder}: cannot be written ({error}); make room or choose another --out"
        ) from error


def _former(folder: Path) -> Former | None:
    """Read the run that a folder holds.

    Raises:
        ConfigError: it holds something else.
        CheckpointError: it is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder}: is a file; name a folder")
    path = folder / RUN
    if not path.is_file():
        # Of a run that was killed while it began there are its own files only.
        strange = [file for file in folder.glob("*") if file.name != CONFIG]
        strange = [file for file in strange if not file.name.startswith(".")]
        if strange:
            raise ConfigError(
                f"--out {folder}: is not empty and holds no run (such as {strange[0].name}); name "
                "another folder"
            )
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        tree = YAML(typ="safe", pure=True).load((folder / CONFIG).read_text(encoding="utf-8"))
        return Former(
            config=TrialConfig.model_validate(tree),
            threads=int(about["threads"]),
            data=about["data"],
            fingerprint=about["fingerprint"],
        )
    except (OSError, ValueError, KeyError, TypeError, YAMLError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(
            f"{folder}: its {RUN} and {CONFIG} cannot be read ({said}); choose another --out"
        ) from error


def _check_same_run(folder: Path, former: Former, config: TrialConfig, threads: int) -> None:
    """Refuse another configuration, but for a longer run.

    Raises:
        ConfigError: with each value that differs and may not.
    """
    before, now = (one.model_dump(mode="json") for one in (former.config, config))
    lengths = (before["budget"].pop("images"), now["budget"].pop("images"))
    for tree in (before, now):
        del tree["budget"]["checkpoint_seconds"]
    lines = differences(before, now)
    if lengths[1] > lengths[0] and has_schedule(config):
        lines.append(
            f"budget.images: was {lengths[0]}, is now {lengths[1]}; a learning rate's schedule is "
            "stretched over it, so it cannot grow"
        )
    if lengths[1] < lengths[0]:
        lines.append(f"budget.images: was {lengths[0]}, is now {lengths[1]}; it can only grow")
    if threads != former.threads and config.determinism == "exact":
        lines.append(f"threads: was {former.threads}, is now {threads}")
    if lines:
        raise _refusal(folder, lines)


def _refusal(folder: Path, lines: list[str]) -> ConfigError:
    return ConfigError(
        f"{folder}: holds a run with another configuration; give the old values, or choose another "
        "--out:\n" + "\n".join(f"  {line}" for line in lines)
    )


def _name(file: Path, source: Source | None) -> str:
    """Name a run after its configuration."""
    if source:
        return source.name
    parts = [file.stem, *(folder.name for folder in file.resolve().parents)]
    return next((part for part in parts if part and part not in UNNAMED), "run")


def _inline(tree: Mapping[str, Any]) -> str:
    """Write a mapping in one line, as YAML has it."""
    items = (
        f"{key}: {{{_inline(value)}}}" if isinstance(value, dict) else f"{key}: {as_yaml(value)}"
        for key, value in tree.items()
    )
    return ", ".join(items)
