"""Files whose SHA-256 nobody published: what is known of them is checked."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from raycolor.downloads import download
from raycolor.errors import DownloadError
from tests.unit.test_downloads import CONTENT, Server, good, parts, send, server  # noqa: F401

PACKED = gzip.compress(os.urandom(200_000))
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "packed.tgz"


def test_an_md5_has_to_fit(server: Server, target: Path) -> None:  # noqa: F811  (a fixture)
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


def test_a_size_has_to_fit(server: Server, target: Path) -> None:  # noqa: F811  (a fixture)
    server.answers = [good]
    with pytest.raises(DownloadError, match=r"\(it has 102400 bytes, and not 7\)"):
        download(server.url, target, size=7)
    target.write_bytes(b"older")
    download(server.url, target, size=len(CONTENT))
    assert target.read_bytes() == CONTENT


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
    server: Server,  # noqa: F811  (a fixture)
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


def test_what_lies_there_is_gone_on_with(server: Server, target: Path) -> None:  # noqa: F811
    server.answers = [parts]
    target.with_name(".packed.tgz.unknown.part").write_bytes(CONTENT[:40_000])
    download(server.url, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=40000-"]
