"""Addresses of folders on shared storage, as `s3://bucket/studies`.

This module imports nothing heavy, so that a plan is checked in a fraction of a second.
"""

import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from raycolor.cache import cache_folder
from raycolor.errors import ConfigError

SCHEMES = ("s3", "gs", "file")
"""What pyarrow's file systems are named by; `file` takes an absolute path."""
OPTIONS = {
    "s3": ("region", "endpoint_override", "scheme"),
    "gs": ("endpoint_override", "scheme", "project_id"),
    "file": (),
}
"""What may follow a `?`, by scheme. No keys and no passwords: addresses are kept and shown."""
LOOKS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins, whole or as a path, which has one slash."""


def is_address(text: str) -> bool:
    """Tell whether a text names shared storage, well or badly, and not a folder."""
    return LOOKS.match(text) is not None


def check_address(flag: str, text: str) -> None:
    """Refuse an address that cannot be one.

    Args:
        flag: where it was given, for the message.
        text: what was given.

    Raises:
        ConfigError: another scheme, or no bucket or folder in it.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ConfigError(f"{flag} {text}: is no address ({error})") from error
    allowed = "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or file:///FOLDER"
    if parts.scheme not in SCHEMES or not text[len(parts.scheme) :].startswith("://"):
        raise ConfigError(f"{flag} {text}: is no address that raycolor reads; take {allowed}")
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ConfigError(f"{flag} {text}: takes an absolute path; write file:///FOLDER")
    if parts.scheme != "file" and not parts.netloc:
        raise ConfigError(f"{flag} {text}: names no bucket; take {allowed}")
    if "@" in parts.netloc:
        # Not shown again: it may hold a key.
        raise ConfigError(
            f"{flag}: has an '@' in the bucket's place; credentials come from the environment"
        )
    place = parts.netloc + parts.path
    if re.search(r"\s|//|%(?![0-9A-Fa-f]{2})", place):
        raise ConfigError(
            f"{flag} {text}: has a blank, an empty part or a bad '%' in it; name folders without"
        )
    if re.search(r"[&?]scheme=(?!https?(&|$))", text):
        raise ConfigError(f"{flag} {text}: scheme is http or https; take one of them")
    for option, _ in parse_qsl(parts.query, keep_blank_values=True):
        if option not in OPTIONS[parts.scheme]:
            taken = " and ".join(OPTIONS[parts.scheme]) or "nothing"
            raise ConfigError(
                f"{flag} {text}: has {option!r} after the '?', where {parts.scheme}:// takes "
                f"{taken}; credentials come from the environment"
            )
    if parts.fragment:
        raise ConfigError(f"{flag} {text}: has a '#', which no address takes; take {allowed}")


def path_of(text: str) -> Path | None:
    """Return the path of a folder or file of this machine, also of a file:// address; None else."""
    if not is_address(text):
        return Path(text)
    parts = urlsplit(text)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def below(address: str, name: str) -> str:
    """Name something in a folder on shared storage; what follows a `?` stays at the end."""
    base, mark, options = address.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{options}"


def parent(address: str) -> str:
    """Name the folder that a folder lies in."""
    base, mark, options = address.partition("?")
    return base.rstrip("/").rpartition("/")[0] + mark + options


def last_name(address: str) -> str:
    """Return the last part of an address, which is a study's name where it names one."""
    return unquote(address.partition("?")[0].rstrip("/").rpartition("/")[2])


def mirror_of(address: str) -> Path:
    """Name the folder of this machine where files of an address are kept while they are used.

    `s3://bucket/studies/a` becomes `studies/s3/bucket/studies/a` in the cache folder.
    """
    return _place("studies", address)


def look_of(address: str) -> Path:
    """Name the folder of this machine where somebody who looks at a study has views of it built.

    Not in `mirror_of`, which is a driver's: what it has there it brings to the shared storage.
    `s3://bucket/studies/a` becomes `looks/s3/bucket/studies/a` in the cache folder.
    """
    return _place("looks", address)


def _place(top: str, address: str) -> Path:
    parts = urlsplit(address)
    names = [name for name in (parts.netloc + unquote(parts.path)).split("/") if name]
    # Dots alone would lead elsewhere.
    safe = ["_" if name in (".", "..") else name for name in names]
    # The same bucket of another server is another one.
    server = sha256(parts.query.encode("utf-8")).hexdigest()[:8] if parts.query else ""
    scheme = f"{parts.scheme}-{server}" if server else parts.scheme
    return cache_folder().joinpath(top, scheme, *safe)
