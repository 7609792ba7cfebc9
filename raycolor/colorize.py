"""Colour grey photographs with a study's best generator: `python -m raycolor.colorize`.

    python -m raycolor.colorize old.jpg --from results/quickstart
    python -m raycolor.colorize album --from results/quickstart:7 --format jpeg
    python -m raycolor.colorize old.tif --from results/quickstart --out new.jpg --side-by-side

A photograph keeps its size and its own lightness; only its colours are predicted. Any format that
Pillow reads will do: grey or coloured, of 8 or 16 bits, with transparency, a colour profile, CMYK.
Results are sRGB, upright, and keep date, camera and transparency where their format can.

Everything that can be refused is refused before the first photograph is coloured. Exit codes: 0 all
are coloured; 1 some are not, the others are; 2 nothing was begun: a name that leads to no
photograph, a folder without any, no such study or trial, results that are there already; 130
interrupted, with no half file. Nothing but safetensors, the study's journal and pictures is read.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from raycolor.coloring.generators import find_generator
from raycolor.coloring.inputs import find_photographs
from raycolor.coloring.jobs import Job, names_one_file, plan_jobs
from raycolor.coloring.writing import FormatName
from raycolor.command import SOME_FAILED, command_line, make_console, named
from raycolor.errors import ConfigError, RaycolorError
from raycolor.photographs.read import MOST_PIXELS

SIZES = (16, 2048)
"""Smallest and largest `--size`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Colour grey photographs. Each keeps its size and its lightness; only colours are predicted.

    Exit codes: 0 all are coloured, 1 some failed, 2 nothing was begun, 130 interrupted.
    """

    # The help keeps the line breaks of these docstrings, so each line is a sentence.
    photos: Annotated[tuple[str, ...], tyro.conf.Positional, named("PHOTO ...")]
    """Photographs, folders of them, or patterns as 'album/**/*.jpg', of any format.
    Colours that they have are ignored."""
    study: Annotated[str, tyro.conf.arg(name="from", metavar="STUDY[:TRIAL]")]
    """A study, for its best generator, or one of its trials, as results/quickstart:7.
    A best/ folder or the file of a generator will do too."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER|FILE")] = Path("colorized")
    """Folder for the results; what lies in folders keeps its place.
    For one photograph also the name of a file, as new.jpg."""
    format: Annotated[FormatName | None, named("png|jpeg|webp|tiff")] = None
    """Format of the results; png if the name of a file does not say another."""
    size: Annotated[int | None, named("PIXELS")] = None
    """Short side at which colours are predicted, 16 to 2048; as in training if not given."""
    side_by_side: Annotated[bool, named(None)] = False
    """Write a second, smaller picture for each: grey, coloured, and the original if coloured."""
    overwrite: Annotated[bool, named(None)] = False
    """Replace results that are there already; a photograph is never replaced."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where colours are predicted; auto takes a CUDA device if there is one."""
    most_megapixels: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = MOST_PIXELS / 1e6
    """Refuse larger photographs; 100 megapixels take about 1.5 GB of memory."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 some failed, 2 the user's error, 130 Ctrl-C."""
    with command_line():
        flags = tyro.cli(Flags, prog="raycolor-colorize", config=(tyro.conf.FlagCreatePairsOff,))
        sys.exit(colorize(flags, make_console()))


def colorize(flags: Flags, console: Console) -> int:
    """Colour what the flags say.

    Returns:
        The exit code.

    Raises:
        RaycolorError: what the user can mend; nothing was written.
    """
    jobs, generator = _checked(flags)
    # Here, so that --help and refusals need not wait for torch.
    from raycolor.coloring.colorizer import load_colorizer
    from raycolor.coloring.run import color_all

    colorizer = load_colorizer(generator, size=flags.size, device=flags.device)
    failed = color_all(jobs, colorizer, console, most_megapixels=flags.most_megapixels)
    return SOME_FAILED if failed else 0


def _checked(flags: Flags) -> tuple[list[Job], Path]:
    """Check everything that can be checked without torch.

    Raises:
        ConfigError: all problems, one a line.
    """
    problems: list[str] = []
    low, high = SIZES
    if flags.size is not None and not low <= flags.size <= high:
        problems.append(f"--size {flags.size}: give a number of pixels from {low} to {high}")
    if not 0 < flags.most_megapixels <= 1e6:
        problems.append(
            f"--most-megapixels {flags.most_megapixels:g}: give a number above 0, as 500"
        )
    jobs, generator = [], Path()
    try:
        folder = flags.out.parent if names_one_file(flags.out) else flags.out
        jobs = plan_jobs(
            find_photographs(flags.photos, without=folder),
            out=flags.out,
            format=flags.format,
            side_by_side=flags.side_by_side,
            overwrite=flags.overwrite,
        )
    except RaycolorError as error:
        problems.append(str(error))
    try:
        generator = find_generator(flags.study)
    except RaycolorError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return jobs, generator


if __name__ == "__main__":
    main()
