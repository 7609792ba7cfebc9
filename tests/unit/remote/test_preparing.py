"""Photographs from shared storage and data sets to it: the same bits as on this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raycolor.data import open_prepared, verify
from raycolor.preparation.listing import Contents
from raycolor.preparation.run import prepare
from raycolor.preparation.skips import Skip
from raycolor.remote import photographs
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import described_at, local_copy
from raycolor.remote.photographs import RemoteFolder
from tests.s3 import s3_server
from tests.unit.preparation.known_archives import tar
from tests.unit.preparation.making import files, settings, unwatched, write

NUMBER = 60


@pytest.fixture(scope="module", name="s3_server")
def _s3_server() -> Iterator[str]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    pictures = {f"{'abc'[i % 3]}/{name}": c for i, (name, c) in enumerate(files(NUMBER).items())}
    return {**pictures, "a/notes.txt": b"words", "b/broken.jpg": b"no picture"}


@pytest.fixture(scope="module")
def fingerprint(contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the same photographs in a folder of this machine."""
    folder = write(tmp_path_factory.mktemp("here") / "photographs", contents)
    return prepare(settings(folder, folder.with_name("out")), unwatched).data.fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raycolor.prepare", *map(str, words)]
    more = ["--size", "16", "--workers", "1"]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


def test_from_s3_to_s3_and_back(
    s3_server: str, contents: dict[str, bytes], fingerprint: str, cache: Path
) -> None:
    options = f"?endpoint_override={s3_server}&scheme=http"
    source, out = f"s3://bucket/photographs{options}", f"s3://bucket/sets/mine{options}"
    for name, content in contents.items():
        Bucket(source).write(name, content)
    done = run(source, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{out}: bringing 0 MB there" in done.stdout
    assert f"{out}: 60 pictures of 16 pixels" in done.stdout
    assert "1 no picture: b/broken.jpg" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(
        f"Next: python -m raycolor.search --data '{out}' --study mine --set data.size=16"
    )
    assert described_at(out).fingerprint == fingerprint
    data = local_copy(out)
    verify(data)
    assert data.name == "mine"
    assert f"60 pictures of {source}" in (data.path / "dataset.json").read_text()
    # Nothing of it stays in the cache folder but that copy.
    assert [path for path in (cache / "scratch").iterdir() if path.is_dir()] == []

    done = run(source, out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{out}: holds a prepared data set; add --overwrite to replace")
    assert run(source, out, "--overwrite").returncode == 0
    done = run(f"s3://nowhere/a{options}", out, "--overwrite")
    assert done.returncode == 2
    assert "there is no such bucket; make it, or name another one" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_archive_at_an_address(
    s3_server: str, contents: dict[str, bytes], fingerprint: str, tmp_path: Path, cache: Path
) -> None:
    options = f"?endpoint_override={s3_server}&scheme=http"
    archive = tar(tmp_path / "all.tar.gz", contents)
    Bucket(f"s3://bucket/archives{options}").upload(archive, "all.tar.gz")
    source = f"s3://bucket/archives/all.tar.gz{options}"
    done = run(source, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{source}: copying it to {cache}/scratch for as long as")
    assert open_prepared(tmp_path / "out").fingerprint == fingerprint
    assert list((cache / "scratch").iterdir()) == []
    source = f"s3://bucket/archives/none.zip{options}"
    done = run(source, tmp_path / "other")
    assert done.returncode == 2
    assert done.stderr == (f"{source}: there is no such archive; name one that holds photographs\n")


def test_file_addresses_are_paths(
    contents: dict[str, bytes], fingerprint: str, tmp_path: Path, cache: Path
) -> None:
    write(tmp_path / "my photographs", contents)
    out = f"file://{tmp_path}/out"
    done = run(f"file://{tmp_path}/my%20photographs", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert open_prepared(tmp_path / "out").fingerprint == fingerprint
    assert f"search --data {out} --study out" in done.stdout
    assert not cache.exists()
    done = run(f"file://{tmp_path}/none", tmp_path / "other")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path}/none: there is no such folder or archive; name one")


def test_photographs_come_in_order_and_few_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"p{i:03}.jpg" for i in range(200)]
    write(tmp_path / "place", {name: name.encode() * 100 for name in names})
    monkeypatch.setattr(photographs, "MOST_BYTES", 7000)
    ahead: list[str] = []
    read = Bucket.read

    def counting(self: Bucket, name: str, *, at_most: int | None = None) -> bytes:
        ahead.append(name)
        return read(self, name, at_most=at_most)

    monkeypatch.setattr(Bucket, "read", counting)
    folder = RemoteFolder(f"file://{tmp_path}/place")
    wanted = list(folder.listing().candidates.values())
    found: list[tuple[str, Contents]] = []
    (tmp_path / "place" / names[150]).unlink()
    for pair in folder.read(wanted):
        found.append(pair)
        # 800 bytes each, so 8 of them are on their way.
        assert len(ahead) <= len(found) + 8
    assert [name for name, _ in found] == names
    skip = Skip("unreadable", "is not there any more")
    assert dict(found)[names[150]] == skip
    assert all(c == name.encode() * 100 for name, c in found if name != names[150])


def test_a_kill_leaves_nothing_that_stays(
    s3_server: str, contents: dict[str, bytes], fingerprint: str, tmp_path: Path, cache: Path
) -> None:
    """While the data set is made; the next one removes what is left and goes through."""
    folder = write(tmp_path / "photographs", contents)
    out = f"s3://bucket/killed/mine?endpoint_override={s3_server}&scheme=http"
    words = [sys.executable, "-m", "raycolor.prepare", str(folder), out, "--size", "16"]
    process = psutil.Popen([*words, "--workers", "1"], stdout=subprocess.DEVNULL)
    while not list(cache.glob("scratch/.data-set.*.part/.mine.*.part/rows")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert list(cache.glob("scratch/.data-set.*.part"))
    assert Bucket(out).files() == {}
    done = run(folder, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(cache.glob("scratch/.*")) == []
    assert described_at(out).fingerprint == fingerprint
