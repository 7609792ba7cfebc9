"""One preparation, from a folder or an archive to a data set in its place."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from PIL import __version__ as pillow_version

from raycolor import __version__
from raycolor.config import TrialConfig
from raycolor.data import PreparedData, SplitName, open_prepared, write_rows
from raycolor.errors import DataError
from raycolor.preparation.draws import Drawer
from raycolor.preparation.listing import Listing
from raycolor.preparation.place import building, check_free, writing
from raycolor.preparation.settings import Settings, check_settings
from raycolor.preparation.skips import Reason, Skip, by_reason, first_names, printable
from raycolor.preparation.sources import Source, open_source
from raycolor.preparation.splits import LEAST, Kept, Splitter
from raycolor.preparation.spool import Spool
from raycolor.preparation.squares import Job, Square, do_job
from raycolor.preparation.workers import Lost, Workers

Watch = Callable[[int, int], None]
"""Is told how many files of how many are done."""
LOST_REASONS: dict[str, Reason] = {"crashed": "decoder crashed", "hung": "decoder hung"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a preparation."""

    data: PreparedData
    num_bytes: int
    """Size of the data set on disk."""
    skipped: Mapping[str, Skip]
    """Files that were left out, by name."""
    num_passed_over: int
    """Files and folders that are hidden, or no pictures by their names."""
    folders: Mapping[str, SplitName]
    """Top folders that were taken for splits."""
    notes: tuple[str, ...]
    """What else the user may want to know."""
    common_side: int
    """Nine of ten photographs have a short side of at least this, in pixels."""


