"""Photographs of every kind go through, keep their size, and fail one at a time."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from rich.console import Console
from torch import nn

from raycolor.coloring.colorizer import Colorizer
from raycolor.coloring.gamut import lightness, lightness_of_gray
from raycolor.coloring.jobs import Job
from raycolor.coloring.run import color_all, color_one
from raycolor.errors import DataError
from raycolor.photographs.read import read_photograph
from tests import icc
from tests.generators import Wash, keep_generator

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]


def colorizer(network: nn.Module | None = None) -> Colorizer:
    return Colorizer(network or Wash(), size=32, stride=8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture(height: int, width: int, mode: str) -> Image.Image:
    source = Image.fromarray(noise(height, width))
    match mode:
        case "I;16":
            return Image.fromarray(noise(height, width)[..., 0].astype(np.uint16) * 257)
        case "I":
            return Image.fromarray(noise(height, width)[..., 0].astype(np.int32) * 257)
        case "RGBA":
            return Image.fromarray(np.dstack([noise(height, width), noise(height, width)[..., 0]]))
        case _:
            return source.convert(mode)


def job(folder: Path, name: str = "old.png", target: str = "new.png", sheet: bool = False) -> Job:
    return Job(
        source=folder / name,
        target=folder / "out" / target,
        sheet=folder / "out" / "sheet.png" if sheet else None,
    )


def run(one: Job, **options: Any) -> str:
    return color_one(one, colorizer(), most_megapixels=options.get("most_megapixels", 10.0))


def gray_part(path: Path) -> torch.Tensor:
    return lightness(read_photograph(path, name="part", on_white=False).rgb_u8)


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40))
    | st.sampled_from([(1, 1), (1, 5000), (5000, 1), (2, 3000)]),
    mode=st.sampled_from(MODES),
    orientation=st.integers(1, 8),
    target=st.sampled_from(["new.png", "new.jpg", "new.webp", "new.tif"]),
    sheet=st.booleans(),
)
def test_every_photograph_keeps_its_size(
    tmp_path_factory: pytest.TempPathFactory,
    sides: tuple[int, int],
    mode: str,
    orientation: int,
    target: str,
    sheet: bool,
) -> None:
    folder = tmp_path_factory.mktemp("some")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture(*sides, mode).save(folder / "old.tif", exif=exif)
    assert run(job(folder, "old.tif", target, sheet)) == ""
    before = read_photograph(folder / "old.tif", name="old", on_white=False)
    with Image.open(folder / "out" / target) as opened:
        height, width = sides if orientation <= 4 else sides[::-1]
        assert opened.size == (width, height)
        assert ExifTags.Base.Orientation not in opened.getexif()
        has_alpha = before.alpha_u8 is not None and target != "new.jpg"
        assert opened.mode == ("RGBA" if has_alpha else "RGB")
    if target in ("new.png", "new.tif"):
        after = read_photograph(folder / "out" / target, name="new", on_white=False)
        difference = lightness(after.rgb_u8) - (
            lightness(before.rgb_u8)
            if before.gray_u16 is None
            else lightness_of_gray(before.gray_u16)
        )
        assert difference.abs().max() < 0.3
        if has_alpha:
            np.testing.assert_array_equal(after.alpha_u8, before.alpha_u8)


class TestWhatIsKept:
    def test_transparency_is_laid_over_white_in_a_jpeg(self, tmp_path: Path) -> None:
        pixels = noise(40, 40)
        alpha = np.zeros((40, 40), np.uint8)
        Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "old.png")
        run(job(tmp_path, target="new.jpg"))
        with Image.open(tmp_path / "out" / "new.jpg") as opened:
            assert (np.asarray(opened) == 255).all()

    def test_date_and_camera(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Model] = "Box 2"
        exif[ExifTags.Base.Orientation] = 6
        Image.fromarray(noise(20, 30)).save(tmp_path / "old.jpg", exif=exif)
        for target in ("new.png", "new.jpg", "new.webp", "new.tif"):
            run(job(tmp_path, "old.jpg", target))
            with Image.open(tmp_path / "out" / target) as opened:
                assert opened.size == (20, 30)
                assert opened.getexif()[ExifTags.Base.Model] == "Box 2"

    def test_colors_of_a_profile_become_srgb(self, tmp_path: Path) -> None:
        # Linear levels: without the profile the picture would be far too dark.
        levels = np.full((20, 20), 55, np.uint8)
        Image.fromarray(levels).save(tmp_path / "old.png", icc_profile=icc.gray_profile(gamma=1.0))
        run(job(tmp_path))
        expected = lightness(np.full((20, 20, 3), 128, np.uint8))
        assert (gray_part(tmp_path / "out" / "new.png") - expected).abs().max() < 0.5
        with Image.open(tmp_path / "out" / "new.png") as opened:
            assert "icc_profile" not in opened.info

    def test_side_by_side(self, tmp_path: Path) -> None:
        Image.fromarray(noise(20, 30)).save(tmp_path / "old.png")
        run(job(tmp_path, sheet=True))
        with Image.open(tmp_path / "out" / "sheet.png") as opened:
            sheet = np.asarray(opened)
        with Image.open(tmp_path / "out" / "new.png") as opened:
            np.testing.assert_array_equal(sheet[:, 38:68], opened)
        np.testing.assert_array_equal(sheet[:, 76:], noise(20, 30))


class TestRemarks:
    def test_animation(self, tmp_path: Path) -> None:
        first, second = Image.fromarray(noise(9, 9)), Image.new("RGB", (9, 9))
        first.save(tmp_path / "old.gif", save_all=True, append_images=[second])
        assert run(job(tmp_path, "old.gif")) == "the first of 2 pictures in the file"

    def test_profile(self, tmp_path: Path) -> None:
        Image.fromarray(noise(9, 9)).save(tmp_path / "old.png", icc_profile=b"no profile")
        assert run(job(tmp_path)) == (
            "its colour profile is damaged or of another kind, and was not used"
        )


class _Hungry(nn.Module):
    def forward(self, l_unit: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


class TestFailures:
    def test_too_large(self, tmp_path: Path) -> None:
        Image.fromarray(noise(40, 50)).save(tmp_path / "old.png")
        with pytest.raises(DataError, match=r"old\.png: 50 x 40 .* or allow more: --most-megapix"):
            run(job(tmp_path), most_megapixels=0.0019)
        assert run(job(tmp_path), most_megapixels=0.002) == ""

    def test_sides_beyond_the_format(self, tmp_path: Path) -> None:
        Image.fromarray(np.zeros((1, 17_000), np.uint8)).save(tmp_path / "old.png")
        with pytest.raises(DataError, match=r"new\.webp: a webp file holds at most 16383 pixels"):
            run(job(tmp_path, target="new.webp"))

    def test_memory_is_short(self, tmp_path: Path) -> None:
        Image.fromarray(noise(40, 50)).save(tmp_path / "old.png")
        with pytest.raises(DataError, match=r"old\.png: memory is short for it \(the cpu has too"):
            color_one(job(tmp_path), colorizer(_Hungry()), most_megapixels=10.0)
        assert not (tmp_path / "out").exists()

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), format=st.sampled_from(["png", "jpeg", "tiff", "webp", "gif", "bmp"]))
    def test_damaged_files_make_a_sentence_or_a_picture(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, format: str
    ) -> None:
        folder = tmp_path_factory.mktemp("some")
        buffer = io.BytesIO()
        Image.fromarray(noise(16, 16)).save(buffer, format)
        contents = bytearray(buffer.getvalue())
        for _ in range(data.draw(st.integers(1, 6))):
            contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
        (folder / "old.x").write_bytes(contents[: data.draw(st.integers(0, len(contents)))])
        written = io.StringIO()
        failed = color_all(
            [job(folder, "old.x")], colorizer(), Console(file=written), most_megapixels=1.0
        )
        assert (folder / "out" / "new.png").exists() == (failed == 0)
        assert list((folder).glob("out/.*")) == []


class TestTelling:
    """What a user sees."""

    @pytest.fixture
    def jobs(self, tmp_path: Path) -> list[Job]:
        for name in ("a", "b", "c"):
            Image.fromarray(noise(9, 9)).save(tmp_path / f"{name}.png")
        (tmp_path / "b.png").write_text("no picture")
        # A text that rich would take for markup.
        (tmp_path / "c.png").rename(tmp_path / "c [bold].png")
        return [job(tmp_path, f"{name}.png", f"{name}.png") for name in ("a", "b", "c [bold]")]

    def test_lines(
        self, jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        written = io.StringIO()
        console = Console(file=written, soft_wrap=True, highlight=False)
        assert color_all(jobs, colorizer(), console, most_megapixels=1.0) == 1
        assert written.getvalue().splitlines() == [
            f"{tmp_path}/a.png -> {tmp_path}/out/a.png",
            f"{tmp_path}/c [bold].png -> {tmp_path}/out/c [bold].png",
            "2 of 3 photographs coloured, 1 not.",
        ]
        assert capsys.readouterr().err == (
            f"{tmp_path}/b.png: no picture that can be read; convert it to JPEG or PNG\n"
        )

    def test_one_photograph_needs_no_sum(self, jobs: list[Job]) -> None:
        written = io.StringIO()
        console = Console(file=written, soft_wrap=True, highlight=False)
        assert color_all(jobs[:1], colorizer(), console, most_megapixels=1.0) == 0
        assert len(written.getvalue().splitlines()) == 1

    @pytest.mark.parametrize("width", [60, 100])
    def test_bar(
        self,
        jobs: list[Job],
        tmp_path: Path,
        width: int,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        written = io.StringIO()
        console = Console(file=written, force_terminal=True, width=width, highlight=False)
        assert color_all(jobs, colorizer(), console, most_megapixels=1.0) == 1
        text = written.getvalue()
        assert "3/3" in text
        assert "0:00" in text
        assert "\x1b[3" not in text  # no colours
        assert text.endswith("2 of 3 photographs coloured, 1 not.\n")
        for line in text.replace("\r", "\n").splitlines():
            assert len(line.replace("\x1b[2K", "").replace("\x1b[?25l", "")) <= width + 8
        assert capsys.readouterr().err.startswith(f"{tmp_path}/b.png: no picture")


MEASURE = """
import resource, sys
from pathlib import Path
from PIL import Image
from raycolor.coloring.jobs import Job
from raycolor.coloring.run import color_one
from raycolor.coloring.colorizer import load_colorizer

colorizer = load_colorizer(Path("best_64.safetensors"))
peaks = []
for name in ("small", "large"):
    color_one(Job(source=Path(f"{name}.jpg"), target=Path(f"{name}_new.jpg"), sheet=None),
              colorizer, most_megapixels=100.0)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(peaks[1] - peaks[0])
"""


@pytest.mark.slow
def test_memory_is_a_small_multiple_of_the_picture(tmp_path: Path) -> None:
    keep_generator(tmp_path / "best_64.safetensors")
    sides = {"small": (500, 500), "large": (4000, 4000)}
    for name, (height, width) in sides.items():
        Image.fromarray(noise(50, 60)).resize((width, height)).save(tmp_path / f"{name}.jpg")
    more = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    # Three bytes of it are the picture, four Pillow's copy of it.
    assert int(more.stdout) / (4000 * 4000) < 10
