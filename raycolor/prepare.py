"""Make a data set of photographs: `python -m raycolor.prepare SOURCE OUT`.

    python -m raycolor.prepare holidays my-data --size 128
    python -m raycolor.search --data my-data

SOURCE may be a folder with all that lies below it, a zip or tar archive, the address of either on
shared storage, or the name of a known data set, `coco` or `cifar10`, which is fetched. Folders
`train`, `val` and `test` in it are kept as splits; otherwise the split follows from the pictures'
names. What is left out, and why, is told and stands in OUT/dataset.json.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from raycolor.command import command_line, make_console, named
from raycolor.errors import ConfigError
from raycolor.remote.address import check_address, is_address, last_name

if TYPE_CHECKING:
    from raycolor.preparation.known import Known
    from raycolor.preparation.settings import Settings

SIZE, HELD_OUT, LEAST_COLOR = 96, 0.1, 2.0
"""Of photographs of one's own, if nothing else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Make a data set of photographs: of your own, or a known one.

    `coco OUT` fetches a sample of COCO (some GB, to the cache folder, once) and draws pictures for
    training (8,000), validation (2,000) and testing (2,000).

    `cifar10 OUT` fetches CIFAR-10 (170 MB) and draws training (45,000) and validation (5,000);
    testing has its own 10,000.

    Both draw by the hashes of names, so every machine draws the same.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """Folder of photographs, or an archive of them (zip, tar, tar.gz, tar.bz2, tar.xz), here or on
    shared storage (s3://BUCKET/FOLDER, gs://..., file:///FOLDER); or coco or cifar10, which are the
    names of known data sets unless a file or folder of that name is here."""
    out: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OUT")]
    """Where the data set goes: a new folder, here or on shared storage. For shared storage it is
    made in the cache folder first, and takes room there for a while."""
    size: Annotated[int | None, named("N")] = None
    """Side of the stored square pictures in pixels, 16 to 1024; smaller photographs are left out.
    Networks see random crops of data.size pixels: half as much again gives them variety. 96 if not
    given; 256 for coco, and 32 for cifar10, which is not larger."""
    fit: Literal["crop", "stretch"] = "crop"
    """crop keeps the aspect ratio and cuts the middle out; stretch keeps the whole."""
    validation: Annotated[float | None, named("SHARE")] = None
    """Share of the pictures that scores are measured on, unless SOURCE has a folder val; 0.1 if not
    given. Known data sets have their numbers."""
    test: Annotated[float | None, named("SHARE")] = None
    """Share of the pictures for a last test, unless SOURCE has a folder test; 0.1 if not given.
    Known data sets have their numbers."""
    least_color: Annotated[float | None, named("X")] = None
    """Pictures with less colour are left out, as grey and sepia ones; 0 takes all.
    It is the root mean square, in Lab units, of what lightness does not tell of a and b. 2 if not
    given; 0 for cifar10, which is known as a whole."""
    archive: Annotated[Path | None, named("FILE")] = None
    """Archive of coco or cifar10 that is here already; it is fetched if not given."""
    sha256: Annotated[str | None, named("HEX")] = None
    """SHA-256 that the archive of coco or cifar10 must have. Without it what is published of a
    fetched one is checked: of cifar10 the MD5, of coco the size and the MD5 of the first MiB; for
    the rest of coco the check sums of gzip stand in. An --archive that is another one is taken
    nevertheless, with a note."""
    workers: Annotated[int | None, named("N")] = None
    """Processes; one for each core if not given."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, named(None)] = False
    """Replace an older data set in OUT; it stays usable until the new one is complete, on shared
    storage until the new one is brought there."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 the user's error, 130 interrupted."""
    flags = tyro.cli(Flags, prog="raycolor-prepare")
    with command_line():
        # Here: --help need not wait for them.
        from raycolor.preparation.closing import print_closing
        from raycolor.preparation.known import archive_of
        from raycolor.preparation.progress import shown_progress
        from raycolor.preparation.settings import check_settings
        from raycolor.remote.preparing import check_place, opened, prepare_to

        console = make_console()

        def tell(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)

        known = _known(flags, tell)
        if problems := list(_problems(flags, known)):
            raise ConfigError("\n".join(problems))
        settings = _settings(flags, known)
        # Before anything is fetched.
        check_settings(settings)
        check_place(flags.out, overwrite=flags.overwrite)
        with ExitStack() as stack:
            if known is None:
                source = stack.enter_context(opened(flags.source, flags.out, tell))
            else:
                source = known.open(
                    archive_of(flags.source, archive=flags.archive, sha256=_hash(flags), tell=tell)
                )
            watch = stack.enter_context(shown_progress(console))
            result = prepare_to(flags.out, settings, watch, source=source, tell=tell)
        print_closing(console, result, flags.out)


def _known(flags: Flags, tell: Callable[[str], None]) -> "Known | None":
    """Return the known data set that is meant, if one is."""
    from raycolor.preparation.known import KNOWN

    known = KNOWN.get(flags.source)
    # With an archive of it nothing else can be meant.
    if known is not None and flags.archive is None and Path(flags.source).exists():
        tell(
            f"{flags.source}: read as the file or folder of that name here; for the known data "
            "set, work in another folder"
        )
        return None
    return known


def _problems(flags: Flags, known: "Known | None") -> Iterator[str]:
    for name, text in (("SOURCE", flags.source), ("OUT", flags.out)):
        if is_address(text):
            try:
                check_address(name, text)
            except ConfigError as error:
                yield str(error)
    if flags.sha256 is not None and _hash(flags) is None:
        yield f"--sha256: {flags.sha256}; give 64 hexadecimal digits"
    if known is None:
        given = {"--archive": flags.archive, "--sha256": flags.sha256}
        for flag in [flag for flag, value in given.items() if value is not None]:
            yield f"{flag}: goes with coco and cifar10; name an archive of your own as SOURCE"
        return
    shares = {"--validation": flags.validation, "--test": flags.test}
    for flag, share in shares.items():
        if share is not None:
            yield f"{flag}: {share:g}; {flags.source} has fixed numbers of pictures; leave it out"
    if flags.size is not None and flags.size not in known.sizes:
        first, last = known.sizes[0], known.sizes[-1]
        yield f"--size: {flags.size} pixels; give {first} to {last} for {flags.source}"


def _settings(flags: Flags, known: "Known | None") -> "Settings":
    from raycolor.preparation.settings import Settings, available_cores
    from raycolor.preparation.squares import Recipe

    size, least_color = (known.size, known.least_color) if known else (SIZE, LEAST_COLOR)
    return Settings(
        source=Path(flags.source),
        title=flags.source if known or is_address(flags.source) else None,
        out=Path(last_name(flags.out) if is_address(flags.out) else flags.out),
        recipe=Recipe(
            size=size if flags.size is None else flags.size,
            fit=flags.fit,
            least_color=least_color if flags.least_color is None else flags.least_color,
        ),
        validation=HELD_OUT if flags.validation is None else flags.validation,
        test=HELD_OUT if flags.test is None else flags.test,
        draw=known.draw if known else None,
        workers=available_cores() if flags.workers is None else flags.workers,
        overwrite=flags.overwrite,
    )


def _hash(flags: Flags) -> str | None:
    """Return the SHA-256 as hashes are written; None if none was given, or it is none."""
    text = (flags.sha256 or "").lower()
    return text if len(text) == 64 and not set(text) - set("0123456789abcdef") else None


if __name__ == "__main__":
    main()
