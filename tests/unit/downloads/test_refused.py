"""Downloads that fail say why in one sentence and leave nothing that misleads."""

import re
import ssl
import urllib.error
from pathlib import Path

import pytest

from raycolor.errors import DownloadError
from tests.unit.downloads.answers import (
    CONTENT,
    Answer,
    Handler,
    Heard,
    Server,
    beside,
    good,
    parts,
    refuses,
    send,
)


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
