"""Prepared data sets on shared storage.

A machine copies one to its cache folder before it is used, once for all that runs there, and maps
it into memory from there:

    data/FINGERPRINT/           a complete copy, compared with its fingerprint
    data/.FINGERPRINT.part/     one on its way; a later process goes on with it
    data/.FINGERPRINT.lock      held by the process that copies

Copies stay until others need their room, see `raycolor.remote.room`, or someone removes them, which
may be done at will while nothing uses them.
"""

import fcntl
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from raycolor.cache import VARIABLE, cache_folder
from raycolor.data import (
    ARCHIVES,
    ENDINGS,
    PHOTOS,
    SPLITS,
    PreparedData,
    described,
    open_prepared,
    verify,
)
from raycolor.errors import DataError
from raycolor.remote.address import below, is_address
from raycolor.remote.bucket import Bucket
from raycolor.remote.room import check_room, make_room, part_of, settle, use

ABOUT = "dataset.json"
SPLIT_FILES = tuple(f"{split}.arrow" for split in SPLITS)
BUILT_IN = "photos"
"""As in `raycolor.plan`."""
UNFINISHED = "upload-unfinished"
"""File beside the others while they are brought there."""
MOST_LOOKED_INTO = 50
"""Folders that are looked into, to say what lies where a data set was expected."""

Tell = Callable[[str], None]


def open_data_set(data: str | None) -> PreparedData:
    """Open a data set, wherever it lies; one on shared storage is copied to this machine first.

    Args:
        data: a folder or an address, as plans name it; None or `photos` for the built-in one.

    Raises:
        DataError: it is none, or damaged.
        StorageError: the storage refuses, and went on refusing.
    """
    if data is None or data == BUILT_IN:
        return open_prepared(PHOTOS)
    return local_copy(data) if is_address(data) else open_prepared(Path(data))


def described_at(address: str) -> PreparedData:
    """Read the description of a data set on shared storage; its pixels are not copied.

    Returns:
        The data set; its folder is where a copy of it will lie.

    Raises:
        DataError: there is none; the message says what is there instead.
        StorageError: the storage refuses, and went on refusing.
    """
    return _described(address, _read_about(address))


def local_copy(address: str, *, tell: Tell | None = None, checked: bool = False) -> PreparedData:
    """Return a data set on shared storage as a copy on this machine, made if it is not there.

    It stays as long as this process lives; others that nobody uses may have to make room for it.

    Args:
        address: of the data set.
        tell: hears of the copying.
        checked: compare a copy that is there with its fingerprint too, and make it anew if it is
            damaged; a fresh one always is compared.

    Raises:
        DataError: there is no data set, it is damaged, or this machine has no room.
        StorageError: the storage refuses, and went on refusing.
    """
    tell = tell or (lambda text: None)
    content = _read_about(address)
    data = _described(address, content)
    try:
        use(data.path)
        if not checked and (found := _complete(data)) is not None:
            return found
        with _held(data.path, tell):
            found = _complete(data)
            if found is not None and (not checked or _is_intact(found)):
                return found
            return _copied(address, content, data, tell)
    except OSError as error:
        raise DataError(
            f"{data.path}: cannot be written ({error.strerror or error}); make room there, or name "
            f"another folder in the environment variable {VARIABLE}"
        ) from error


def check_here(address: str, fingerprint: str) -> None:
    """Check that this machine reads a data set's description, and has or can make room for it.

    Args:
        address: of the data set.
        fingerprint: that it has on the driver's machine.

    Raises:
        DataError: there is none, it is another one, or there is no room.
        StorageError: the storage refuses, and went on refusing.
    """
    data = described_at(address)
    if data.fingerprint != fingerprint:
        raise DataError(
            f"--data {address}: is another data set here than on the driver's machine (fingerprint "
            f"{data.fingerprint[:12]}, not {fingerprint[:12]}); bring the same one to all machines"
        )
    if _complete(data) is None:
        check_room(address, data.path, sum(_sizes(Bucket(address)).values()))


def check_free(address: str, *, overwrite: bool) -> None:
    """Refuse a place on shared storage that holds anything but a data set that may be replaced.

    Raises:
        DataError: with what is there.
        StorageError: the storage refuses, and went on refusing.
    """
    found = Bucket(address).children()
    strange = [name for name in found if name not in (ABOUT, UNFINISHED, *SPLIT_FILES)]
    if strange or (found and ABOUT not in found and UNFINISHED not in found):
        named = strange or found
        raise DataError(
            f"{address}: holds files that are no prepared data set ({', '.join(named[:3])}"
            f"{', ...' if len(named) > 3 else ''}); name a new folder"
        )
    if ABOUT in found and not overwrite:
        raise DataError(
            f"{address}: holds a prepared data set; add --overwrite to replace it, or name a new "
            "folder"
        )


