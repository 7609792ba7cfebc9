"""Prepared data sets on shared storage: copied whole, once, or a sentence why not."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raycolor.data import PreparedData, open_prepared, verify
from raycolor.errors import DataError
from raycolor.remote import bucket as bucket_module
from raycolor.remote import data_sets
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import check_free, described_at, local_copy, open_data_set, upload
from raycolor.storage import Patience, StorageError
from tests.s3 import s3_server
from tests.unit.remote.storages import disk


@pytest.fixture(scope="module", name="s3_server")
def _s3_server() -> Iterator[str]:
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty folder, on a disk and in S3."""
    if request.param == "disk":
        return f"file://{tmp_path}/place"
    server: str = request.getfixturevalue("s3_server")
    return f"s3://bucket/{tmp_path.name}?endpoint_override={server}&scheme=http"


@pytest.fixture
def on_disk(tmp_path: Path) -> str:
    return f"file://{tmp_path}/place"


def test_a_data_set_comes_back_as_it_went(place: str, prepared: PreparedData, cache: Path) -> None:
    upload(prepared.path, place)
    assert sorted(Bucket(place).files()) == sorted(path.name for path in prepared.path.iterdir())
    folder = cache / "data" / prepared.fingerprint
    about = described_at(place)
    assert (about.path, about.counts, about.size) == (folder, prepared.counts, prepared.size)
    assert not folder.exists()
    told: list[str] = []
    data = local_copy(place, tell=told.append)
    assert data == about
    verify(data)
    assert len(told) == 1
    assert told[0].startswith(f"{place}: copying ")
    for path in prepared.path.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert open_data_set(place) == data
    assert local_copy(place, tell=told.append, checked=True) == data
    assert len(told) == 1
    assert [path.name for path in folder.parent.iterdir() if path.suffix == ".part"] == []


def test_other_words_for_data_stay_as_they_are(prepared: PreparedData) -> None:
    assert open_data_set(None) == open_data_set("photos")
    assert open_data_set(str(prepared.path)) == prepared


def test_a_copy_that_was_damaged_is_made_anew(on_disk: str, prepared: PreparedData) -> None:
    upload(prepared.path, on_disk)
    folder = local_copy(on_disk).path
    whole = (folder / "train.arrow").read_bytes()
    (folder / "train.arrow").write_bytes(whole[:4000] + b"\xff" * 16 + whole[4016:])
    verify(local_copy(on_disk, checked=True))
    (folder / "train.arrow").unlink()
    verify(local_copy(on_disk))


@pytest.mark.parametrize("bytes_there", [0, 5000, 10**7])
def test_what_an_earlier_copy_left_is_gone_on_with(
    on_disk: str, prepared: PreparedData, cache: Path, bytes_there: int
) -> None:
    upload(prepared.path, on_disk)
    part = cache / "data" / f".{prepared.fingerprint}.part"
    part.mkdir(parents=True)
    whole = (prepared.path / "train.arrow").read_bytes()
    (part / "train.arrow").write_bytes((whole + b"x" * 10**7)[:bytes_there])
    verify(local_copy(on_disk))


def test_a_useless_rest_is_thrown_away(on_disk: str, prepared: PreparedData, cache: Path) -> None:
    upload(prepared.path, on_disk)
    part = cache / "data" / f".{prepared.fingerprint}.part"
    part.mkdir(parents=True)
    (part / "test.arrow").write_bytes(b"x" * 700)
    told: list[str] = []
    verify(local_copy(on_disk, tell=told.append))
    assert any("what was left of an older copy is useless" in line for line in told)


@pytest.mark.parametrize("every", [4, 5, 7])
def test_calls_that_fail_now_and_then_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepared: PreparedData, every: int
) -> None:
    patient = Patience((0.0,) * 5, sleep=lambda seconds: None)
    monkeypatch.setattr(bucket_module, "Patience", lambda: patient)
    with disk(monkeypatch, lambda number, name: number % every == 0):
        address = f"file://{tmp_path}/place"
        upload(prepared.path, address)
        verify(local_copy(address))


