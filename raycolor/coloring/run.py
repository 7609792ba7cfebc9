"""Colour photographs one after another; one that fails does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from raycolor.coloring.colorizer import Colorizer
from raycolor.coloring.jobs import Job
from raycolor.coloring.panels import panel_of, side_by_side
from raycolor.coloring.writing import check_sides, write_picture
from raycolor.command import complain
from raycolor.errors import DataError
from raycolor.photographs.read import Photograph, TooManyPixels, read_photograph


def color_all(
    jobs: Sequence[Job], colorizer: Colorizer, console: Console, *, most_megapixels: float
) -> int:
    """Colour photographs, and say what happens.

    In a terminal several photographs get a bar; otherwise each has a line. Failures and remarks
    go to stderr: at once, or after the bar.

    Args:
        jobs: what to colour and where to.
        colorizer: the generator.
        console: for the output.
        most_megapixels: larger photographs are refused.

    Returns:
        How many failed.
    """
    failed = 0
    with _shown(jobs, console) as tell:
        for job in jobs:
            try:
                remark = color_one(job, colorizer, most_megapixels=most_megapixels)
            except DataError as error:
                failed += 1
                tell(job, None, str(error))
            else:
                tell(job, remark, None)
    if len(jobs) > 1:
        failures = f", {failed} not" if failed else ""
        console.print(f"{len(jobs) - failed} of {len(jobs)} photographs coloured{failures}.")
    return failed


def color_one(job: Job, colorizer: Colorizer, *, most_megapixels: float) -> str:
    """Colour one photograph.

    Args:
        job: what to colour and where to.
        colorizer: the generator.
        most_megapixels: a larger one is refused.

    Returns:
        What the user should know besides; empty for nothing.

    Raises:
        DataError: it cannot be read, coloured or written.
    """
    try:
        photograph = read_photograph(
            job.source,
            name=str(job.source),
            most_pixels=int(most_megapixels * 1e6),
            on_white=False,
        )
        rgb_u8, alpha_u8 = photograph.rgb_u8, photograph.alpha_u8
        check_sides(job.target, *rgb_u8.shape[:2])
        original = None if job.sheet is None else panel_of(rgb_u8, alpha_u8)
        colorizer(photograph, out=rgb_u8)
        write_picture(job.target, rgb_u8, alpha_u8=alpha_u8, exif=photograph.exif)
        if job.sheet is not None and original is not None:
            write_picture(job.sheet, side_by_side(original, panel_of(rgb_u8, alpha_u8)))
    except TooManyPixels as error:
        raise DataError(f"{error}: --most-megapixels") from error
    except MemoryError as error:
        raise DataError(
            f"{job.source}: memory is short for it ({error}); make a smaller copy, or close other "
            "programs"
        ) from error
    return "; ".join(_remarks(photograph))


def _remarks(photograph: Photograph) -> Iterator[str]:
    if photograph.frames > 1:
        yield f"the first of {photograph.frames} pictures in the file"
    if photograph.profile == "unusable":
        yield "its colour profile is damaged or of another kind, and was not used"


Tell = Callable[[Job, str | None, str | None], None]
"""Takes a job that is done, a remark on it, and what failed."""


@contextmanager
def _shown(jobs: Sequence[Job], console: Console) -> Iterator[Tell]:
    """Show what happens, as a bar or as lines."""
    if len(jobs) > 1 and console.is_terminal:
        with _bar(jobs, console) as tell:
            yield tell
        return

    def tell_line(job: Job, remark: str | None, failure: str | None) -> None:
        if failure is not None:
            complain(failure)
            return
        tail = f" ({remark})" if remark else ""
        console.print(f"{job.source} -> {job.target}{tail}", markup=False)

    yield tell_line


@contextmanager
def _bar(jobs: Sequence[Job], console: Console) -> Iterator[Tell]:
    later: list[str] = []
    name = TextColumn(
        "{task.description}",
        markup=False,
        table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
    )
    progress = Progress(
        name,
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        expand=True,
    )
    names = [job.source.name for job in jobs[1:]]
    task = progress.add_task(jobs[0].source.name, total=len(jobs))

    def tell(job: Job, remark: str | None, failure: str | None) -> None:
        done = int(progress.tasks[0].completed) + 1
        if failure is not None:
            later.append(failure)
        elif remark:
            later.append(f"{job.source} -> {job.target} ({remark})")
        progress.update(task, advance=1, description=names[done - 1] if done < len(jobs) else "")

    try:
        # Not `with progress`: a Ctrl-C while it starts would leave the cursor hidden.
        progress.start()
        yield tell
    finally:
        progress.stop()
        for text in later:
            complain(text)
