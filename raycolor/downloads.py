"""Files fetched from the web: whole, of the expected content, or one sentence why not.

A file grows under a hidden name beside its place and is renamed once its SHA-256 fits. Where none
is known, what is known instead is checked: MD5, size, beginning, and the check sums of gzip. What
an interrupted download left there is gone on with, if the server can send a part. Proxies are taken
from the environment (`https_proxy`, `no_proxy`), as by other programs.

Addresses begin with https. The hash would find a changed file, but not hide from others on the
network what is fetched. Plain http is taken from this machine alone, where nobody can listen.
"""

import errno
import fcntl
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from raycolor import __version__
from raycolor.checksums import Expected
from raycolor.errors import DownloadError
from raycolor.files import PART

TIMEOUT_S = 30.0
"""Longest wait for a connection, or for the next bytes."""
WAITS_S = (1.0, 2.0, 4.0)
"""Seconds between tries that bring nothing new; a try that brings bytes starts them again."""
TELL_EVERY_S = 5.0
CHUNK = 2**18
MEGABYTE = 10**6

_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of servers that may be better the next time."""
_WHOLE, _PARTIAL, _BEYOND = 200, 206, 416
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Passing(Exception):  # noqa: N818  (an event, which a later try may mend)
    """A try failed in a way that may pass; the text says how."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    md5_of_beginning: str | None = None,
    tell: Callable[[str], None] | None = None,
    timeout_s: float = TIMEOUT_S,
    waits_s: Sequence[float] = WAITS_S,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch a file, unless it is there already.

    Two processes that want the same file fetch it once: the second waits for the first, and goes
    on where it stopped if it was interrupted.

    Args:
        url: where it lies; https, or http on this machine.
        target: where it goes; its folder is made. A file of other content is replaced.
        sha256: of its content, in hex, or at least the first 8 digits of it; None if not known.
        md5: the same as MD5, whole.
        size: of its content, in bytes; None if not known. A server that announces another one is
            not listened to any further.
        md5_of_beginning: of its first MiB, in hex; None if not known. Where neither hash of all of
            it is known, only size, beginning, the server's own length and, in a gzip file, gzip's
            check sums are checked: that finds what was damaged on its way or replaced, but not what
            was changed on purpose. What lies in `target` is then taken by size and beginning.
        tell: hears of the beginning, of the progress every few seconds, and of new tries.
        timeout_s: longest wait for a connection, or for the next bytes.
        waits_s: seconds between tries.
        sleep: waits that many seconds.

    Raises:
        DownloadError: it cannot be had, is not the expected one, or cannot be written.
    """
    assert sha256 is None or re.fullmatch(r"[0-9a-f]{8,64}", sha256), sha256
    for value in (md5, md5_of_beginning):
        assert value is None or re.fullmatch(r"[0-9a-f]{32}", value), value
    expected = Expected(sha256=sha256, md5=md5, size=size, md5_of_beginning=md5_of_beginning)
    _check_address(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _held(target, expected, tell or (lambda text: None)) as part:
            if part is None:
                return
            fetch = _Fetch(url, target, part, expected, tell or (lambda text: None), timeout_s)
            fetch.run(waits_s, sleep)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(target)
    except OSError as error:
        # Of the network nothing is left here: those are told with their address.
        raise DownloadError(
            f"{target}: cannot be written ({error.strerror or error}); make room or mend the "
            "storage, then give the same command again"
        ) from error


def _check_address(url: str) -> None:
    """Refuse addresses over which others on the network could see what is fetched.

    Raises:
        DownloadError: it is neither https nor http of this machine.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise DownloadError(f"{url}: not fetched, since its address does not begin with https://")


