"""Colour grey photographs with a study's best generator: `python -m raycolor.colorize`.

    python -m raycolor.colorize old.jpg --from results/quickstart --out colorized

A photograph keeps its size and its own lightness; only a and b are predicted, at the size that the
generator was trained for, and enlarged. Nothing but safetensors, YAML and pictures is read.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import tyro
from rich.console import Console

from raycolor.errors import CheckpointError, DataError, RaycolorError

if TYPE_CHECKING:
    from raycolor.colorizer import Colorizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Colour grey photographs."""

    photos: tyro.conf.Positional[tuple[Path, ...]]
    """Photographs of any size and format that Pillow reads; colours that they have are ignored."""
    study: Annotated[Path, tyro.conf.arg(name="from")]
    """Folder of a study, or of its `best/`."""
    out: Path = Path("colorized")
    """Where the coloured photographs go, as PNG files of the same name."""
    size: int | None = None
    """Short side in pixels at which colours are predicted; that of the training if not given."""
    overwrite: bool = False
    """Replace files that are there already."""


def main() -> None:
    """Run the command line; exit codes: 0 all coloured, 2 some photograph or the study is wrong."""
    flags = tyro.cli(Flags, prog="raycolor-colorize")
    console = Console(soft_wrap=True, highlight=False)
    try:
        targets = _targets(flags)
        from raycolor.colorizer import load_colorizer  # here: --help need not wait for torch

        colorizer = load_colorizer(_best(flags.study), size=flags.size)
    except RaycolorError as error:
        _fail([str(error)])
    problems = []
    for photo, target in targets.items():
        try:
            _colorize(colorizer, photo, target)
            console.print(f"{photo} -> {target}", markup=False)
        except RaycolorError as error:
            problems.append(str(error))
    if problems:
        _fail(problems)


def _targets(flags: Flags) -> dict[Path, Path]:
    """Name the file that each photograph becomes.

    Raises:
        DataError: none is given, two would become one file, or a file is there already.
    """
    if not flags.photos:
        raise DataError("no photograph given; name at least one")
    if flags.size is not None and flags.size < 16:
        raise DataError(f"--size {flags.size}: too small to see anything; give at least 16")
    targets: dict[Path, Path] = {}
    for photo in flags.photos:
        target = flags.out / f"{photo.stem}.png"
        if target in targets.values():
            raise DataError(f"{photo}: another photograph becomes {target} too; rename one of them")
        if target.exists() and not flags.overwrite:
            raise DataError(f"{target}: is there already; give --overwrite or another --out")
        targets[photo] = target
    return targets


def _best(study: Path) -> Path:
    """Find the folder of the best generator.

    Raises:
        CheckpointError: there is none.
    """
    for folder in (study / "best", study):
        if (folder / "generator.safetensors").is_file():
            return folder
    raise CheckpointError(
        f"--from {study}: no best/generator.safetensors in it; name the folder of a study that has "
        "reported, as results/quickstart"
    )


def _colorize(colorizer: "Colorizer", photo: Path, target: Path) -> None:
    from raycolor.pictures import load_rgb, save_png

    target.parent.mkdir(parents=True, exist_ok=True)
    save_png(target, colorizer(load_rgb(photo)))


def _fail(problems: list[str]) -> NoReturn:
    print("\n".join(problems), file=sys.stderr)  # noqa: T201  (a command line's error)
    sys.exit(2)


if __name__ == "__main__":
    main()
