import fcntl
import json
import os
from pathlib import Path

import pytest

from raycolor.data import open_prepared, verify, write_prepared
from raycolor.errors import DataError
from raycolor.preparation.place import building, check_free, is_prepared
from tests.toy import toy_splits


def make(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_prepared(folder, toy_splits(16, seed=seed), name="toy", source="drawn")
    return folder


def build(out: Path, seed: int = 0, *, overwrite: bool = False) -> None:
    with building(out, overwrite=overwrite) as folder:
        make(folder, seed)


def fingerprint(out: Path) -> str:
    data = open_prepared(out)
    verify(data)
    return data.fingerprint


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "nothing, nor its parents"])
def test_result_is_put_in_place(tmp_path: Path, there: str) -> None:
    out = tmp_path / "deep" / "out" if "parents" in there else tmp_path / "out"
    if there == "an empty folder":
        out.mkdir()
    build(out)
    assert is_prepared(out)
    assert list(out.parent.iterdir()) == [out]
    assert out.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_older_data_set_is_replaced_only_when_asked_for(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    before = fingerprint(out)
    with pytest.raises(DataError, match=r"out: holds a prepared data set; add --overwrite"):
        build(out, 1)
    assert fingerprint(out) == before
    build(out, 1, overwrite=True)
    assert fingerprint(out) != before
    assert list(tmp_path.iterdir()) == [out]


def test_older_data_set_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    before = fingerprint(out)
    mapped = open_prepared(out).pictures("train").pixels
    first = mapped[0].copy()
    with building(out, overwrite=True) as folder:
        make(folder, 1)
        assert fingerprint(out) == before
    assert fingerprint(out) != before
    # A search that was begun with the older one goes on with it.
    assert (mapped[0] == first).all()


def test_error_leaves_all_as_it_was(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    before = fingerprint(out)
    with pytest.raises(FileNotFoundError), building(out, overwrite=True) as folder:
        (make(folder, 1) / "nowhere").unlink()
    assert fingerprint(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files", [["a.txt"], ["train.arrow"], ["dataset.json"], ["photos/a.jpg"], [".hidden"]]
)
def test_files_of_the_user_are_never_replaced(
    tmp_path: Path, files: list[str], overwrite: bool
) -> None:
    out = tmp_path / "out"
    for name in files:
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("{}")
    with pytest.raises(DataError, match=r"out: holds files that are no prepared data set \("):
        build(out, overwrite=overwrite)
    assert all((out / name).read_text() == "{}" for name in files)


def test_data_set_with_a_file_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"no prepared data set \(dataset\.json, notes\.txt"):
        build(out, overwrite=True)
    assert fingerprint(out)
    assert (out / "notes.txt").read_text() == "mine"


def test_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    with pytest.raises(DataError, match=r"notes\.txt"), building(out, overwrite=True):
        (out / "notes.txt").write_text("mine")
    assert fingerprint(out)
    assert (out / "notes.txt").read_text() == "mine"


def test_data_set_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    taken = "holds a prepared data set; add --overwrite"
    with pytest.raises(DataError, match=taken), building(out, overwrite=False):
        make(out)
    assert fingerprint(out)
    assert list(tmp_path.iterdir()) == [out]


def test_file_or_broken_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(DataError, match=rf"{name}: is a file, or a link that leads nowhere"):
            check_free(tmp_path / name, overwrite=True)
    with pytest.raises(DataError, match=r"file/out: cannot be written"):
        build(tmp_path / "file" / "out")


def test_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    make(disk / "data")
    (tmp_path / "out").symlink_to(disk / "data")
    build(tmp_path / "out", 1, overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert is_prepared(disk / "data")
    assert list(disk.iterdir()) == [disk / "data"]


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out)
    left = make(tmp_path / ".out.0123abcd.part")
    (left / "rows").write_text("rows")
    make(tmp_path / ".out.89abcdef.old")
    names = (".out.part", ".other.0123abcd.part", ".out.x.part")
    others = [make(tmp_path / name) for name in names]
    build(out, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([out, *others])


def test_folder_of_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    living = make(tmp_path / ".out.0123abcd.part")
    lock = os.open(living, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    build(tmp_path / "out")
    assert is_prepared(living)
    os.close(lock)
    build(tmp_path / "out", 1, overwrite=True)
    assert not living.exists()


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with building(out, overwrite=True) as first:
        make(first, 1)
        build(out, 2)
        second = fingerprint(out)
    assert fingerprint(out) != second
    assert list(tmp_path.iterdir()) == [out]


def test_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    before = fingerprint(out)
    out.rename(tmp_path / ".out.0123abcd.old")
    make(tmp_path / ".out.89abcdef.part", 1)
    with pytest.raises(DataError, match="holds a prepared data set"):
        build(out, 2)
    assert fingerprint(out) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"fingerprint": "x"}'])
def test_description_of_something_else_is_no_data_set(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    assert not is_prepared(tmp_path)


def test_data_set_of_another_format_may_be_replaced(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    about = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps(about | {"format": 0}))
    build(out, overwrite=True)
    assert fingerprint(out)
