"""Names lead to photographs: files, folders and patterns."""

import os
from pathlib import Path

import pytest

from raycolor.coloring.inputs import find_photographs
from raycolor.errors import DataError

NAMES = [
    "album/a.jpg",
    "album/b.PNG",
    "album/notes.txt",
    "album/.hidden.jpg",
    "album/1999/c.tif",
    "album/1999/summer/d.heic",
    "album/.trash/e.jpg",
    "album/colorized/a.png",
]


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*named: str, without: str = "album/colorized") -> list[tuple[str, str]]:
    photographs = find_photographs(named, without=Path(without))
    return [(str(item.path), str(item.below)) for item in photographs]


@pytest.mark.usefixtures("album")
class TestFinding:
    def test_file(self) -> None:
        assert found("album/1999/c.tif") == [("album/1999/c.tif", "c.tif")]

    def test_any_file_that_is_named(self) -> None:
        assert found("album/notes.txt", "album/.hidden.jpg") == [
            ("album/notes.txt", "notes.txt"),
            ("album/.hidden.jpg", ".hidden.jpg"),
        ]

    def test_folder_with_all_below_it(self) -> None:
        assert found("album") == [
            ("album/a.jpg", "a.jpg"),
            ("album/b.PNG", "b.PNG"),
            ("album/1999/c.tif", "1999/c.tif"),
            ("album/1999/summer/d.heic", "1999/summer/d.heic"),
        ]

    def test_results_are_photographs_where_they_are_named(self) -> None:
        assert found("album/colorized", without="album/colorized") == [
            ("album/colorized/a.png", "a.png")
        ]

    def test_pattern(self) -> None:
        assert found("album/*.jpg") == [("album/a.jpg", "a.jpg")]
        assert found("album/[ab].*") == [("album/a.jpg", "a.jpg"), ("album/b.PNG", "b.PNG")]

    def test_pattern_over_folders_keeps_places(self) -> None:
        assert found("album/**/*.tif", "alb*/1999/summer/*") == [
            ("album/1999/c.tif", "1999/c.tif"),
            ("album/1999/summer/d.heic", "album/1999/summer/d.heic"),
        ]

    def test_pattern_that_finds_folders(self) -> None:
        assert found("album/19*") == [
            ("album/1999/c.tif", "1999/c.tif"),
            ("album/1999/summer/d.heic", "1999/summer/d.heic"),
        ]

    def test_each_once(self, album: Path) -> None:
        (album / "again.jpg").symlink_to(album / "album/a.jpg")
        assert found("album/a.jpg", "album/*.jpg", str(album / "album/a.jpg"), "again.jpg") == [
            ("album/a.jpg", "a.jpg")
        ]

    def test_what_exists_is_no_pattern(self, album: Path) -> None:
        (album / "album/old [1].jpg").write_bytes(b"x")
        assert found("album/old [1].jpg") == [("album/old [1].jpg", "old [1].jpg")]

    def test_links_in_a_circle(self, album: Path) -> None:
        (album / "album/1999/up").symlink_to(album / "album")
        assert len(found("album")) == 4


@pytest.mark.usefixtures("album")
class TestRefusing:
    def test_nothing(self) -> None:
        with pytest.raises(DataError, match=r"^no photograph given; name files, folders"):
            found()

    def test_all_at_once(self, album: Path) -> None:
        (album / "empty").mkdir()
        (album / "empty/notes.txt").write_text("x")
        with pytest.raises(DataError) as caught:
            found("absent.jpg", "album/a.jpg", "empty", "album/*.gif", "x" * 300)
        assert str(caught.value).splitlines() == [
            "absent.jpg: there is no such photograph or folder",
            (
                "empty: no photograph in this folder or those in it; looked for .jpg, .jpeg, "
                ".jpe, .jfif, .png, .apng and the like"
            ),
            "album/*.gif: no file has such a name",
            f"{'x' * 300}: cannot be looked at (File name too long)",
        ]

    def test_pattern_that_finds_empty_folders(self, album: Path) -> None:
        (album / "empty").mkdir()
        with pytest.raises(DataError, match=r"^em\*: leads to no photograph$"):
            found("em*")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_folder_that_may_not_be_read(self, album: Path) -> None:
        (album / "album/1999").chmod(0)
        try:
            with pytest.raises(DataError, match=r"album/1999: cannot be read \(Permission denied"):
                found("album")
        finally:
            (album / "album/1999").chmod(0o755)
