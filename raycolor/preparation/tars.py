"""A tar archive of photographs, plain or compressed."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from raycolor.errors import DataError
from raycolor.preparation.archives import (
    MOST_MEMBER_BYTES,
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
from raycolor.preparation.skips import Skip

FAULTS = (
    tarfile.TarError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    EOFError,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
)
"""What Python's readers raise on damaged or hostile archives."""
CHUNK_BYTES = 1 << 20


class Tar:
    """A tar archive, plain or compressed by gzip, bzip2 or xz.

    It can only be read from its start, so it is read twice: once for the list, once for the
    pictures.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing:
        """List the members.

        Raises:
            DataError: damaged, cut off, or a bomb.
        """
        listing = Listing()
        for number, (member, _) in enumerate(self._members()):
            if not member.isdir():
                name, unsafe = member_path(member.name)
                listing.add(name, str(number), unsafe or _skip(member))
        listing.settle()
        return listing

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Read members in the order in which they lie in the archive.

        Raises:
            DataError: damaged or cut off, or changed since it was listed.
        """
        missing = set(wanted)
        for number, (member, stream) in enumerate(self._members()):
            own_name = str(number)
            if own_name in missing:
                if _skip(member) is not None:
                    raise changed(self._path)
                missing.remove(own_name)
                yield own_name, self._contents(member, stream)
            if not missing:
                return
        raise changed(self._path)

    def members(self, is_wanted: Callable[[str], object]) -> Iterator[tuple[str, bytes | Skip]]:
        """Read the members whose cleaned paths are wanted, or say why they cannot be.

        Raises:
            DataError: damaged, cut off, or a bomb.
        """
        for member, stream in self._members():
            name, unsafe = member_path(member.name)
            if not member.isdir() and is_wanted(name):
                yield name, unsafe or _skip(member) or self._contents(member, stream)

    def _contents(self, member: tarfile.TarInfo, stream: "Stream") -> bytes:
        try:
            stream.seek(member.offset_data)
            contents = stream.read(member.size)
        except FAULTS as error:
            raise damaged(self._path, "tar", error) from error
        if len(contents) < member.size:
            raise _cut_off(self._path)
        return contents

    def _members(self) -> Iterator[tuple[tarfile.TarInfo, "Stream"]]:
        """Go through the members, with the stream that holds their contents."""
        with Stream(self._path) as stream:
            try:
                with tarfile.open(
                    fileobj=cast(BinaryIO, stream),
                    mode="r:",
                    encoding="utf-8",
                    errors="surrogateescape",
                ) as archive:
                    while (member := archive.next()) is not None:
                        yield member, stream
                        # The archive would keep every member that it has seen.
                        archive.members.clear()  # type: ignore[attr-defined]  # not in the stubs
            except FAULTS as error:
                raise damaged(self._path, "tar", error) from error
            # The reader takes a damaged header for the end; the true end is of zeros or nothing.
            if stream.last.strip(b"\0"):
                raise _cut_off(self._path)


class Stream:
    """The unpacked bytes of a file, read forward only, and never more than is sound."""

    def __init__(self, path: Path) -> None:
        """Open the file; gzip, bzip2 and xz are told by their first bytes."""
        self._path = path
        self._most_bytes = most_bytes(path)
        self._position = 0
        self.last = b""
        """What the last `read` gave."""
        with path.open("rb") as file:
            start = file.read(6)
        if start.startswith(b"\x1f\x8b"):
            self._file = cast(BinaryIO, gzip.open(path))  # noqa: SIM115  (closed by __exit__)
        elif start.startswith(b"BZh"):
            self._file = cast(BinaryIO, bz2.open(path))  # noqa: SIM115  (as above)
        elif start == b"\xfd7zXZ\0":
            self._file = cast(BinaryIO, lzma.open(path))  # noqa: SIM115  (as above)
        else:
            self._file = path.open("rb")

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def tell(self) -> int:
        """Return the position in the unpacked bytes."""
        return self._position

    def seek(self, position: int) -> int:
        """Skip forward.

        Raises:
            ValueError: the position lies behind; only damaged archives ask for it.
            EOFError: the bytes end before it.
        """
        if position < self._position:
            raise ValueError("a member begins before the end of the one before it")
        while self._position < position:
            if not self._take(min(CHUNK_BYTES, position - self._position)):
                raise EOFError("it ends within a member")
        return position

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; fewer only at the end.

        Raises:
            ValueError: more than a member may have, as a hostile header may claim.
        """
        if not 0 <= size <= MOST_MEMBER_BYTES:
            raise ValueError(f"a part of {size} bytes")
        self.last = self._take(size)
        return self.last

    def _take(self, size: int) -> bytes:
        taken = self._file.read(size)
        self._position += len(taken)
        if self._position > self._most_bytes:
            raise bomb(self._path, self._position)
        return taken


def is_tar(path: Path) -> bool:
    """Tell whether a file begins as a tar archive does, once it is unpacked."""
    try:
        with Stream(path) as stream:
            start = stream.read(tarfile.BLOCKSIZE)
            tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except FAULTS:
        return False
    return True


def _skip(member: tarfile.TarInfo) -> Skip | None:
    if member.issym() or member.islnk():
        return link_skip()
    if not member.isreg():
        return device_skip()
    if member.issparse():
        return Skip("unreadable", "a sparse file; pack it anew")
    return size_skip(member.size)


def _cut_off(path: Path) -> DataError:
    return DataError(f"{path}: a tar archive that is damaged or cut off; copy or download it again")
