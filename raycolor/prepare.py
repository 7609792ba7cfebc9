"""Make a data set of your own photographs: `python -m raycolor.prepare FOLDER OUT`.

    python -m raycolor.prepare holidays my-data --size 128
    python -m raycolor.search --data my-data

FOLDER may be a folder with all that lies below it, or a zip or tar archive. Folders `train`, `val`
and `test` in it are kept as splits; otherwise the split follows from the pictures' names. What is
left out, and why, is told and stands in OUT/dataset.json.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from raycolor.command import command_line, make_console, named


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Make a data set of your own photographs."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Folder of photographs, or an archive of them (zip, tar, tar.gz, tar.bz2, tar.xz)."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Where the data set goes: a new folder."""
    size: int = 96
    """Side of the stored square pictures in pixels, 16 to 1024; smaller photographs are left out.
    Networks see random crops of data.size pixels: half as much again gives them variety."""
    fit: Literal["crop", "stretch"] = "crop"
    """crop keeps the aspect ratio and cuts the middle out; stretch keeps the whole."""
    validation: float = 0.1
    """Share of the pictures that scores are measured on, unless FOLDER has a folder val."""
    test: float = 0.1
    """Share of the pictures for a last test, unless FOLDER has a folder test."""
    least_color: float = 2.0
    """Pictures with less colour are left out, as grey and sepia ones; 0 takes all.
    It is the root mean square, in Lab units, of what lightness does not tell of a and b."""
    workers: Annotated[int | None, named("N")] = None
    """Processes; one for each core if not given."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Replace an older data set in OUT; it stays usable until the new one is complete."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-prepare")
    with command_line():
        # Here: --help need not wait for them.
        from raycolor.preparation.closing import print_closing
        from raycolor.preparation.progress import shown_progress
        from raycolor.preparation.run import prepare
        from raycolor.preparation.settings import Settings, available_cores
        from raycolor.preparation.squares import Recipe

        console = make_console()
        settings = Settings(
            source=flags.folder,
            out=flags.out,
            recipe=Recipe(size=flags.size, fit=flags.fit, least_color=flags.least_color),
            validation=flags.validation,
            test=flags.test,
            workers=available_cores() if flags.workers is None else flags.workers,
            overwrite=flags.overwrite,
        )
        with shown_progress(console) as watch:
            result = prepare(settings, watch)
        print_closing(console, result, flags.out)


if __name__ == "__main__":
    main()