def upload(folder: Path, address: str) -> None:
    """Bring a prepared data set to shared storage, its description last.

    Without the description nobody takes it for a data set, so half of one is never used; while an
    older one is replaced, nobody finds either.

    Args:
        folder: of the data set on this machine.
        address: where `check_free` found nothing in the way.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    bucket = Bucket(address)
    bucket.write(UNFINISHED, b"The data set is complete when dataset.json is here.\n")
    bucket.delete(ABOUT)
    for name in (*SPLIT_FILES, ABOUT):
        bucket.upload(folder / name, name)
    bucket.delete(UNFINISHED)


def _read_about(address: str) -> bytes:
    try:
        return Bucket(address).read(ABOUT)
    except FileNotFoundError:
        raise DataError(f"--data {address}: {_instead(address)}") from None


def _described(address: str, content: bytes) -> PreparedData:
    where = below(address, ABOUT)
    data = described(content, where, Path())
    # It becomes the name of a folder here.
    if not isinstance(data.fingerprint, str) or not re.fullmatch("[0-9a-f]{64}", data.fingerprint):
        raise DataError(
            f"{where}: its fingerprint is none ({data.fingerprint!r:.80}); prepare the data set "
            "again"
        )
    return described(content, where, cache_folder() / "data" / data.fingerprint)


def _complete(data: PreparedData) -> PreparedData | None:
    """Open the copy of this machine; None if there is none, or something is missing of it."""
    try:
        return open_prepared(data.path)
    except DataError:
        return None


def _is_intact(data: PreparedData) -> bool:
    try:
        verify(data)
    except DataError:
        return False
    return True


def _copied(address: str, content: bytes, data: PreparedData, tell: Tell) -> PreparedData:
    """Copy a data set, or go on with copying it.

    Raises:
        DataError: it is damaged, or there is no room for it.
    """
    bucket, part = Bucket(address), part_of(data.path)
    gone_on_with = part.is_dir()
    part.mkdir(parents=True, exist_ok=True)
    num_bytes = sum(_sizes(bucket).values())
    make_room(address, data.path, num_bytes)
    tell(f"{address}: copying {num_bytes / 1e6:,.0f} MB to {data.path}, once")
    for name in SPLIT_FILES:
        try:
            bucket.download_on(name, part / name)
        except FileNotFoundError:
            raise DataError(
                f"{below(address, name)}: is missing there, so the data set is not complete; "
                "prepare it again"
            ) from None
    (part / ABOUT).write_bytes(content)
    try:
        verify(open_prepared(part))
    except DataError as error:
        shutil.rmtree(part)
        if gone_on_with:
            # What an earlier process had left may have been of another upload.
            tell(f"{address}: what was left of an older copy is useless; beginning")
            return _copied(address, content, data, tell)
        reason = str(error).removeprefix(f"{part}: ").removeprefix(f"{part}/")
        raise DataError(
            f"{address}: is damaged, as its copy on this machine shows ({reason.split('; ')[0]}); "
            "prepare the data set again"
        ) from error
    settle(data.path)
    return open_prepared(data.path)


def _sizes(bucket: Bucket) -> dict[str, int]:
    """Tell the size of each split's file, in bytes."""
    return {name: entry.size for name, entry in bucket.files().items() if name in SPLIT_FILES}


@contextmanager
def _held(folder: Path, tell: Tell) -> Iterator[None]:
    """Keep other processes of this machine from copying the same data set."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"{folder}: another process copies it; waiting for that one")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # The lock goes with the process, however it ends.
        yield


def _instead(address: str) -> str:
    """Say what lies where a data set was expected, and what to do."""
    bucket = Bucket(address)
    # It says whether there is such a bucket, too.
    found = bucket.children()
    take = "give the address of a prepared data set"
    if not found:
        return f"there is nothing; {take}, as `python -m raycolor.prepare FOLDER {address}` makes"
    if UNFINISHED in found:
        return "its upload is not finished; give the same `raycolor.prepare` command again"
    if "journal/" in found:
        return f"is a study, not a data set; {take}"
    folders = [name for name in found if name.endswith("/")][:MOST_LOOKED_INTO]
    inside = {name: bucket.children(name.rstrip("/")) for name in folders}
    if sets := [name for name in folders if ABOUT in inside[name]]:
        names = " or ".join(below(address, name.rstrip("/")) for name in sets[:3])
        return f"is no data set but holds some; take {names}"
    if studies := [name for name in folders if "journal/" in inside[name]]:
        return f"holds studies (such as {studies[0].rstrip('/')}), not a data set; {take}"
    files = [name for names in (found, *inside.values()) for name in names]
    photographs = [name for name in files if name.lower().endswith((*ENDINGS, *ARCHIVES))]
    if photographs:
        return (
            f"holds photographs or archives (such as {photographs[0]}) that are not prepared; run "
            f"`python -m raycolor.prepare {address} OUT` first"
        )
    return f"no {ABOUT} in it, so this is no prepared data set; {take}"
