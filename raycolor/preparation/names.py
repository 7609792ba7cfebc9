"""What a file's name tells: whether it may be a picture, and which split its folder stands for.

Names are relative POSIX paths, equal on every machine: their bytes read as UTF-8, whatever the
locale is.
"""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath
from typing import Literal

from PIL import Image

from raycolor.data import SplitName

Kind = Literal["picture", "unknown", "undecodable", "other", "hidden"]
"""`unknown` is tried by its contents; `other` and `hidden` are passed over."""

HIDDEN = {
    "__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found",
    "system volume information",
}  # fmt: skip
"""What operating systems put beside pictures; names that begin with a dot are hidden too."""

UNDECODABLE = {
    ".heic", ".heif", ".hif",
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw", ".x3f",
}  # fmt: skip
"""Photographs that Pillow does not develop; of some it would read the thumbnail."""

OTHER = {
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".xml",
    ".html", ".htm", ".css", ".js", ".url", ".ini", ".cfg", ".log", ".py", ".ipynb", ".sh", ".bat",
    ".c", ".h", ".cpp", ".java", ".exe", ".dll", ".so", ".o", ".pyc",
    ".pdf", ".doc", ".docx", ".odt", ".rtf", ".xls", ".xlsx", ".ods", ".ppt", ".pptx", ".tex",
    ".svg", ".ai", ".eps", ".ps", ".wmf", ".emf", ".thm", ".xmp", ".aae", ".pp3",
    ".lrcat",
    ".mp3", ".m4a", ".wav", ".flac", ".ogg", ".aac", ".mp4", ".m4v", ".mov", ".avi", ".mkv",
    ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".3gp", ".flv",
    ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".iso", ".dmg",
    ".db", ".sqlite", ".mat", ".npy", ".npz", ".pkl", ".pt", ".pth", ".h5", ".hdf5", ".hdf",
    ".arrow", ".parquet", ".feather", ".tfrecord", ".safetensors", ".bufr", ".grib",
    ".torrent", ".part", ".tmp", ".bak", ".lnk", ".md5", ".sha1", ".sha256",
}  # fmt: skip
"""Ends of names that are known not to be pictures."""

FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Top folders that stand for a split; in any case, and with a year behind (`train2017`)."""


def canonical(path: str) -> str:
    r"""Read the bytes of a path, as the operating system gives it, as UTF-8.

    Other bytes become `\xff` and the like, so that every name can be written to a file.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@cache
def picture_suffixes() -> frozenset[str]:
    """Ends of names that Pillow reads, with the dot."""
    readable = {
        suffix for suffix, form in Image.registered_extensions().items() if form in Image.OPEN
    }
    return frozenset(readable - OTHER - UNDECODABLE)


def is_hidden(part: str) -> bool:
    """Tell whether a file or folder of this name is passed over with all that is in it."""
    return (part.startswith(".") and part != "..") or part.lower() in HIDDEN


def kind_of(name: str) -> Kind:
    """Tell from a file's relative path what it may be."""
    path = PurePosixPath(name)
    if any(is_hidden(part) for part in path.parts):
        return "hidden"
    suffix = path.suffix.lower()
    if suffix in picture_suffixes():
        return "picture"
    if suffix in UNDECODABLE:
        return "undecodable"
    return "other" if suffix in OTHER else "unknown"


def split_of_folder(folder: str) -> SplitName | None:
    """Name the split that a top folder stands for: `train`, `Val`, `validation`, `test2017`, ..."""
    return FOLDERS.get(re.sub(r"[-_ ]?\d{4}$", "", folder).lower())


def common_top(names: Iterable[str]) -> str:
    """Find the folders that all pictures lie in, as in an archive of one folder.

    A folder that stands for a split is kept.

    Args:
        names: of the files that are pictures by their names.

    Returns:
        A prefix that ends with a slash, or nothing.
    """
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    if not parents:
        return ""
    first, last = min(parents), max(parents)
    common = []
    for part, other in zip(first, last, strict=False):
        if part != other or split_of_folder(part) is not None:
            break
        common.append(part)
    return "".join(f"{part}/" for part in common)