def copy_in_a_process(address: str, slow_s: float) -> None:
    """Copy a data set block by block, slowly."""
    bucket_module.BLOCK = 4096

    def slow(path: Path) -> Any:
        time.sleep(slow_s)
        return told(path)

    told = bucket_module._disk_told
    bucket_module._disk_told = slow
    local_copy(address)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*")) if folder.exists() else 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_process_that_is_killed_leaves_a_beginning(
    on_disk: str, prepared: PreparedData, cache: Path, share: float
) -> None:
    upload(prepared.path, on_disk)
    part = cache / "data" / f".{prepared.fingerprint}.part"
    wanted = share * size_of(prepared.path)
    process = multiprocessing.get_context("fork").Process(
        target=copy_in_a_process, args=(on_disk, 0.002)
    )
    process.start()
    while size_of(part) < wanted and process.is_alive():
        time.sleep(0.001)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    left = size_of(part)
    assert wanted <= left < size_of(prepared.path)
    assert not (cache / "data" / prepared.fingerprint).exists()
    # The next one goes on, and copies no more than the rest.
    with pytest.MonkeyPatch.context() as patched:
        counted: list[int] = []
        told = bucket_module._disk_told

        def count(path: Path) -> Any:
            counted.append(1)
            return told(path)

        patched.setattr(bucket_module, "BLOCK", 4096)
        patched.setattr(bucket_module, "_disk_told", count)
        verify(local_copy(on_disk))
    assert len(counted) * 4096 < size_of(prepared.path) - left + 8 * 4096


def test_several_processes_copy_once(on_disk: str, prepared: PreparedData, cache: Path) -> None:
    upload(prepared.path, on_disk)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=copy_in_a_process, args=(on_disk, 0.002)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    folder = cache / "data" / prepared.fingerprint
    verify(open_prepared(folder))
    assert not folder.with_name(f".{folder.name}.part").exists()


