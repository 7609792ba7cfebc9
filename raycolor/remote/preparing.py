"""Photographs from shared storage, and data sets to it; what is made is made on this machine.

    folder at an address    its photographs are read one by one, and none is kept here
    archive at an address   is copied to the cache folder, and removed in the end
    data set at an address  is made in the cache folder, brought there, and removed here

What file:// names is read and written in its place, as a path is.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from raycolor.cache import cache_folder
from raycolor.data import ARCHIVES
from raycolor.errors import DataError
from raycolor.preparation.place import check_free, scratch
from raycolor.preparation.run import Result, Watch, prepare
from raycolor.preparation.settings import Settings, check_settings
from raycolor.preparation.sources import Source, open_source
from raycolor.remote.address import last_name, parent, path_of
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import Tell, upload
from raycolor.remote.data_sets import check_free as check_free_there
from raycolor.remote.photographs import RemoteFolder


@contextmanager
def opened(text: str, out: str, tell: Tell) -> Iterator[Source]:
    """Open photographs, wherever they lie.

    Args:
        text: a folder, an archive, or the address of either.
        out: where the data set goes; such a folder is not looked into.
        tell: hears of what takes long.

    Raises:
        DataError: there is nothing, or something else; or no room for an archive.
        StorageError: the storage refuses, and went on refusing.
    """
    path, place = path_of(text), path_of(out)
    if path is not None:
        yield open_source(path, apart=[] if place is None else [place.resolve()])
    elif not text.partition("?")[0].lower().endswith(ARCHIVES):
        yield RemoteFolder(text)
    else:
        with scratch(cache_folder() / "scratch" / "archive") as folder:
            path = folder / last_name(text)
            tell(f"{text}: copying it to {folder.parent} for as long as it is read")
            try:
                Bucket(parent(text)).download_on(path.name, path)
            except FileNotFoundError:
                raise DataError(
                    f"{text}: there is no such archive; name one that holds photographs"
                ) from None
            yield open_source(path)


def check_place(out: str, *, overwrite: bool) -> None:
    """Refuse a place that holds anything but a data set that may be replaced.

    Raises:
        DataError: with what is there.
        StorageError: the storage refuses, and went on refusing.
    """
    if (path := path_of(out)) is None:
        check_free_there(out, overwrite=overwrite)
    else:
        check_free(path, overwrite=overwrite)


def prepare_to(
    out: str, settings: Settings, watch: Watch, *, source: Source | None, tell: Tell
) -> Result:
    """Make a data set, on this machine or on shared storage.

    Args:
        out: a folder or an address; the folder of the settings is not looked at.
        settings: what else is wanted.
        watch: is told about the progress.
        source: of the photographs; None opens the folder or archive of the settings.
        tell: hears of what takes long.

    Raises:
        ConfigError: impossible settings.
        DataError: the photographs cannot be read or are too few, or the place is taken.
        StorageError: the storage refuses, and went on refusing.
    """
    if (path := path_of(out)) is not None:
        return prepare(replace(settings, out=path), watch, source=source)
    check_settings(settings)
    check_place(out, overwrite=settings.overwrite)
    with scratch(cache_folder() / "scratch" / "data-set") as folder:
        # The data set takes its name from its folder.
        made = folder / last_name(out)
        result = prepare(replace(settings, out=made), watch, source=source)
        check_place(out, overwrite=settings.overwrite)
        tell(f"{out}: bringing {result.num_bytes / 1e6:,.0f} MB there")
        upload(made, out)
        shutil.rmtree(made)
    return result