@contextmanager
def _held(
    target: Path, expected: Expected, tell: Callable[[str], None]
) -> Iterator[BufferedRandom | None]:
    """Open the file that grows, for this process alone; None if the target is there.

    The lock goes with the process, so a killed one leaves nothing that others wait for.
    """
    path = target.with_name(f".{target.name}.{expected.mark}{PART}")
    while not expected.is_there(target):
        with path.open("a+b") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell(f"{target.name}: another process fetches it; waiting for that one")
                fcntl.flock(part, fcntl.LOCK_EX)
            except OSError as error:
                # Some network folders know no locks. Then two may disturb each other, but what
                # does not fit the hash never gets the file's name.
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise
            # The other process may have renamed this very file to the target meanwhile.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(part.fileno())):
                yield part
                return
    yield None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to addresses that are allowed."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes] | http.client.HTTPResponse,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Check where a server sends us."""
        try:
            _check_address(newurl)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Fetch:
    """One file on its way."""

    def __init__(
        self,
        url: str,
        target: Path,
        part: BufferedRandom,
        expected: Expected,
        tell: Callable[[str], None],
        timeout_s: float,
    ) -> None:
        self._url = url
        self._name = target.name
        self._part = part
        self._expected = expected
        self._tell = tell
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_Redirects)
        self._kind = ""

    def run(self, waits_s: Sequence[float], sleep: Callable[[float], None]) -> None:
        """Try until the content is whole and the expected one.

        Raises:
            DownloadError: it will not be.
        """
        most, failed = self._have(), 0
        while True:
            begun_at = self._have()
            try:
                self._receive(begun_at)
            except _Passing as passing:
                if self._have() > most:
                    most, failed = self._have(), 0
                if failed == len(waits_s):
                    tries = f" after {failed + 1} tries" if failed else ""
                    raise DownloadError(
                        f"{self._url}: {passing}{tries}; check the connection and give the same "
                        "command again, or fetch the file elsewhere"
                    ) from passing
                self._tell(f"{self._name}: {passing}; trying again in {waits_s[failed]:g} s")
                sleep(waits_s[failed])
                failed += 1
                continue
            self._part.flush()
            problem = self._expected.problem(self._part)
            if problem is None:
                return
            said = self._refusal(problem)
            self._part.truncate(0)
            if not begun_at:
                raise DownloadError(said)
            # What lay there may have been of something else; from its beginning, then.
            self._tell(f"{self._name}: what was left of an older download is useless; beginning")

    def _have(self) -> int:
        return os.fstat(self._part.fileno()).st_size

    def _receive(self, begun_at: int) -> None:
        """Append what is missing.

        Raises:
            _Passing: not all of it came.
            DownloadError: it will not come.
        """
        # Compressed on its way, its length would be another.
        headers = {"User-Agent": f"raycolor/{__version__}", "Accept-Encoding": "identity"}
        if begun_at:
            headers["Range"] = f"bytes={begun_at}-"
        request = urllib.request.Request(self._url, headers=headers)
        answer = self._answer(request, begun_at)
        if answer is not None:
            with answer:
                self._append(answer, begun_at)

    def _answer(
        self, request: urllib.request.Request, begun_at: int
    ) -> http.client.HTTPResponse | None:
        """Ask the server; None if it says that nothing is missing.

        Raises:
            _Passing: it did not answer, or not now.
            DownloadError: it will not send the file.
        """
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                self._judge(error, begun_at)
            return None
        except (OSError, http.client.HTTPException) as error:
            # urllib wraps some errors of a connection and passes on others as they are.
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise DownloadError(
                    f"{self._url}: its certificate cannot be trusted ({cause.verify_message}); "
                    "check this machine's clock, or fetch the file elsewhere"
                ) from error
            raise _Passing(f"the server is not reached ({_reason(cause)})") from error
        return answer

    def _judge(self, error: urllib.error.HTTPError, begun_at: int) -> None:
        """Decide what an answer without content means.

        Raises:
            _Passing: a later try may be better.
            DownloadError: no try will be.
        """
        reason = " ".join(str(error.reason).split())
        said = f"the server answers {error.code} ({reason})"
        if error.code == _BEYOND and begun_at:
            # All of it lies here, or something else does: the hash tells.
            return
        if error.code in _PASSING:
            raise _Passing(said)
        raise DownloadError(f"{self._url}: {said}; fetch the file elsewhere")

    def _append(self, answer: http.client.HTTPResponse, begun_at: int) -> None:
        expected = answer.length
        self._kind = answer.headers.get_content_type()
        resumed = answer.status == _PARTIAL and answer.headers.get("Content-Range", "").startswith(
            f"bytes {begun_at}-"
        )
        if not resumed:
            if answer.status != _WHOLE:
                raise DownloadError(
                    f"{self._url}: the server answers {answer.status} ({answer.reason}), not with "
                    "the file; fetch it elsewhere"
                )
            self._part.truncate(0)
            begun_at = 0
        total = None if expected is None else begun_at + expected
        # Less than a chunk is received all the same: it may be a page that says why.
        if total is not None and total > CHUNK and self._expected.size not in (None, total):
            raise DownloadError(
                f"{self._url}: not the expected file (it has {total} bytes, and not "
                f"{self._expected.size}); fetch it elsewhere"
            )
        self._say(f"fetching {self._name}", begun_at, total)
        received, told = begun_at, time.monotonic()
        while chunk := self._next(answer):
            self._part.write(chunk)
            received += len(chunk)
            if time.monotonic() - told > TELL_EVERY_S:
                self._say(self._name, received, total)
                told = time.monotonic()
        self._part.flush()
        if total is not None and received < total:
            raise _Passing(f"the connection broke after {received} of {total} bytes")

    def _next(self, answer: http.client.HTTPResponse) -> bytes:
        """Read on; errors of the network are kept apart from errors of the disk.

        Raises:
            _Passing: nothing comes any more.
        """
        try:
            return answer.read1(CHUNK)
        except TimeoutError as error:
            self._part.flush()
            raise _Passing(f"nothing came for {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            self._part.flush()
            raise _Passing(f"the connection broke ({_reason(error)})") from error

    def _say(self, what: str, received: int, total: int | None) -> None:
        size = "?" if total is None else f"{total / MEGABYTE:.1f}"
        self._tell(f"{what}: {received / MEGABYTE:.1f} of {size} MB")

    def _refusal(self, problem: str) -> str:
        """Say what came instead of the file."""
        self._part.seek(0)
        start = self._part.read(512).lstrip().lower()
        if self._kind == "text/html" or start.startswith((b"<!doctype html", b"<html")):
            return (
                f"{self._url}: a web page came instead of the file (a login of the network, or a "
                "message of the server); open the address in a browser, or fetch the file elsewhere"
            )
        return f"{self._url}: not the expected file ({problem}); fetch it elsewhere"


def _reason(error: object) -> str:
    """Name what went wrong, as the system does."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
