"""Files whose SHA-256 nobody published: what is known of them is checked."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from raycolor.checksums import BEGINNING
from raycolor.downloads import download
from raycolor.errors import DownloadError
from tests.unit.downloads.answers import CONTENT, Handler, Server, good, parts, send

PACKED = gzip.compress(os.urandom(200_000))
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "packed.tgz"


def test_an_md5_has_to_fit(server: Server, target: Path) -> None:
    server.answers = [good]
    download(server.url, target, md5=MD5)
    assert target.read_bytes() == CONTENT
    download(server.url, target, md5=MD5)
    assert len(server.asked) == 1
    server.answers = [lambda handler: send(handler, b"other")]
    target.unlink()
    with pytest.raises(DownloadError, match=rf"\(its 5 bytes have another MD5 than {MD5}\); fetch"):
        download(server.url, target, md5=MD5)
    assert not target.exists()


def test_a_size_has_to_fit(server: Server, target: Path) -> None:
    server.answers = [good]
    with pytest.raises(DownloadError, match=r"\(it has 102400 bytes, and not 7\)"):
        download(server.url, target, size=7)
    target.write_bytes(b"older")
    download(server.url, target, size=len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_large_file_of_another_size_is_not_waited_for(
    server: Server,
    target: Path,
) -> None:
    begun = CONTENT[:40_000]
    part = target.with_name(".packed.tgz.unknown.part")
    part.write_bytes(begun)

    def endless(handler: Handler) -> None:
        said = f"bytes {len(begun)}-2999999999/3000000000"
        rest = 3 * 10**9 - len(begun)
        send(handler, b"", status=206, length=rest, Content_Range=said)
        server.released.wait(20)

    server.answers = [endless]
    with pytest.raises(
        DownloadError, match=r"expected file \(it has 3000000000 bytes, and not 102400\); fetch it"
    ):
        download(server.url, target, size=len(CONTENT))
    assert server.asked == ["bytes=40000-"]
    assert part.read_bytes() == begun
    assert not target.exists()
    # A short answer is received: it may be a page that says why.
    server.answers = [lambda handler: send(handler, b"<html>log in")]
    with pytest.raises(DownloadError, match="a web page came instead of the file"):
        download(server.url, target, size=len(CONTENT))


def test_the_beginning_has_to_fit(server: Server, target: Path) -> None:
    content = os.urandom(BEGINNING) + b"behind"
    known = hashlib.md5(content[:BEGINNING]).hexdigest()
    server.answers = [lambda handler: send(handler, content)]
    download(server.url, target, md5_of_beginning=known)
    assert target.read_bytes() == content
    download(server.url, target, md5_of_beginning=known)
    assert len(server.asked) == 1
    with pytest.raises(DownloadError, match=rf"first MiB has another MD5 than {'0' * 32}\)"):
        download(server.url, target, md5_of_beginning="0" * 32)


@pytest.mark.parametrize(
    "damaged",
    [
        PACKED[:-9],
        PACKED[:1000] + bytes([PACKED[1000] ^ 1]) + PACKED[1001:],
        PACKED[:-8] + b"\0" * 8,
    ],
    ids=["short", "changed", "another sum"],
)
def test_damage_of_a_gzip_file_is_found(
    server: Server,
    target: Path,
    damaged: bytes,
) -> None:
    server.answers = [lambda handler: send(handler, damaged)]
    with pytest.raises(
        DownloadError, match=r"not the expected file \(as a gzip file it is damaged"
    ):
        download(server.url, target)
    assert not target.exists()
    server.answers = [lambda handler: send(handler, PACKED)]
    download(server.url, target)
    assert target.read_bytes() == PACKED


def test_what_lies_there_is_gone_on_with(server: Server, target: Path) -> None:
    server.answers = [parts]
    target.with_name(".packed.tgz.unknown.part").write_bytes(CONTENT[:40_000])
    download(server.url, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=40000-"]
