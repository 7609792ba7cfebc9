"""Photographs in a folder on shared storage: read one by one, and not kept on this machine."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from raycolor.preparation.archives import MOST_MEMBER_BYTES, member_path
from raycolor.preparation.listing import Contents, Listing
from raycolor.preparation.skips import Skip
from raycolor.remote.bucket import Bucket

AT_ONCE = 16
"""Photographs that are on their way at the same time: one alone mostly waits for its answer."""
MOST_BYTES = 256 << 20
"""Of photographs that are on their way or wait to be decoded, unless a single one is larger."""


class RemoteFolder:
    """A folder with all that lies below it."""

    def __init__(self, address: str) -> None:
        """Name the folder.

        Args:
            address: of the folder.
        """
        self._bucket = Bucket(address)
        self._sizes: dict[str, int] = {}

    def listing(self) -> Listing:
        """List the files.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        listing = Listing()
        for own_name, entry in self._bucket.files().items():
            name, skip = member_path(own_name)
            if skip is None and entry.size > MOST_MEMBER_BYTES:
                found, most = entry.size / 2**20, MOST_MEMBER_BYTES >> 20
                skip = Skip("too large", f"{found:,.0f} MiB, {most} are the most")
            listing.add(name, own_name, skip)
            self._sizes[own_name] = entry.size
        listing.settle()
        return listing

    def read(self, wanted: Sequence[str]) -> Iterator[tuple[str, Contents]]:
        """Read files in the given order, some ahead.

        Raises:
            StorageError: the storage refuses, and went on refusing.
        """
        waiting: deque[tuple[str, Future[Contents]]] = deque()
        num_bytes = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for own_name in wanted:
                    size = self._sizes[own_name]
                    while waiting and (
                        len(waiting) >= 2 * AT_ONCE or num_bytes + size > MOST_BYTES
                    ):
                        num_bytes -= self._sizes[waiting[0][0]]
                        yield _taken(waiting)
                    waiting.append((own_name, pool.submit(self._contents, own_name)))
                    num_bytes += size
                while waiting:
                    yield _taken(waiting)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _contents(self, own_name: str) -> Contents:
        try:
            return self._bucket.read(own_name)
        except FileNotFoundError:
            return Skip("unreadable", "is not there any more")


def _taken(waiting: deque[tuple[str, Future[Contents]]]) -> tuple[str, Contents]:
    own_name, future = waiting.popleft()
    return own_name, future.result()
