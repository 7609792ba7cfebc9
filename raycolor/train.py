"""Train one configuration: `python -m raycolor.train results/quickstart/best/config.yaml`.

    python -m raycolor.train results/quickstart/best/config.yaml            the winner once more
    python -m raycolor.train my.yaml --data my-data --out runs/mine         settings of one's own
    python -m raycolor.train my.yaml --set budget.images=100_000            with other values

No Ray and no study. The same command goes on where a run was, and tells the result of a finished
one.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from raycolor.command import INTERRUPTED, command_line, complain, make_console, named
from raycolor.errors import ConfigError
from raycolor.spaces.overrides import parse_overrides
from raycolor.training.job import Job, make_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Train one configuration, without Ray and without a study.

    The configuration of a study's winner gives the winner's bits again: with `determinism: exact`,
    on the same machine, with the same number of threads, which is taken from the study.
    """

    config: tyro.conf.Positional[Path]
    """File with the settings of one trial, as results/STUDY/best/config.yaml; what it leaves out
    has its default."""
    data: Annotated[str | None, named("FOLDER")] = None
    """Folder of a prepared data set, its address on shared storage, or `photos` for the built-in
    one; that of the study if not given, and without a study the built-in one."""
    out: Annotated[Path | None, named("FOLDER")] = None
    """Folder of the run: reports, checkpoints, pictures and the best generator; runs/NAME if not
    given."""
    set: Annotated[list[str], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="PATH=VALUE")] = (
        field(default_factory=list)
    )
    """Replace a setting, as losses.l1_lambda=100; may be given several times."""
    threads: Annotated[int | None, named("N")] = None
    """Threads of torch; those of the study's trial if not given, and without a study all cores."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")] = (
        False
    )
    """Print what would be trained, and stop."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-train")
    with command_line():
        console = make_console()
        job = _job(flags)
        if flags.dry_run:
            console.print(job.describe(), markup=False)
            return
        from raycolor.training.run import train_alone

        try:
            train_alone(job, console)
        except KeyboardInterrupt:
            complain(
                f"\nInterrupted; the same command goes on from the checkpoint in {job.folder}."
            )
            sys.exit(INTERRUPTED)


def _job(flags: Flags) -> Job:
    """Turn flags into a job.

    Raises:
        RaycolorError: all problems at once, one a line.
    """
    overrides, problems = parse_overrides(flags.set)
    try:
        job = make_job(
            flags.config,
            out=flags.out,
            data=flags.data,
            threads=flags.threads,
            overrides=overrides,
        )
    except ConfigError as error:
        raise ConfigError("\n".join([*problems, str(error)])) from error
    if problems:
        raise ConfigError("\n".join(problems))
    return job


if __name__ == "__main__":
    main()
