import hashlib
import http.server
import re
import ssl
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raycolor import downloads
from raycolor.checksums import fits
from raycolor.downloads import download
from raycolor.errors import DownloadError

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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    told = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.headers["Range"])
            answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}/folder/weights.bin"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield told
        told.released.set()
        listening.shutdown()
        thread.join()


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


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.bin"


def beside(target: Path) -> Path:
    return target.with_name(f".weights.bin.{SHA256[:8]}.part")


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8]])
def test_a_file_arrives_whole(server: Server, target: Path, heard: Heard, sha256: str) -> None:
    server.answers = [good]
    heard.fetch(server, target, sha256)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin"]
    assert heard.lines == ["fetching weights.bin: 0.0 of 0.1 MB"]


def test_a_file_that_is_there_is_not_fetched(server: Server, target: Path, heard: Heard) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    heard.fetch(server, target)
    assert server.asked == []


def test_a_file_of_other_content_is_replaced(server: Server, target: Path, heard: Heard) -> None:
    target.parent.mkdir()
    target.write_bytes(b"older")
    server.answers = [good]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_progress_is_told_at_intervals(
    server: Server, target: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TELL_EVERY_S", 0.0)
    server.answers = [good]
    heard.fetch(server, target)
    assert heard.lines[-1] == "weights.bin: 0.1 of 0.1 MB"


def test_a_broken_connection_is_gone_on_with(server: Server, target: Path, heard: Heard) -> None:
    # More breaks than tries without progress: each brings something.
    server.answers = [cut_after(20_000)]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, *(f"bytes={n}-" for n in range(20_000, len(CONTENT), 20_000))]
    assert heard.waits == [1.0] * 5
    assert "broke after 20000 of 102400 bytes; trying again in 1 s" in heard.lines[1]


def test_an_older_download_is_gone_on_with(server: Server, target: Path, heard: Heard) -> None:
    target.parent.mkdir()
    beside(target).write_bytes(CONTENT[:50_000])
    server.answers = [parts]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=50000-"]
    assert heard.lines == ["fetching weights.bin: 0.1 of 0.1 MB"]


@pytest.mark.parametrize("answer", [parts, good])
def test_what_lies_there_whole_is_taken(
    server: Server, target: Path, heard: Heard, answer: Answer
) -> None:
    target.parent.mkdir()
    beside(target).write_bytes(CONTENT)
    server.answers = [answer]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"x" * 50_000, b"x" * 200_000])
def test_a_useless_rest_is_thrown_away(
    server: Server, target: Path, heard: Heard, rest: bytes
) -> None:
    target.parent.mkdir()
    beside(target).write_bytes(rest)
    server.answers = [parts]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(rest)}-", None]


def test_a_server_that_sends_no_parts_begins_again(
    server: Server, target: Path, heard: Heard
) -> None:
    def cut(handler: Handler) -> None:
        send(handler, CONTENT[:1000], length=len(CONTENT))

    server.answers = [cut, good]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_redirect_is_followed(server: Server, target: Path, heard: Heard) -> None:
    def elsewhere(handler: Handler) -> None:
        send(handler, b"", status=302, Location="/other")

    server.answers = [elsewhere, good]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server: Server, target: Path, heard: Heard) -> None:
    server.answers = [refuses(503), refuses(429), good]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert heard.waits == [1.0, 2.0]
    assert heard.lines[0].startswith("weights.bin: the server answers 503 (Service Unavailable);")


def html(handler: Handler) -> None:
    send(handler, b"<p>Log in", Content_Type="text/html; charset=utf-8")


def unmarked_html(handler: Handler) -> None:
    send(handler, b"\n<!DOCTYPE html><p>Log in")


def to_http(handler: Handler) -> None:
    send(handler, b"", status=302, Location="http://example.invalid/weights.bin")


def in_a_circle(handler: Handler) -> None:
    send(handler, b"", status=302, Location=handler.path)


def always_cut(handler: Handler) -> None:
    send(handler, CONTENT[:1000], length=len(CONTENT))


def nothing(handler: Handler) -> None:
    send(handler, b"", status=204)


def silent(handler: Handler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "said", "tries"),
    [
        (refuses(404), r"answers 404 \(Not Found\); fetch the file elsewhere", 1),
        (refuses(403), r"answers 403 \(Forbidden\)", 1),
        (refuses(500), r"answers 500 \(Internal Server Error\) after 4 tries; check the conn", 4),
        (lambda handler: send(handler, b"other"), r"not the expected file \(its 5 bytes have", 1),
        (html, r"a web page came instead of the file", 1),
        (unmarked_html, r"a web page came instead of the file", 1),
        (always_cut, r"broke after 1000 of 102400 bytes after 4 tries", 4),
        (nothing, r"the server answers 204", 1),
        (silent, r"the server is not reached \(.+\) after 4 tries", 4),
        (to_http, r"http://example.invalid/weights.bin: not fetched, since its address", 1),
        (in_a_circle, r"answers 302 \(.+infinite loop", 5),
    ],
)
def test_what_is_wrong_is_one_sentence(
    server: Server, target: Path, heard: Heard, answer: Answer, said: str, tries: int
) -> None:
    server.answers = [answer]
    with pytest.raises(DownloadError, match=said) as caught:
        heard.fetch(server, target)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == tries
    assert not target.exists()
    if tries == 1:
        assert heard.waits == []


