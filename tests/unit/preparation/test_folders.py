import os
import socket
import sys
from pathlib import Path

import pytest

from raycolor.errors import DataError
from raycolor.preparation.folders import Folder
from raycolor.preparation.sources import open_source
from tests.unit.preparation.making import encoded, photo, write

JPG = b"not decoded here"


def test_all_that_lies_below_is_listed_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"b.jpg": JPG, "a/z.png": JPG, "a/b/c.JPG": JPG, "B.jpg": JPG})
    listing = Folder(tmp_path).listing()
    assert list(listing.candidates) == ["B.jpg", "a/b/c.JPG", "a/z.png", "b.jpg"]
    read = dict(Folder(tmp_path).read(list(listing.candidates.values())))
    assert [Path(str(path)).read_bytes() for path in read.values()] == [JPG] * 4


def test_hidden_files_and_known_others_are_counted_not_listed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.jpg": JPG,
            "notes.txt": b"",
            ".DS_Store": b"",
            "Thumbs.db": b"",
            ".git/objects/p.jpg": JPG,
            "__MACOSX/._a.jpg": JPG,
        },
    )
    listing = Folder(tmp_path).listing()
    assert list(listing.candidates) == ["a.jpg"]
    assert listing.skipped == {}
    assert listing.num_passed_over == 5


def test_raw_files_are_listed_with_what_to_do(tmp_path: Path) -> None:
    listing = Folder(write(tmp_path, {"a.NEF": JPG, "b.heic": JPG})).listing()
    assert {skip.reason for skip in listing.skipped.values()} == {"raw or HEIC"}
    assert "export it as JPEG" in listing.skipped["a.NEF"].detail


def test_links_are_followed_to_files_inside_only(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.jpg": JPG})
    folder = write(tmp_path / "folder", {"a.jpg": JPG, "sub/b.jpg": JPG})
    (folder / "inner.jpg").symlink_to("sub/b.jpg")
    (folder / "outer.jpg").symlink_to(outside / "secret.jpg")
    (folder / "up.jpg").symlink_to("../outside/secret.jpg")
    (folder / "chain.jpg").symlink_to("outer.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "sub" / "back").symlink_to("..")
    (folder / "elsewhere").symlink_to(outside)
    (folder / "zero.jpg").symlink_to("/dev/zero")
    listing = Folder(folder).listing()
    assert list(listing.candidates) == ["a.jpg", "inner.jpg", "sub/b.jpg"]
    assert {name: skip.detail.split(";")[0] for name, skip in listing.skipped.items()} == {
        "outer.jpg": "leads out of the folder",
        "up.jpg": "leads out of the folder",
        "chain.jpg": "leads out of the folder",
        "loop.jpg": "leads nowhere",
        "broken.jpg": "leads nowhere",
        "sub/back": "to a folder",
        "elsewhere": "to a folder",
        "zero.jpg": "to no regular file",
    }


def test_a_folder_that_is_named_by_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path / "folder", {"a.jpg": JPG, "b.jpg": JPG})
    (tmp_path / "folder" / "c.jpg").symlink_to(tmp_path / "folder" / "a.jpg")
    (tmp_path / "link").symlink_to("folder")
    assert list(Folder(tmp_path / "link").listing().candidates) == ["a.jpg", "b.jpg", "c.jpg"]


def test_pipes_and_sockets_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    os.mkfifo("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        listing = Folder(tmp_path).listing()
    assert listing.candidates == {}
    assert {skip.reason for skip in listing.skipped.values()} == {"no regular file"}


def test_folders_apart_are_not_entered(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg": JPG, "out/b.jpg": JPG, "output/c.jpg": JPG})
    listing = Folder(tmp_path, apart=[(tmp_path / "out").resolve()]).listing()
    assert list(listing.candidates) == ["a.jpg", "output/c.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_of_other_encodings_are_listed_and_read(tmp_path: Path) -> None:
    content = encoded(photo(0))
    (tmp_path / os.fsdecode(b"\xe9t\xe9.png")).write_bytes(content)
    listing = Folder(tmp_path).listing()
    assert list(listing.candidates) == ["\\xe9t\\xe9.png"]
    ((_, path),) = Folder(tmp_path).read(list(listing.candidates.values()))
    assert isinstance(path, Path)
    assert path.read_bytes() == content


def test_depth_is_no_problem(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 300)
    deepest.mkdir(parents=True)
    (deepest / "a.jpg").write_bytes(JPG)
    assert list(Folder(tmp_path).listing().candidates) == ["a.jpg"]


def test_only_the_folders_that_all_pictures_share_are_taken_off(tmp_path: Path) -> None:
    write(tmp_path, {"top/a/1.jpg": JPG, "top/b/2.jpg": JPG, "top/LICENSE": b"", "README": b""})
    listing = Folder(tmp_path).listing()
    assert list(listing.candidates) == ["LICENSE", "README", "a/1.jpg", "b/2.jpg"]


def test_no_name_is_lost_when_folders_are_taken_off(tmp_path: Path) -> None:
    write(tmp_path, {"top/1.jpg": JPG, "top/2.jpg": JPG, "top/README": b"a", "README": b"b"})
    assert sorted(Folder(tmp_path).listing().candidates.values()) == [
        "README",
        "top/1.jpg",
        "top/2.jpg",
        "top/README",
    ]


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such folder or archive"):
        open_source(tmp_path / "nowhere")
    write(tmp_path, {"a.jpg": encoded(photo(0), "JPEG"), "empty": b""})
    for name in ("a.jpg", "empty"):
        with pytest.raises(DataError, match=rf"{name}: no folder and no archive that is read"):
            open_source(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: no folder and no archive"):
        open_source(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"a\.jpg/b: cannot be read"):
        open_source(tmp_path / "a.jpg" / "b")


def test_a_folder_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: cannot be read \(No such file"):
        Folder(tmp_path / "gone").listing()
