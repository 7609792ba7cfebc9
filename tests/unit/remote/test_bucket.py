"""Files on shared storage are whole, come back as they went, and survive calls that fail."""

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raycolor.remote.bucket import Bucket, _Put
from raycolor.storage import Patience, StorageError
from tests.s3 import s3_server
from tests.unit.remote.storages import bucket, disk


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty folder, on a disk and in S3."""
    if request.param == "disk":
        return f"file://{tmp_path}/place"
    server: str = request.getfixturevalue("s3_server")
    return f"s3://bucket/{tmp_path.name}?endpoint_override={server}&scheme=http"


@pytest.fixture(scope="module", name="s3_server")
def _s3_server() -> Iterator[str]:
    with s3_server() as server:
        yield server


def test_files_come_back_as_they_went(place: str, tmp_path: Path) -> None:
    there = Bucket(place)
    assert there.files() == {}
    there.write("a/b.txt", b"one")
    there.write("a/b.txt", b"two!")
    assert there.read("a/b.txt") == b"two!"
    assert there.read("a/b.txt", at_most=2) == b"tw"
    large = tmp_path / "large"
    large.write_bytes(os.urandom(20_000_000))
    there.upload(large, "large")
    there.copy("large", "c/copy")
    there.download("c/copy", tmp_path / "here" / "back")
    assert (tmp_path / "here" / "back").read_bytes() == large.read_bytes()
    sizes = {name: entry.size for name, entry in there.files().items()}
    assert sizes == {"a/b.txt": 4, "c/copy": 20_000_000, "large": 20_000_000}
    assert list(there.files("a")) == ["a/b.txt"]
    # Packed files stay as they are, whatever their names say.
    for name in ("a.gz", "b.tar.bz2", "c.zst"):
        there.write(name, b"plain")
        assert there.files()[name].size == 5
        assert there.read(name) == b"plain"
        there.delete(name)
    there.delete("large")
    there.delete("large")
    assert list(pickle.loads(pickle.dumps(there)).files()) == ["a/b.txt", "c/copy"]


def test_a_beginning_is_gone_on_with(place: str, tmp_path: Path) -> None:
    there, back = Bucket(place), tmp_path / "back"
    content = os.urandom(3_000_000)
    there.write("large.gz", content)
    for beginning in (b"", content[:1_000_000], content, content + b"too much"):
        back.write_bytes(beginning)
        there.download_on("large.gz", back)
        assert back.read_bytes() == content
    with pytest.raises(FileNotFoundError):
        there.download_on("none", tmp_path / "none")


def test_what_lies_in_a_folder_itself(place: str) -> None:
    there = Bucket(place)
    assert there.children() == []
    for name in ("a", "b/c", "b/d/e", "f/g"):
        there.write(name, b"")
    assert there.children() == ["a", "b/", "f/"]
    assert there.children("b") == ["c", "d/"]


def test_a_full_disk_of_this_machine_is_told_at_once(
    tmp_path: Path,
) -> None:
    def no_wait(seconds: float) -> None:
        pytest.fail("no waiting makes room")

    there = Bucket(f"file://{tmp_path}/place", patience=Patience(sleep=no_wait))
    there.write("large", b"content")
    (tmp_path / "back").mkdir()
    with pytest.raises(
        StorageError, match=r"large: cannot be copied to .*/back \(Is a directory\)"
    ):
        there.download_on("large", tmp_path / "back")


def test_what_is_not_there_is_told_as_such(place: str, tmp_path: Path) -> None:
    there = Bucket(place)
    there.write("a", b"")
    with pytest.raises(FileNotFoundError):
        there.read("b")
    with pytest.raises(FileNotFoundError):
        there.download("b", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        there.upload(tmp_path / "b", "b")
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("every", [4, 5, 7])
def test_calls_that_fail_now_and_then_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, every: int
) -> None:
    with disk(monkeypatch, lambda number, name: number % every == 0):
        there = bucket(tmp_path)
        for number in range(20):
            there.write(f"f/{number}", b"%d" % number)
            there.copy(f"f/{number}", f"g/{number}")
        assert [there.read(f"g/{number}") for number in range(20)] == [b"%d" % n for n in range(20)]
        assert len(there.files("f")) == 20
        for number in range(20):
            there.delete(f"f/{number}")
        assert there.files("f") == {}


@pytest.mark.parametrize("name", ["create_dir", "open_output_stream", "move"])
def test_a_write_that_fails_leaves_the_older_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    Bucket(f"file://{tmp_path}").write("a", b"old")
    with (
        disk(monkeypatch, lambda number, called: called == name),
        pytest.raises(StorageError) as caught,
    ):
        bucket(tmp_path, tries=3).write("a", b"new")
    assert str(caught.value).startswith(f"file://{tmp_path}/a: cannot be written (")
    assert "after 3 tries; make room or mend the storage, then give the same" in str(caught.value)
    there = Bucket(f"file://{tmp_path}")
    assert there.read("a") == b"old"
    # What a failed move leaves beside is no file of the folder.
    assert list(there.files()) == ["a"]


def test_a_read_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Bucket(f"file://{tmp_path}").write("a", b"old")
    with (
        disk(monkeypatch, lambda number, called: called == "open_input_stream"),
        pytest.raises(StorageError, match=r"/a: cannot be read \(.*\) after 6 tries; mend"),
    ):
        bucket(tmp_path).read("a")


def test_an_interrupted_write_leaves_no_empty_file(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is forgotten later, with its traceback, must not replace what came after it."""
    there = Bucket(place)
    there.write("a", b"old")
    real = _Put.__enter__

    def interrupted(self: _Put) -> _Put:
        opened = real(self)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(_Put, "__enter__", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            there.write("a", b"written all the same")
    assert there.read("a") == b"written all the same"
    there.write("a", b"new")
    del caught
    gc.collect()
    assert there.read("a") == b"new"


def test_a_bucket_that_is_not_there_is_no_matter_of_patience(s3_server: str) -> None:
    def sleep(seconds: float) -> None:
        pytest.fail("no waiting mends it")

    address = f"s3://nowhere/a?endpoint_override={s3_server}&scheme=http"
    there = Bucket(address, patience=Patience((1.0,), sleep=sleep))
    for use in (lambda: there.write("a", b""), there.files):
        with pytest.raises(StorageError, match=r"^s3://nowhere/a.*: there is no such bucket; make"):
            use()
