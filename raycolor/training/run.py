"""One run from its beginning, or from where it was, to its end."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from raycolor.environment import describe_environment
from raycolor.errors import CheckpointError, Diverged, RaycolorError
from raycolor.metrics.weights import extractor_fingerprint
from raycolor.preflight import check_before_trials, find_pretrained, open_data
from raycolor.remote.data_sets import open_data_set
from raycolor.training.job import LOCK, Job, check_same_data, write_job
from raycolor.training.reports import Row, heading, read_rows, result, told, write_rows
from raycolor.training.source import Machine, differences_from


def train_alone(job: Job, console: Console) -> None:
    """Train one configuration, go on with it, or tell its result if it is finished.

    Args:
        job: what to train.
        console: where to tell it.

    Raises:
        RaycolorError: what the user can mend.
        KeyboardInterrupt: the user pressed Ctrl-C; the same job goes on from its last checkpoint.
    """
    rows = read_rows(job.folder)
    if job.former and rows and rows[-1].images_seen >= job.config.budget.images:
        if job.plan.data != job.former.data:
            check_same_data(job, open_data(job.plan).fingerprint)
        console.print(f"{job.folder}: finished.", markup=False)
    else:
        with _locked(job.folder):
            try:
                rows = _train(job, console)
            except Diverged as error:
                raise RaycolorError(
                    f"{job.folder}: {error}; what was best before stays there. Take smaller "
                    "learning rates under optimizers, or another seed, and another --out"
                ) from error
    _tell(job, rows, console)


def _train(job: Job, console: Console) -> list[Row]:
    # Before torch is imported, which takes seconds.
    fingerprint = check_before_trials(
        job.plan, tell=lambda text: console.print(text, markup=False, soft_wrap=True)
    )
    check_same_data(job, fingerprint)
    weights, contents = find_pretrained(job.plan, lambda text: console.print(text, markup=False))
    weights |= extractor_fingerprint(job.config.evaluation)
    environment = {**describe_environment(), "weights": weights}
    write_job(job, fingerprint, environment)
    console.print(job.describe() + "\n", markup=False)

    import torch

    from raycolor.trial import train
    from raycolor.truth import truth_folder

    if job.source:
        machine = Machine(
            threads=job.threads,
            on_gpu=torch.cuda.is_available(),
            processor=environment["processor"],
            torch=environment["packages"]["torch"],
            fingerprint=fingerprint,
        )
        if differing := differences_from(job.source, machine):
            console.print("The results may differ from the study's:", markup=False)
            for line in differing:
                console.print(f"  {line}", markup=False)
            console.print()
    torch.set_num_threads(job.threads)
    prepared = open_data_set(job.plan.data)
    config, rows = job.config, read_rows(job.folder)
    console.print(heading(config.fid_key), markup=False)
    for report in train(
        config,
        prepared,
        folder=job.folder,
        cache=truth_folder(),
        pictures_at={*job.plan.rungs, config.budget.images},
        weights=contents,
    ):
        row = Row(
            images_seen=report.images_seen,
            stage=report.stage,
            metrics=report.metrics,
            gray=report.references["gray"][config.fid_key],
        )
        # A run that is taken up again repeats its last report, or after damage some more.
        rows = [*(one for one in rows if one.images_seen < row.images_seen), row]
        write_rows(job.folder, rows)
        line = told(
            row,
            distance=config.fid_key,
            images=config.budget.images,
            every=config.budget.report_every,
        )
        console.print(line, markup=False)
    return rows


def _tell(job: Job, rows: list[Row], console: Console) -> None:
    """Print the result and what to type next."""
    console.print(f"\n{result(rows, distance=job.config.fid_key)}", markup=False)
    console.print("\nNext:", markup=False)
    console.print(f"  python -m raycolor.colorize PHOTO --from {job.folder}", markup=False)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder, which is made if it is not there.

    Raises:
        CheckpointError: another one does, or the storage refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error}); choose another --out"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(
                f"{folder}: another training works in it; wait for it, or choose another --out"
            ) from error
        yield
