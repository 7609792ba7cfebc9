"""Tells folders from archives."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from raycolor.errors import DataError
from raycolor.preparation.folders import Folder
from raycolor.preparation.listing import Contents, Listing
from raycolor.preparation.tars import Tar, is_tar
from raycolor.preparation.zips import Zip, begins_as_zip, ends_as_zip


@runtime_checkable
class Source(Protocol):
    """Files of photographs, wherever they lie."""

    def listing(self) -> Listing:
        """List the files by canonical name."""
        ...

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Read files by the source's own names for them, in an order that suits it."""
        ...


def open_source(path: Path, *, apart: Sequence[Path] = ()) -> Source:
    """Open a folder or an archive.

    Args:
        path: the folder or the archive.
        apart: resolved paths of folders that are no part of it, though they may lie in it.

    Raises:
        DataError: there is nothing, no permission, or something else.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Folder(path, apart=apart)
        if stat.S_ISREG(mode):
            if begins_as_zip(path):
                return Zip(path)
            # A tar archive may well end with a zip archive, its last member.
            if is_tar(path):
                return Tar(path)
            if ends_as_zip(path):
                return Zip(path)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: there is no such folder or archive; name one that holds photographs"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    raise DataError(
        f"{path}: no folder and no archive that is read here (zip, tar, tar.gz, tar.bz2, tar.xz); "
        "name the folder that holds the photographs, or unpack the archive"
    )
