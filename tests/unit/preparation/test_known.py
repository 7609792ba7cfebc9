"""Data sets by name: fetched once from a server of this machine, checked, drawn, told."""

import errno
import hashlib
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from raycolor import prepare as command
from raycolor.checksums import BEGINNING
from raycolor.data import open_prepared, verify
from raycolor.errors import DataError, DownloadError
from raycolor.preparation import known as known_module
from raycolor.preparation.known import KNOWN, archive_of
from tests.unit.preparation.known_archives import cifar, coco
from tests.unit.preparation.making import files, write


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    coco(folder / "coco_sample.tgz", 90)
    cifar(folder / "cifar-10-python.tar.gz", 20)
    return folder


@dataclass
class Served:
    url: str
    folder: Path
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def served(archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Both archives at addresses of this machine, as if these were the published ones."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    told = Served(url="", folder=archives)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(told.folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            told.asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        for name, known in KNOWN.items():
            content = (archives / known.file).read_bytes()
            changed = replace(known, url=f"{told.url}/{known.file}")
            if known.md5 is not None:
                changed = replace(changed, md5=hashlib.md5(content).hexdigest())
            if known.num_bytes is not None:
                changed = replace(changed, num_bytes=len(content))
            if known.md5_of_beginning is not None:
                start = hashlib.md5(content[:BEGINNING]).hexdigest()
                changed = replace(changed, md5_of_beginning=start)
            monkeypatch.setitem(KNOWN, name, changed)
        yield told
        listening.shutdown()
        thread.join()


def main(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Run the command line in this process, where the addresses are changed."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "argv", ["raycolor-prepare", *map(str, words), "--workers", "1"])
    try:
        command.main()
    except SystemExit as error:
        return int(str(error.code))
    return 0


def test_published_archives_are_these() -> None:
    published = {
        name: (known.url, known.num_bytes, known.md5, known.md5_of_beginning)
        for name, known in KNOWN.items()
    }
    assert published == {
        "coco": (
            "https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz",
            3245877008,
            None,
            "006cd55d633d94b36ecaf661467830ec",
        ),
        "cifar10": (
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            None,
            "c58f30108f718f92721af3b95e74349a",
            None,
        ),
    }
    assert KNOWN["coco"].draw == {"train": 8000, "validation": 2000, "test": 2000}
    assert KNOWN["cifar10"].draw == {"train": 45_000, "validation": 5000}


def test_coco_is_fetched_once_and_drawn(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(monkeypatch, "coco", tmp_path / "one", "--size", "32") == 0
    text = capsys.readouterr().out
    assert text.startswith("fetching coco_sample.tgz: 0.0 of ")
    assert "Note: 90 pictures to draw 12,000 from; all splits are smaller in proportion." in text
    data = open_prepared(tmp_path / "one")
    verify(data)
    assert data.counts == {"train": 60, "validation": 15, "test": 15}
    assert all(name.endswith(".jpg") and "/" not in name for name in data.pictures("test").sources)
    about = json.loads((tmp_path / "one" / "dataset.json").read_text())
    assert about["source"] == "90 pictures of coco"
    assert about["preparation"]["draw"] == {"train": 8000, "validation": 2000, "test": 2000}
    # Again with the archive by its path, packed in another order: the same bits.
    packed = coco(tmp_path / "other.tgz", 90)
    assert main(monkeypatch, "coco", tmp_path / "two", "--size", "32", "--archive", packed) == 0
    assert open_prepared(tmp_path / "two").fingerprint == data.fingerprint
    assert main(monkeypatch, "coco", tmp_path / "three", "--size", "40") == 0
    assert (
        open_prepared(tmp_path / "three").pictures("train").sources
        == data.pictures("train").sources
    )
    assert served.asked == ["/coco_sample.tgz"]


def test_cifar10_is_fetched_and_split(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(monkeypatch, "cifar10", tmp_path / "out") == 0
    data = open_prepared(tmp_path / "out")
    assert (data.size, data.counts) == (32, {"train": 90, "validation": 10, "test": 20})
    # A changed archive is not taken for the published one.
    monkeypatch.setitem(KNOWN, "cifar10", replace(KNOWN["cifar10"], md5="0" * 32))
    assert main(monkeypatch, "cifar10", tmp_path / "other") == 2
    assert not (tmp_path / "other").exists()


def test_a_damaged_archive_of_coco_is_not_kept(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (served.folder / "coco_sample.tgz").read_bytes()
    served.folder = tmp_path
    changed = bytearray(content)
    changed[-5000] ^= 1
    beginning = KNOWN["coco"].md5_of_beginning
    for damaged, said in (
        (content[:-5000], f"it has {len(content) - 5000} bytes, and not {len(content)}"),
        (bytes(content[:9]) + b"?" + content[10:], f"first MiB has another MD5 than {beginning}"),
    ):
        (tmp_path / "coco_sample.tgz").write_bytes(damaged)
        with pytest.raises(DownloadError, match=rf"\(.*{said}\).*; name it then: --archive coco"):
            archive_of("coco", archive=None, sha256=None, tell=lambda text: None)
    # Behind the beginning gzip's own check sums find it.
    start = hashlib.md5(bytes(changed[:BEGINNING])).hexdigest()
    with monkeypatch.context() as patched:
        patched.setitem(KNOWN, "coco", replace(KNOWN["coco"], md5_of_beginning=start))
        (tmp_path / "coco_sample.tgz").write_bytes(changed)
        with pytest.raises(DownloadError, match=r"it is damaged: .*; name it then: --archive coco"):
            archive_of("coco", archive=None, sha256=None, tell=lambda text: None)
    (tmp_path / "coco_sample.tgz").write_bytes(content)
    found = archive_of("coco", archive=None, sha256=None, tell=lambda text: None)
    assert found.read_bytes() == content


def test_a_hash_of_the_users_is_checked(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = served.folder / "coco_sample.tgz"
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    for given in (None, archive):
        found = archive_of("coco", archive=given, sha256=right, tell=lambda text: None)
        assert found.read_bytes() == archive.read_bytes()
    with pytest.raises(DataError, match=r"--archive .*: has another SHA-256 than 000"):
        archive_of("coco", archive=archive, sha256="0" * 64, tell=lambda text: None)
    with pytest.raises(DownloadError, match="have another SHA-256 than 000"):
        archive_of("coco", archive=None, sha256="0" * 64, tell=lambda text: None)
    # It stands for what is published: the archive may be a later one.
    for published in KNOWN.values():
        monkeypatch.setitem(KNOWN, "coco", replace(published, url=KNOWN["coco"].url, num_bytes=7))
        found = archive_of("coco", archive=None, sha256=right, tell=lambda text: None)
        assert found.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize("name", list(KNOWN))
def test_an_archive_that_is_not_the_published_one_is_told(
    served: Served, tmp_path: Path, name: str
) -> None:
    published = served.folder / KNOWN[name].file
    archive = tmp_path / "mine.tar.gz"
    archive.write_bytes(published.read_bytes() + b"more")
    told: list[str] = []
    assert archive_of(name, archive=archive, sha256=None, tell=told.append) == archive
    assert told == [f"{archive}: is not the published archive of {name}; taken as it is"]
    assert archive_of(name, archive=published, sha256=None, tell=told.append) == published
    assert len(told) == 1


def test_an_archive_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    archive = tmp_path / "mine.tgz"
    archive.write_bytes(b"")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", closed)
        with pytest.raises(DataError, match=r"--archive .*tgz: cannot be read \(Permission denied"):
            archive_of("coco", archive=archive, sha256=None, tell=lambda text: None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["coco", "out", "--archive", "nowhere.tgz"],
            "--archive nowhere.tgz: there is no such",
        ),
        (["coco", "out", "--validation", "0.2"], "--validation: 0.2; coco has fixed numbers"),
        (["cifar10", "out", "--size", "64"], "--size: 64 pixels; give 16 to 32 for cifar10"),
        (["coco", "out", "--sha256", "xyz"], "--sha256: xyz; give 64 hexadecimal digits"),
        (["photographs", "out", "--archive", "a.tgz"], "--archive: goes with coco and cifar10"),
        (["coco", "taken"], "taken: holds files that are no prepared data set"),
        (["s3:/bucket/a", "out"], "SOURCE s3:/bucket/a: is no address that raycolor reads"),
        (["photographs", "http://a/b"], "OUT http://a/b: is no address that raycolor reads"),
        (["cocoa", "out"], "cocoa: there is no such folder or archive"),
    ],
)
def test_errors_of_the_user_are_sentences(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"taken/mine.txt": b"mine", "photographs/a.txt": b"words"})
    before = sorted(tmp_path.rglob("*"))
    assert main(monkeypatch, *words) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(said)
    assert errors.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_named_so_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "coco", files(60))
    assert main(monkeypatch, "coco", "out", "--size", "16") == 0
    assert capsys.readouterr().out.startswith("coco: read as the file or folder of that name here;")
    assert sum(open_prepared(tmp_path / "out").counts.values()) == 60
    # With an archive it is the name all the same.
    archive = coco(tmp_path / "a.tgz", 90)
    assert main(monkeypatch, "coco", "known", "--size", "32", "--archive", archive) == 0
    assert sum(open_prepared(tmp_path / "known").counts.values()) == 90
    assert known_module.KNOWN["coco"].size == 256
