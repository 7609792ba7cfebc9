"""A zip archive of photographs."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from raycolor.preparation.archives import (
    bomb,
    changed,
    damaged,
    device_skip,
    link_skip,
    member_path,
    most_bytes,
    size_skip,
)
from raycolor.preparation.listing import Contents, Listing
from raycolor.preparation.names import kind_of
from raycolor.preparation.skips import Skip

FAULTS = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What Python's reader raises on damaged or hostile archives."""
UTF8_NAME, ENCRYPTED = 0x800, 0x1
"""Bits of a member's flags. Source: APPNOTE.TXT 6.3.10, 4.4.4."""
FROM_DOS = 0


class Zip:
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing:
        """List the members.

        Raises:
            DataError: damaged, or a bomb.
        """
        listing = Listing()
        num_bytes = 0
        with self._opened() as archive:
            for number, member in enumerate(archive.infolist()):
                # A damaged archive may have members without a name, of which zipfile cannot tell.
                if not member.filename or member.is_dir():
                    continue
                name, unsafe = member_path(_name(member))
                skip = unsafe or _skip(member)
                if skip is None and kind_of(name) in ("picture", "unknown"):
                    num_bytes += member.file_size
                listing.add(name, str(number), skip)
        if num_bytes > most_bytes(self._path):
            raise bomb(self._path, num_bytes)
        listing.settle()
        return listing

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Unpack members one after another.

        Raises:
            DataError: damaged as a whole, or changed since it was listed.
        """
        with self._opened() as archive:
            members = archive.infolist()
            for own_name in wanted:
                if int(own_name) >= len(members):
                    raise changed(self._path)
                yield own_name, _unpack(archive, members[int(own_name)])

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            archive = zipfile.ZipFile(self._path)
        except FAULTS as error:
            raise damaged(self._path, "zip", error) from error
        with archive:
            yield archive


def begins_as_zip(path: Path) -> bool:
    """Tell whether a file begins as a zip archive does; it may be cut off."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


def ends_as_zip(path: Path) -> bool:
    """Tell whether a file ends as a zip archive does; a program that unpacks itself does."""
    return zipfile.is_zipfile(path)


def _name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not member.flag_bits & UTF8_NAME:
        # Such names are CP437 by the book, but UTF-8 from most of today's programs.
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    # Some programs pack the separators of Windows.
    return name.replace("\\", "/") if member.create_system == FROM_DOS else name


def _skip(member: zipfile.ZipInfo) -> Skip | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return link_skip()
    if kind not in (0, stat.S_IFREG):
        return device_skip()
    if member.flag_bits & ENCRYPTED:
        return Skip("encrypted", "unpack the archive with its password first")
    return size_skip(member.file_size)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Contents:
    try:
        # No more than the size that was checked comes out, whatever the data say.
        return archive.read(member)
    except NotImplementedError:
        return Skip("unreadable", "packed by a method that is not known here; pack it anew")
    except FAULTS as error:
        return Skip("damaged", f"in the archive ({error})")
