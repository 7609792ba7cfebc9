"""What a server sends, well or badly, and who fetches from it."""

import hashlib
import http.server
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raycolor.downloads import download

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


def send(
    handler: Handler,
    content: bytes,
    *,
    status: int = 200,
    length: int | None = None,
    **headers: str,
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def good(handler: Handler) -> None:
    send(handler, CONTENT)


def parts(handler: Handler) -> None:
    """Send what is asked for, as servers of files do."""
    if (wanted := handler.headers["Range"]) is None:
        return good(handler)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(CONTENT):
        return send(handler, b"", status=416)
    said = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return send(handler, CONTENT[start:], status=206, Content_Range=said)


def cut_after(number: int) -> Answer:
    """Break the connection after some bytes."""

    def answer(handler: Handler) -> None:
        begun = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        rest = CONTENT[begun:]
        said = f"bytes {begun}-{len(CONTENT) - 1}/{len(CONTENT)}"
        status = 206 if begun else 200
        send(handler, rest[:number], status=status, length=len(rest), Content_Range=said)

    return answer


def refuses(status: int) -> Answer:
    return lambda handler: handler.send_error(status)


@dataclass
class Server:
    """A server on this machine that answers as it is told to, and remembers what it was asked."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    """For one request each; the last for all others."""
    asked: list[str | None] = field(default_factory=list)
    """The range of each request."""
    released: threading.Event = field(default_factory=threading.Event)


@dataclass
class Heard:
    lines: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def fetch(
        self, server: Server, target: Path, sha256: str = SHA256, timeout_s: float = 10.0
    ) -> None:
        download(
            server.url,
            target,
            sha256=sha256,
            tell=self.lines.append,
            sleep=self.waits.append,
            timeout_s=timeout_s,
        )


def beside(target: Path) -> Path:
    return target.with_name(f".weights.bin.{SHA256[:8]}.part")
