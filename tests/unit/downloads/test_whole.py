"""Files arrive whole: at once, in parts, after faults, and for two that fetch at once."""

import threading
import time
from pathlib import Path

import pytest

from raycolor import downloads
from raycolor.checksums import fits
from raycolor.downloads import download
from raycolor.errors import DownloadError
from tests.unit.downloads.answers import (
    CONTENT,
    SHA256,
    Answer,
    Handler,
    Heard,
    Server,
    beside,
    cut_after,
    good,
    parts,
    refuses,
    send,
)


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