def prepare(settings: Settings, watch: Watch, *, source: Source | None = None) -> Result:
    """Make a data set.

    Args:
        settings: what is wanted.
        watch: is told about the progress.
        source: of the photographs; None opens the folder or archive of the settings.

    Raises:
        ConfigError: impossible settings.
        DataError: the photographs cannot be read or are too few, or the place is taken.
    """
    check_settings(settings)
    check_free(settings.out, overwrite=settings.overwrite)
    if source is None:
        source = open_source(settings.source, apart=[settings.out.resolve()])
    listing = source.listing()
    if not listing.candidates:
        raise DataError(f"{settings.source_title}: no picture in it{_left_out(listing.skipped)}")
    splitter = _splitter(settings, listing)
    skipped = dict(listing.skipped)
    kept: list[Kept] = []
    short_sides: list[int] = []
    with (
        building(settings.out, overwrite=settings.overwrite) as folder,
        Spool(folder / "rows", settings.recipe.size) as spool,
        closing(_squares(settings, source, listing, splitter, watch)) as squares,
    ):
        for job, square in squares:
            if isinstance(square, Skip):
                skipped[job.name] = square
                continue
            with writing(settings.out):
                spool.put(job.place, square.pixels)
            kept.append(Kept(name=job.name, place=job.place, digest=square.digest))
            short_sides.append(square.short_side)
        splits, duplicates = splitter.assign(kept)
        skipped |= duplicates
        _check_enough(settings, splitter, splits, skipped)
        with writing(settings.out):
            write_rows(
                folder,
                {
                    split: ((picture.name, spool.get(picture.place)) for picture in pictures)
                    for split, pictures in splits.items()
                },
                size=settings.recipe.size,
                name=settings.out.resolve().name,
                source=f"{sum(map(len, splits.values()))} pictures of {settings.source_title}",
                skipped={name: str(skip) for name, skip in sorted(skipped.items())},
                preparation=_describe(settings, splitter, skipped, listing.num_passed_over),
            )
    return Result(
        data=open_prepared(settings.out),
        num_bytes=sum(path.stat().st_size for path in settings.out.iterdir()),
        skipped=skipped,
        num_passed_over=listing.num_passed_over,
        folders=splitter.folders,
        notes=() if isinstance(splitter, Splitter) else tuple(splitter.notes),
        common_side=sorted(short_sides)[len(short_sides) // 10],
    )


def _splitter(settings: Settings, listing: Listing) -> Splitter | Drawer:
    if settings.draw is not None:
        return Drawer(listing.candidates, settings.draw)
    return Splitter(listing.candidates, validation=settings.validation, test=settings.test)


def _squares(
    settings: Settings, source: Source, listing: Listing, splitter: Splitter | Drawer, watch: Watch
) -> Generator[tuple[Job, Square | Skip], None, None]:
    """Decode all files, in the order in which they are done."""
    unread: list[tuple[Job, Skip]] = []
    total, num_done = len(listing.candidates), 0
    number = min(settings.workers, total)
    work = partial(do_job, recipe=settings.recipe)
    watch(num_done, total)
    with Workers[Job, Square | Skip](
        work, number, patience_s=settings.patience_s, preload=do_job.__module__
    ) as workers:
        for job, answer in workers.run(_jobs(source, listing, splitter, unread)):
            for done in [*unread, (job, _settled(answer))]:
                num_done += 1
                if num_done < total:
                    watch(num_done, total)
                yield done
            unread.clear()
    yield from unread
    watch(total, total)


def _settled(answer: Square | Skip | Lost) -> Square | Skip:
    if isinstance(answer, Lost):
        return Skip(LOST_REASONS[answer.how], answer.detail)
    return answer


def _jobs(
    source: Source, listing: Listing, splitter: Splitter | Drawer, unread: list[tuple[Job, Skip]]
) -> Iterator[Job]:
    """Make a job of each file; those that cannot be read are added to `unread`."""
    names = {own_name: name for name, own_name in listing.candidates.items()}
    places = {name: place for place, name in enumerate(listing.candidates)}
    for own_name, contents in source.read(list(names)):
        name = names[own_name]
        skip = contents if isinstance(contents, Skip) else splitter.outside(name)
        job = Job(
            place=places[name], name=name, source=b"" if isinstance(contents, Skip) else contents
        )
        if skip is None:
            yield job
        else:
            unread.append((job, skip))


def _check_enough(
    settings: Settings,
    splitter: Splitter | Drawer,
    splits: Mapping[SplitName, list[Kept]],
    skipped: Mapping[str, Skip],
) -> None:
    """Refuse a data set that no trial could use.

    Raises:
        DataError: how many pictures there are, how many are needed, and why files were left out.
    """
    batch = TrialConfig().budget.batch_size
    least: dict[SplitName, int] = {"train": batch, **LEAST}
    short = [
        f"{len(splits[split])} for {'training' if split == 'train' else split} ({needed} needed)"
        for split, needed in least.items()
        if len(splits[split]) < needed
    ]
    if not short:
        return
    taken = "".join(
        f"; the folder {printable(folder)} was taken as {split}"
        for folder, split in sorted(splitter.folders.items())
    )
    raise DataError(
        f"{settings.source_title}: too few pictures: {', '.join(short)}{taken}; add photographs"
        f"{_left_out(skipped)}"
    )


def _left_out(skipped: Mapping[str, Skip]) -> str:
    reasons = [
        f"\n  {len(names):,} {reason}: {first_names(names, len(names))}"
        for reason, names in by_reason(skipped)
    ]
    return "".join(["; left out were", *reasons]) if reasons else ""


def _describe(
    settings: Settings,
    splitter: Splitter | Drawer,
    skipped: Mapping[str, Skip],
    num_passed_over: int,
) -> dict[str, object]:
    """Say how the pictures were made, for dataset.json."""
    if settings.draw is None:
        splits: dict[str, object] = {"validation": settings.validation, "test": settings.test}
    else:
        splits = {"draw": dict(settings.draw)}
    return {
        "fit": settings.recipe.fit,
        "least_color": settings.recipe.least_color,
        **splits,
        "folders": dict(sorted(splitter.folders.items())),
        "skipped": dict(Counter(skip.reason for skip in skipped.values()).most_common()),
        "passed_over": num_passed_over,
        "raycolor": __version__,
        "pillow": pillow_version,
    }
