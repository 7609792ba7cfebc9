"""Pyarrow's file systems: opened from addresses, and their errors told apart."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from raycolor.storage import HopelessError

T = TypeVar("T")

CONNECT_S, REQUEST_S = 5.0, 30.0
"""How long one request to S3 may take; pyarrow's own limits give up on slow links."""

_KEYS = "check the credentials (environment, ~/.aws, or the machine's role) and their rights"
HOPELESS: Mapping[str, str] = {
    "NO_SUCH_BUCKET": "there is no such bucket; make it, or name another one",
    "ACCESS_DENIED": f"access is denied; {_KEYS}",
    "INVALID_ACCESS_KEY_ID": f"the access key is not known; {_KEYS}",
    "SIGNATURE_DOES_NOT_MATCH": f"the secret key is not the right one; {_KEYS}",
    "INVALID_CLIENT_TOKEN_ID": f"the credentials are not known; {_KEYS}",
    "UNRECOGNIZED_CLIENT": f"the credentials are not known; {_KEYS}",
    "MISSING_AUTHENTICATION_TOKEN": f"no credentials were found; {_KEYS}",
    "EXPIRED_TOKEN": f"the credentials have run out; {_KEYS}",
}
"""What no waiting mends, by the name that S3 gives it."""


def open_address(address: str) -> tuple[Any, str]:
    """Open pyarrow's file system of an address.

    Returns:
        The file system, and the path in it.

    Raises:
        HopelessError: pyarrow does not take it.
        OSError: it cannot be opened.
    """
    try:
        return _opened(address)
    except (ValueError, NotImplementedError) as error:
        raise HopelessError(f"is no address that pyarrow takes ({error})") from error


def _opened(address: str) -> tuple[Any, str]:
    from pyarrow import fs

    parts = urlsplit(address)
    if parts.scheme != "s3":
        system, path = fs.FileSystem.from_uri(address)
        return system, path
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    system, path = fs.FileSystem.from_uri(f"s3://{parts.netloc}{parts.path}?region=us-east-1")
    if isinstance(system, fs.S3FileSystem):
        elsewhere = "endpoint_override" in options or any(
            os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
        )
        if "region" not in options:
            named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            if named or elsewhere:
                options["region"] = named or "us-east-1"
            else:
                options["region"] = fs.resolve_s3_region(parts.netloc)
        system = fs.S3FileSystem(
            **options,
            # A small file is one request then, not three.
            allow_delayed_open=True,
            connect_timeout=CONNECT_S,
            request_timeout=REQUEST_S,
            # Who calls tries again, and knows for how long.
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
        )
    return system, path


def translated(attempt: Callable[[], T]) -> Callable[[], T]:
    """Tell errors that no waiting mends from others."""

    def translating() -> T:
        try:
            return attempt()
        except HopelessError:
            raise
        except OSError as error:
            name = re.search(r"AWS Error ([A-Z_]+)", str(error))
            if name and name[1] in HOPELESS:
                raise HopelessError(HOPELESS[name[1]]) from error
            raise

    return translating