def test_a_wrong_file_leaves_nothing_that_the_next_try_takes(
    server: Server, target: Path, heard: Heard
) -> None:
    server.answers = [lambda handler: send(handler, b"other")]
    with pytest.raises(DownloadError):
        heard.fetch(server, target)
    server.answers = [parts]
    heard.fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("before", [0, 1000])
def test_a_server_that_hangs_is_given_up(
    server: Server, target: Path, heard: Heard, before: int
) -> None:
    def hang(handler: Handler) -> None:
        if before:
            send(handler, CONTENT[:before], length=len(CONTENT))
        server.released.wait(10)

    server.answers = [hang]
    with pytest.raises(DownloadError, match=r"nothing came for 0\.1 s|not reached \(timed out\)"):
        heard.fetch(server, target, timeout_s=0.1)
    assert beside(target).stat().st_size == before


def test_nobody_listens(target: Path, heard: Heard) -> None:
    # Port 9 of this machine: nobody serves there.
    with pytest.raises(DownloadError, match=r"not reached \(Connection refused\) after 4 tries"):
        heard.fetch(Server(url="http://127.0.0.1:9/weights.bin"), target)
    assert heard.waits == [1.0, 2.0, 4.0]


def test_a_certificate_that_cannot_be_trusted(
    target: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ssl.SSLCertVerificationError(1, "verify failed")
    refused.verify_message = "certificate has expired"

    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError(refused)

    monkeypatch.setattr("urllib.request.OpenerDirector.open", refuse)
    with pytest.raises(DownloadError, match=r"cannot be trusted \(certificate has expired\); che"):
        heard.fetch(Server(url="https://127.0.0.1:9/weights.bin"), target)
    assert heard.waits == []


@pytest.mark.parametrize(
    "url", ["http://example.invalid/a", "file:///etc/hostname", "ftp://127.0.0.1/a", "weights.bin"]
)
def test_other_addresses_are_refused(target: Path, heard: Heard, url: str) -> None:
    with pytest.raises(DownloadError, match=r"does not begin with https://$"):
        heard.fetch(Server(url=url), target)
    assert not target.parent.exists()


def test_a_proxy_of_the_environment_is_asked(
    server: Server, target: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [good]
    proxy = server.url.removesuffix("/folder/weights.bin")
    monkeypatch.setenv("http_proxy", proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    heard.fetch(Server(url="http://localhost:9/weights.bin"), target)
    assert target.read_bytes() == CONTENT


def test_a_place_that_cannot_be_written(server: Server, tmp_path: Path, heard: Heard) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "weights.bin"
    said = rf"^{re.escape(str(target))}: cannot be written \((Not a directory|File exists)\); make"
    with pytest.raises(DownloadError, match=said):
        heard.fetch(server, target)


def test_a_full_disk_is_no_fault_of_the_network(
    server: Server, target: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    server.answers = [good]
    with pytest.raises(DownloadError, match=r"cannot be written \(No space left on device\); make"):
        heard.fetch(server, target)
    assert heard.waits == []


def test_two_at_once_fetch_it_once(server: Server, target: Path) -> None:
    def slow(handler: Handler) -> None:
        server.released.wait(10)
        good(handler)

    server.answers = [slow]
    lines: list[str] = []
    threads = [
        threading.Thread(
            target=download,
            args=(server.url, target),
            kwargs={"sha256": SHA256, "tell": lines.append},
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while sum("another process" in line for line in lines) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    server.released.set()
    for thread in threads:
        thread.join()
    assert server.asked == [None]
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["weights.bin"]


def test_one_that_fails_makes_room_for_the_other(server: Server, target: Path) -> None:
    def refuse(handler: Handler) -> None:
        server.released.wait(10)
        handler.send_error(404)

    server.answers = [refuse, good]
    lines: list[str] = []
    failed: list[DownloadError] = []

    def fetch() -> None:
        try:
            download(server.url, target, sha256=SHA256, tell=lines.append)
        except DownloadError as error:
            failed.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while not any("another process" in line for line in lines) and time.monotonic() < deadline:
        time.sleep(0.01)
    server.released.set()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert target.read_bytes() == CONTENT


def test_fits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not fits(path, SHA256)
    path.write_bytes(CONTENT)
    assert fits(path, SHA256)
    assert fits(path, SHA256[:8])
    assert not fits(path, "0" * 8)
    assert not fits(tmp_path, SHA256)
