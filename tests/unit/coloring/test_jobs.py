"""Where results go, and what is refused before anything is coloured."""

import os
from pathlib import Path
from typing import Any

import pytest

from raycolor.coloring.inputs import Found
from raycolor.coloring.jobs import MOST_LINES, Job, plan_jobs
from raycolor.errors import DataError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def photographs(*belows: str) -> list[Found]:
    """Photographs on the disk, below the folder `in`."""
    for below in belows:
        path = Path("in") / below
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photograph")
    return [Found(path=Path("in") / below, below=Path(below)) for below in belows]


def jobs(found: list[Found], out: str = "out", **options: Any) -> list[Job]:
    defaults: dict[str, Any] = {"format": None, "side_by_side": False, "overwrite": False}
    return plan_jobs(found, out=Path(out), **(defaults | options))


def targets(*belows: str, out: str = "out", **options: Any) -> list[str]:
    return [str(job.target) for job in jobs(photographs(*belows), out, **options)]


class TestTargets:
    def test_places_are_kept_in_a_folder(self) -> None:
        assert targets("a.jpg", "1999/b.c.tif") == ["out/a.png", "out/1999/b.c.png"]

    @pytest.mark.parametrize(
        ("format", "suffix"),
        [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp"), ("tiff", ".tif")],
    )
    def test_format(self, format: str, suffix: str) -> None:
        assert targets("a.bmp", format=format) == [f"out/a{suffix}"]

    @pytest.mark.parametrize("name", ["new.jpg", "far/new.JPEG", "new.webp", "new.tiff", "new.png"])
    def test_one_file(self, name: str) -> None:
        assert targets("a.bmp", out=name) == [name]

    def test_format_may_agree_with_the_name(self) -> None:
        assert targets("a.bmp", out="new.jpeg", format="jpeg") == ["new.jpeg"]

    def test_folder_that_looks_like_a_file(self) -> None:
        Path("album.jpg").mkdir()
        assert targets("a.bmp", "b.bmp", out="album.jpg") == ["album.jpg/a.png", "album.jpg/b.png"]

    def test_folder_with_a_dot(self) -> None:
        assert targets("a.bmp", out="v1.2") == ["v1.2/a.png"]

    def test_side_by_side(self) -> None:
        (job,) = jobs(photographs("a.bmp"), side_by_side=True)
        assert job.sheet == Path("out/a_side_by_side.png")
        (job,) = jobs(photographs("a.bmp"), "new.jpg", side_by_side=True)
        assert job.sheet == Path("new_side_by_side.jpg")
        (job,) = jobs(photographs("a.bmp"))
        assert job.sheet is None


class TestRefusals:
    def refused(self, found: list[Found], out: str = "out", **options: Any) -> list[str]:
        with pytest.raises(DataError) as caught:
            jobs(found, out, **options)
        return str(caught.value).splitlines()

    def test_one_file_for_several(self) -> None:
        assert self.refused(photographs("a.jpg", "b.jpg"), "new.jpg") == [
            "--out new.jpg: is one file for 2 photographs; name a folder"
        ]

    def test_ending_and_format_differ(self) -> None:
        assert self.refused(photographs("a.jpg"), "new.jpg", format="png") == [
            "--out new.jpg: does not end as a png file; leave --format out"
        ]

    def test_ending_that_is_not_written(self) -> None:
        assert self.refused(photographs("a.jpg"), "new.gif") == [
            (
                "--out new.gif: pictures are written as .png, .jpg, .jpeg, .webp, .tif, .tiff; "
                "take one of these endings, or name a folder"
            )
        ]

    def test_two_become_one(self) -> None:
        assert self.refused(photographs("a.jpg", "a.tif")) == [
            "in/a.jpg and in/a.tif: both become out/a.png; colour them one at a time"
        ]

    def test_side_by_side_of_one_is_the_result_of_another(self) -> None:
        found = photographs("a.jpg", "a_side_by_side.jpg")
        assert len(jobs(found)) == 2
        assert self.refused(found, side_by_side=True) == [
            (
                "in/a.jpg and in/a_side_by_side.jpg: both become out/a_side_by_side.png; colour "
                "them one at a time"
            )
        ]

    def test_results_that_are_there(self) -> None:
        found = photographs("a.jpg", "b.jpg")
        Path("out").mkdir()
        Path("out/b.png").write_bytes(b"older")
        Path("out/a_side_by_side.png").symlink_to("nowhere")
        assert self.refused(found) == [
            "out/b.png: is there already; give --overwrite or another --out"
        ]
        assert len(self.refused(found, side_by_side=True)) == 2
        assert len(jobs(found, overwrite=True, side_by_side=True)) == 2

    def test_long_lists_are_cut(self) -> None:
        found = photographs(*(f"{number}.jpg" for number in range(30)))
        Path("out").mkdir()
        for number in range(30):
            Path(f"out/{number}.png").write_bytes(b"older")
        lines = self.refused(found)
        assert len(lines) == MOST_LINES + 1
        assert lines[-1] == "and 20 more like these"

    def test_result_is_a_folder(self) -> None:
        Path("out/a.png").mkdir(parents=True)
        assert self.refused(photographs("a.jpg"), overwrite=True) == [
            "out/a.png: is a folder; choose another --out"
        ]

    @pytest.mark.parametrize("link", [None, os.symlink, os.link])
    def test_photograph_is_never_replaced(self, link: Any) -> None:
        found = photographs("a.png")
        out = "in"
        if link is not None:
            out = "out"
            Path("out").mkdir()
            link(Path("in/a.png").resolve(), "out/a.png")
        assert self.refused(found, out, overwrite=True) == [
            f"{out}/a.png: is a photograph to colour, and would be replaced; choose another --out"
        ]

    def test_photograph_that_waits_is_not_replaced_either(self) -> None:
        found = photographs("a.jpg", "b.png")
        found[0] = Found(path=found[0].path, below=Path("b.jpg"))
        found[1] = Found(path=found[1].path, below=Path("c.png"))
        assert self.refused(found, "in", overwrite=True) == [
            "in/b.png: is a photograph to colour, and would be replaced; choose another --out"
        ]

    def test_out_is_a_file(self) -> None:
        Path("out").write_bytes(b"x")
        for out in ("out", "out/deeper", "out/new.jpg"):
            assert self.refused(photographs("a.jpg"), out) == [
                f"--out {out}: out is a file; choose another --out"
            ]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_out_may_not_be_written(self) -> None:
        Path("out").mkdir(mode=0o555)
        assert self.refused(photographs("a.jpg"), "out/deeper") == [
            "--out out/deeper: out may not be written to; choose another --out"
        ]
