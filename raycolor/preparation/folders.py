"""A folder of photographs."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from raycolor.errors import DataError
from raycolor.preparation.listing import Contents, Listing
from raycolor.preparation.names import canonical, kind_of
from raycolor.preparation.skips import Skip


class Folder:
    """A folder with all that lies below it."""

    def __init__(self, path: Path, *, apart: Sequence[Path] = ()) -> None:
        """Name the folder.

        Args:
            path: the folder.
            apart: resolved paths of folders that are not entered.
        """
        self._path = path
        self._root = path.resolve()
        self._apart = {str(folder) for folder in apart}

    def listing(self) -> Listing:
        """List the files; folders that are links are not entered, so that no loop can form."""
        listing = Listing()
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        self._take(entry, folder, listing, pending)
            except OSError as error:
                if not folder:
                    raise DataError(f"{self._path}: cannot be read ({error.strerror})") from error
                listing.add(canonical(folder), folder, _unreadable(error))
        listing.settle()
        return listing

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Name the files; whoever decodes them opens them."""
        for own_name in wanted:
            yield own_name, self._root / own_name

    def _take(
        self, entry: os.DirEntry[str], folder: str, listing: Listing, pending: list[str]
    ) -> None:
        own_name = f"{folder}{entry.name}"
        name = canonical(own_name)
        if kind_of(name) == "hidden":
            listing.num_passed_over += 1
        elif entry.is_symlink():
            listing.add(name, own_name, self._check_link(Path(entry.path)))
        elif entry.is_dir():
            if entry.path not in self._apart:
                pending.append(f"{own_name}/")
        elif entry.is_file():
            listing.add(name, own_name)
        else:
            # Opening a pipe or a device could wait for ever.
            listing.add(name, own_name, Skip("no regular file", "a pipe, socket or device"))

    def _check_link(self, link: Path) -> Skip | None:
        try:
            target = link.resolve(strict=True)
            mode = target.stat().st_mode
        except (OSError, RuntimeError):
            return Skip("a link", "leads nowhere")
        if stat.S_ISDIR(mode):
            return Skip("a link", "to a folder; such links are not followed")
        if not stat.S_ISREG(mode):
            return Skip("a link", "to no regular file")
        if not target.is_relative_to(self._root):
            return Skip("a link", "leads out of the folder; copy the photograph into it")
        return None


def _unreadable(error: OSError) -> Skip:
    return Skip("unreadable", error.strerror or str(error))