def edit_about(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    about = json.loads((folder / "dataset.json").read_text())
    change(about)
    (folder / "dataset.json").write_text(json.dumps(about))


def damage(folder: Path) -> None:
    content = bytearray((folder / "train.arrow").read_bytes())
    content[4000] ^= 1
    (folder / "train.arrow").write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pixels": (damage, r"is damaged, as its copy on this machine shows \(the pixels have"),
    "cut": (
        lambda folder: os.truncate(folder / "test.arrow", 700),
        r"is damaged, as its copy on this machine shows \(test.arrow: not readable",
    ),
    "missing": (lambda folder: (folder / "test.arrow").unlink(), r"test.arrow: is missing there"),
    "counts": (
        lambda folder: edit_about(folder, lambda about: about["counts"].update(train=3)),
        r"is damaged, as its copy",
    ),
    "format": (
        lambda folder: edit_about(folder, lambda about: about.update(format=9)),
        r"place/dataset.json: format is 9, this raycolor reads 1",
    ),
    "words": (
        lambda folder: (folder / "dataset.json").write_bytes(b"\xff{words"),
        r"place/dataset.json: not readable as a data set's description",
    ),
    "fingerprint": (
        lambda folder: edit_about(folder, lambda about: about.update(fingerprint="../../a")),
        r"place/dataset.json: its fingerprint is none \('../../a'\)",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_a_sentence(
    on_disk: str, prepared: PreparedData, tmp_path: Path, cache: Path, kind: str
) -> None:
    upload(prepared.path, on_disk)
    change, said = DAMAGES[kind]
    change(tmp_path / "place")
    with pytest.raises(DataError, match=said) as caught:
        local_copy(on_disk)
    assert str(caught.value).startswith("file:")
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("data/*/dataset.json"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "there is nothing; give the address of a prepared data set"),
        (["journal/000.json", "leaderboard.csv"], "is a study, not a data set"),
        (["tiny/journal/000.json"], r"holds studies \(such as tiny\), not a data set"),
        (["a/dataset.json", "b/dataset.json"], r"is no data set but holds some; take .*/a.* or "),
        (["a/one.jpg"], r"holds photographs or archives \(such as one.jpg\) that are not prepared"),
        (["all.tar.gz"], r"such as all.tar.gz\) .*run `python -m raycolor.prepare .* OUT` first"),
        (["words.txt"], "no dataset.json in it, so this is no prepared data set"),
        (["upload-unfinished", "train.arrow"], "its upload is not finished; give the same"),
    ],
)
def test_what_lies_there_instead_is_told(place: str, names: list[str], said: str) -> None:
    for name in names:
        Bucket(place).write(name, b"content")
    for call in (described_at, local_copy):
        with pytest.raises(DataError, match=said) as caught:
            call(place)
        assert str(caught.value).startswith(f"--data {place}: ")
        assert "\n" not in str(caught.value)


def test_no_bucket_is_told(s3_server: str) -> None:
    address = f"s3://nowhere/a?endpoint_override={s3_server}&scheme=http"
    for call in (described_at, lambda text: check_free(text, overwrite=False)):
        with pytest.raises(StorageError, match=r"there is no such bucket; make it, or name"):
            call(address)


def test_no_room_is_told(
    on_disk: str, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    upload(prepared.path, on_disk)
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"takes 0 MB more in .*, where 0 are free; make room"):
        local_copy(on_disk)


def test_a_cache_folder_that_cannot_be_made_is_told(
    on_disk: str, prepared: PreparedData, cache: Path
) -> None:
    upload(prepared.path, on_disk)
    cache.write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written \(.*\); make room there, or name anot"):
        local_copy(on_disk)


def test_places_are_free_or_say_why_not(place: str, prepared: PreparedData) -> None:
    check_free(place, overwrite=False)
    bucket = Bucket(place)
    bucket.write("train.arrow", b"someone's")
    with pytest.raises(DataError, match=r"holds files that are no prepared data set \(train.arrow"):
        check_free(place, overwrite=True)
    bucket.delete("train.arrow")
    upload(prepared.path, place)
    with pytest.raises(DataError, match="holds a prepared data set; add --overwrite to replace it"):
        check_free(place, overwrite=False)
    check_free(place, overwrite=True)
    bucket.write("mine.txt", b"mine")
    with pytest.raises(DataError, match=r"holds files that are no prepared data set \(mine.txt\)"):
        check_free(place, overwrite=True)


@pytest.mark.parametrize("number", range(7))
def test_an_upload_that_is_cut_off_is_no_data_set_and_can_be_given_again(
    on_disk: str,
    prepared: PreparedData,
    prepared_large: PreparedData,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """Between any two of its steps, and over an older data set."""
    upload(prepared_large.path, on_disk)
    with monkeypatch.context() as patched:
        steps = 0

        def until(call: Callable[..., None]) -> Callable[..., None]:
            def step(*arguments: Any) -> None:
                nonlocal steps
                if steps == number:
                    raise KeyboardInterrupt
                steps += 1
                call(*arguments)

            return step

        for name in ("write", "delete", "upload"):
            patched.setattr(Bucket, name, until(getattr(Bucket, name)))
        with pytest.raises(KeyboardInterrupt):
            upload(prepared.path, on_disk)
    if number in (0, 1):
        assert described_at(on_disk).fingerprint == prepared_large.fingerprint
    elif number == 6:
        assert described_at(on_disk).fingerprint == prepared.fingerprint
    else:
        with pytest.raises(DataError, match="its upload is not finished"):
            described_at(on_disk)
    check_free(on_disk, overwrite=True)
    upload(prepared.path, on_disk)
    verify(local_copy(on_disk))
    assert data_sets.UNFINISHED not in Bucket(on_disk).files()
