"""The command line: what is named is coloured, what is wrong is said, with the right exit code."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raycolor import colorize
from tests.generators import keep_generator


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two photographs, a file that is none, and a study."""
    monkeypatch.chdir(tmp_path)
    # pytest's own handlers stay.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    Path("album/1999").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("album/a.jpg")
    Image.fromarray(pixels[..., 0]).save("album/1999/b.tif")
    Path("album/notes.txt").write_text("no picture")
    keep_generator(Path("results/study/best/generator.safetensors"))
    keep_generator(Path("results/study/checkpoints/000_scratch/best_64.safetensors"))


def run(monkeypatch: pytest.MonkeyPatch, *words: str, study: str = "results/study") -> int:
    monkeypatch.setattr(sys, "argv", ["raycolor-colorize", *words, "--from", study])
    with pytest.raises(SystemExit) as caught:
        colorize.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def results(folder: str = "colorized") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*"))


class TestColouring:
    def test_folder(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(monkeypatch, "album") == 0
        assert results() == ["1999/b.png", "a.png"]
        written = capsys.readouterr()
        assert written.out.splitlines() == [
            "album/a.jpg -> colorized/a.png",
            "album/1999/b.tif -> colorized/1999/b.png",
            "2 of 2 photographs coloured.",
        ]
        assert written.err == ""
        with Image.open("colorized/a.png") as opened:
            assert opened.size == (40, 30)

    def test_pattern_format_and_trial(self, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ("album/**/*.tif", "--format", "jpeg", "--out", "new")
        assert run(monkeypatch, *words, study="results/study:0") == 0
        assert results("new") == ["1999/b.jpg"]

    def test_one_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ("album/a.jpg", "--out", "far/new.webp", "--side-by-side", "--size", "16")
        assert run(monkeypatch, *words) == 0
        assert results("far") == ["new.webp", "new_side_by_side.webp"]

    def test_again(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(monkeypatch, "album/a.jpg") == 0
        before = Path("colorized/a.png").stat()
        assert run(monkeypatch, "album/a.jpg") == 2
        assert capsys.readouterr().err == (
            "colorized/a.png: is there already; give --overwrite or another --out\n"
        )
        assert Path("colorized/a.png").stat() == before
        assert run(monkeypatch, "album/a.jpg", "--overwrite") == 0
        assert Path("colorized/a.png").stat() != before

    def test_one_of_several_fails(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(monkeypatch, "album/notes.txt", "album") == 1
        assert results() == ["1999/b.png", "a.png"]
        assert capsys.readouterr().err == (
            "album/notes.txt: no picture that can be read; convert it to JPEG or PNG\n"
        )

    def test_results_are_not_coloured_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert run(monkeypatch, "album", "--out", "album/new") == 0
        assert run(monkeypatch, "album", "--out", "album/new", "--overwrite") == 0
        assert results("album/new") == ["1999/b.png", "a.png"]


class TestRefusing:
    def test_everything_at_once_and_before_torch(self) -> None:
        code = (
            "import sys\n"
            "from raycolor.colorize import main\n"
            "try:\n    main()\n"
            "finally:\n    print('torch' in sys.modules)\n"
        )
        words = ["absent.jpg", "--from", "results/studi", "--size", "9", "--most-megapixels", "0"]
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            env=os.environ | {"PYTHONPATH": str(Path(colorize.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stdout == "False\n"
        assert done.stderr.splitlines() == [
            "--size 9: give a number of pixels from 16 to 2048",
            "--most-megapixels 0: give a number above 0, as 500",
            "absent.jpg: there is no such photograph or folder",
            "--from results/studi: there is no such folder; name a study, as results/quickstart",
        ]

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ((), "no photograph given; name files, folders or patterns"),
            (("results",), "results: no photograph in this folder or those in it"),
            (("album", "--out", "new.jpg"), "--out new.jpg: is one file for 2 photographs"),
            (("album/a.jpg", "--size", "5000"), "--size 5000: give a number of pixels from 16"),
            (("album/a.jpg", "--most-megapixels", "nan"), "--most-megapixels nan: give a number"),
        ],
    )
    def test_what_cannot_begin(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        words: tuple[str, ...],
        text: str,
    ) -> None:
        assert run(monkeypatch, *words) == 2
        assert capsys.readouterr().err.startswith(text)
        assert not Path("colorized").exists()

    def test_damaged_generator(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("results/study/best/generator.safetensors").write_bytes(b"torn")
        assert run(monkeypatch, "album") == 2
        assert "best/generator.safetensors: cannot be read as a checkpoint" in (
            capsys.readouterr().err
        )

    def test_unknown_format(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert run(monkeypatch, "album", "--format", "gif") == 2


def test_interrupted_leaves_no_half_file() -> None:
    # Noise takes PNG long to write.
    pixels = np.random.default_rng(0).integers(0, 256, (4000, 4000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("album/a.bmp")
    process = subprocess.Popen(
        [sys.executable, "-m", "raycolor.colorize", "album/a.bmp", "--from", "results/study"],
        env=os.environ | {"PYTHONPATH": str(Path(colorize.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1200):
            if list(Path().glob("colorized/.*.part")) or process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert (out, err) == ("", "Interrupted.\n")
    assert results() == []


def test_help_names_the_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["raycolor-colorize", "--help"])
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as caught:
        colorize.main()
    assert caught.value.code == 0
    text = capsys.readouterr().out
    flags = set(re.findall(r"--[a-z-]*[a-z]", text))
    assert flags == {
        "--help",
        "--from",
        "--out",
        "--format",
        "--size",
        "--side-by-side",
        "--overwrite",
        "--device",
        "--most-megapixels",
    }
