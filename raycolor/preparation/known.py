"""Data sets that a command knows by name: where their archives lie, and how they are split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raycolor.cache import cache_folder
from raycolor.checksums import Expected, fits
from raycolor.data import SplitName
from raycolor.downloads import download
from raycolor.errors import DataError, DownloadError
from raycolor.preparation.cifar import SIDE, Cifar
from raycolor.preparation.settings import SIZES
from raycolor.preparation.sources import Source, open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A data set that has a name."""

    url: str
    """Of its archive."""
    md5: str | None = None
    """Of the archive, as its publisher gives it."""
    num_bytes: int | None = None
    """Of the archive; None if not known."""
    md5_of_beginning: str | None = None
    """Of the first MiB of the archive, as its publisher gives it."""
    draw: Mapping[SplitName, int]
    """Pictures of each split; one that is not named is given by the archive."""
    size: int
    """Side of the stored pictures, in pixels, if no other is asked for."""
    sizes: range
    """Sides that can be asked for."""
    least_color: float
    """Pictures with less colour are left out, if nothing else is asked for."""
    open: Callable[[Path], Source]
    """From the archive to its pictures."""

    @property
    def file(self) -> str:
        """Name of the archive."""
        return self.url.rpartition("/")[2]


KNOWN: dict[str, Known] = {
    # The sample of COCO that fastai publishes; the tutorial trains on 8,000 and validates on
    # 2,000 of it. Its library has a list of sizes and MD5s by which it checks downloads
    # (fastai/data/download_checks.py), but those are MD5s of the first MiB alone; gzip's check sums
    # stand in for the rest. The test split has as many pictures as validation, since a Fréchet
    # distance depends on their number.
    "coco": Known(
        url="https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz",
        num_bytes=3_245_877_008,
        md5_of_beginning="006cd55d633d94b36ecaf661467830ec",
        draw={"train": 8000, "validation": 2000, "test": 2000},
        size=256,
        sizes=SIZES,
        least_color=2.0,
        open=open_source,
    ),
    # 50,000 pictures for training, of which 5,000 are drawn for validation, and 10,000 for testing.
    # Grey ones are kept: results on this data set are known for the whole of it.
    "cifar10": Known(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        draw={"train": 45_000, "validation": 5000},
        size=SIDE,
        sizes=range(SIZES.start, SIDE + 1),
        least_color=0.0,
        open=Cifar,
    ),
}


def archive_of(
    name: str, *, archive: Path | None, sha256: str | None, tell: Callable[[str], None]
) -> Path:
    """Return the archive of a known data set: a given one, or the published one, fetched once.

    Args:
        name: in `KNOWN`.
        archive: one that is on this machine; None fetches the published one into the cache folder,
            where it stays.
        sha256: that it must have, whatever is published of it; None if not known.
        tell: hears of the download, and that a given archive is not the published one.

    Raises:
        DataError: the given archive is not there, cannot be read, or has another SHA-256.
        DownloadError: the published one cannot be had.
    """
    known = KNOWN[name]
    if sha256 is not None:
        # It says more than what is published, and may be that of a later archive.
        known = replace(known, md5=None, num_bytes=None, md5_of_beginning=None)
    if archive is not None:
        if not archive.is_file():
            raise DataError(
                f"--archive {archive}: there is no such file; fetch it from {known.url}"
            )
        try:
            if sha256 is not None and not fits(archive, sha256):
                raise DataError(
                    f"--archive {archive}: has another SHA-256 than {sha256}; fetch it again from "
                    f"{known.url}"
                )
            if not _expected(known).is_there(archive):
                tell(f"{archive}: is not the published archive of {name}; taken as it is")
        except OSError as error:
            raise DataError(
                f"--archive {archive}: cannot be read ({error.strerror or error})"
            ) from error
        return archive
    target = cache_folder() / "downloads" / known.file
    try:
        download(
            known.url,
            target,
            sha256=sha256,
            md5=known.md5,
            size=known.num_bytes,
            md5_of_beginning=known.md5_of_beginning,
            tell=tell,
        )
    except DownloadError as error:
        raise DownloadError(f"{error}; name it then: --archive {known.file}") from error
    return target


def _expected(known: Known) -> Expected:
    """Say what is published of an archive."""
    return Expected(
        sha256=None,
        md5=known.md5,
        size=known.num_bytes,
        md5_of_beginning=known.md5_of_beginning,
    )
