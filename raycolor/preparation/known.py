"""Data sets that a command knows by name: where their archives lie, and how they are split."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raycolor.cache import cache_folder
from raycolor.checksums import fits
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
    # 2,000 of it. Neither hash nor size is published beside it:
    # gzip's check sums stand in. The test split has as many pictures as validation, since a Fréchet
    # distance depends on their number.
    "coco": Known(
        url="https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz",
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
        sha256: that it must have; None if not known.
        tell: hears of the download.

    Raises:
        DataError: the given archive is not there, or has another SHA-256.
        DownloadError: the published one cannot be had.
    """
    known = KNOWN[name]
    if archive is not None:
        if not archive.is_file():
            raise DataError(
                f"--archive {archive}: there is no such file; fetch it from {known.url}"
            )
        if sha256 is not None and not fits(archive, sha256):
            raise DataError(
                f"--archive {archive}: has another SHA-256 than {sha256}; fetch it again from "
                f"{known.url}"
            )
        if sha256 is None and known.md5 is not None and _md5(archive) != known.md5:
            tell(f"{archive}: is not the published archive of {name}; taken as it is")
        return archive
    target = cache_folder() / "downloads" / known.file
    try:
        download(known.url, target, sha256=sha256, md5=known.md5, size=known.num_bytes, tell=tell)
    except DownloadError as error:
        raise DownloadError(f"{error}; name it then: --archive {known.file}") from error
    return target


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
