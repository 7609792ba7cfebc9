"""What holds for all archives. They come from strangers, and nothing is unpacked to disk.

Members whose paths lead out of the archive, links, devices and encrypted members are left out. What
unpacks to far more than its own size, or to more than memory should hold, is refused.
"""

from pathlib import Path

from raycolor.errors import DataError
from raycolor.preparation.skips import Skip

MOST_MEMBER_BYTES = 256 << 20
"""Largest member that is read."""
SMALL_BYTES = 1 << 30
"""What unpacks to no more than this is no bomb, whatever its own size."""
MOST_RATIO = 200
"""Largest unpacked size as a multiple of the archive's; that of photographs is about 1."""


def member_path(name: str) -> tuple[str, Skip | None]:
    """Clean a member's path.

    Args:
        name: with slashes; any text that fits into a name.

    Returns:
        Its canonical name, and why it is refused if it is.
    """
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0][1:2] == ":"):
        return name, Skip("unsafe path", "leads out of the archive")
    if not parts:
        return name, Skip("unsafe path", "has no name")
    return "/".join(parts), None


def link_skip() -> Skip:
    """Say that a link is left out."""
    return Skip("a link", "links in archives are not followed")


def device_skip() -> Skip:
    """Say that a device is left out."""
    return Skip("no regular file", "a pipe, socket or device")


def size_skip(num_bytes: int) -> Skip | None:
    """Refuse a member that is too large for memory."""
    if num_bytes <= MOST_MEMBER_BYTES:
        return None
    found, most = num_bytes / 2**20, MOST_MEMBER_BYTES >> 20
    return Skip("too large", f"{found:,.0f} MiB in an archive, {most} are the most; unpack it")


def most_bytes(path: Path) -> int:
    """Return how much an archive may unpack to."""
    return max(SMALL_BYTES, MOST_RATIO * path.stat().st_size)


def bomb(path: Path, num_bytes: int) -> DataError:
    """Make the error of an archive that unpacks to too much."""
    size, times = f"{num_bytes / 2**30:,.1f} GiB", num_bytes // max(1, path.stat().st_size)
    return DataError(
        f"{path}: unpacks to {size} or more, {times:,} times its own size; at most {MOST_RATIO} "
        "times is read, as a protection from harmful archives; unpack it yourself and name the "
        "folder"
    )


def damaged(path: Path, kind: str, error: Exception) -> DataError:
    """Make the error of an archive that cannot be read as a whole."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}: a damaged {kind} archive ({reason}); copy or download it again")


def changed(path: Path) -> DataError:
    """Make the error of an archive that is not what it was when it was listed."""
    return DataError(f"{path}: was changed while it was read; begin again")
