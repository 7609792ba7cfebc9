"""Which picture of a file is read, how large, and what is refused with a sentence."""

import logging
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from raycolor.errors import DataError
from raycolor.photographs.read import TooManyPixels, read_photograph
from tests.unit.photographs.encoding import (
    AVIF,
    color_of,
    encoded,
    noise,
    plain,
    read,
    reread,
    smooth,
)


class TestFrames:
    @pytest.mark.parametrize("format", [*("GIF", "PNG", "WEBP", "TIFF"), *AVIF])
    def test_first_of_several(self, format: str) -> None:
        options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
        red, blue = plain("red"), plain("blue")
        photograph = reread(red, format, save_all=True, append_images=[blue, red], **options)
        assert photograph.frames == 3
        np.testing.assert_allclose(color_of(photograph), [255, 0, 0], atol=3)

    def test_preview_is_no_frame(self) -> None:
        photograph = reread(plain("red"), "MPO", save_all=True, append_images=[plain("blue")])
        assert photograph.format == "MPO"
        assert photograph.frames == 1

    def test_damaged_later_frame_does_not_lose_the_first(self) -> None:
        contents = encoded(
            Image.fromarray(noise()), "GIF", save_all=True, append_images=[plain("blue")]
        )
        first = encoded(Image.fromarray(noise()), "GIF")
        photograph = read(contents[: len(first) + 20])
        np.testing.assert_array_equal(photograph.rgb_u8, read(first).rgb_u8)


class TestReduction:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (50, (50, 75)),
            (51, (100, 150)),
            (100, (100, 150)),
            (101, (200, 300)),
            (200, (200, 300)),
            (201, (400, 600)),
            (400, (400, 600)),
            (1000, (400, 600)),
            (1, (50, 75)),
        ],
    )
    def test_short_side_is_never_below_the_wanted(
        self, wanted: int, expected: tuple[int, int]
    ) -> None:
        photograph = read(encoded(Image.fromarray(smooth(400, 600)), "JPEG"), reduce_to=wanted)
        assert photograph.rgb_u8.shape[:2] == expected
        assert photograph.size == (600, 400)

    def test_turned_and_gray(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 8
        contents = encoded(Image.fromarray(smooth(401, 600)).convert("L"), "JPEG", exif=exif)
        assert read(contents, reduce_to=101).rgb_u8.shape == (300, 201, 3)

    def test_other_formats_come_whole(self) -> None:
        contents = encoded(Image.fromarray(smooth(400, 600)), "PNG")
        assert read(contents, reduce_to=50).rgb_u8.shape == (400, 600, 3)


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"^old: there is no such photograph$"):
            read_photograph(tmp_path / "absent.jpg", name="old")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"^old: is a folder; name a photograph$"):
            read_photograph(tmp_path, name="old")

    def test_device(self) -> None:
        with pytest.raises(DataError, match=r"^old: is a device; name a photograph$"):
            read_photograph(Path("/dev/null"), name="old")

    def test_impossible_name(self) -> None:
        with pytest.raises(DataError, match=r"^old: cannot be opened \(File name too long\)$"):
            read_photograph(Path("x" * 5000), name="old")

    def test_file(self, tmp_path: Path) -> None:
        Image.fromarray(noise()).save(tmp_path / "some.png")
        photograph = read_photograph(tmp_path / "some.png", name="old")
        np.testing.assert_array_equal(photograph.rgb_u8, noise())

    @pytest.mark.parametrize(
        ("contents", "text"),
        [
            (b"", "the file is empty; take another copy"),
            (b"no picture", "no picture that can be read; convert it to JPEG or PNG"),
            (
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
                "is a HEIC picture, which is not read here; convert it to JPEG or PNG",
            ),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "is a HEIF picture"),
            (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "is a camera raw file"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video"),
            (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 20, "is a JPEG XL picture"),
            (b"%PDF-1.7\n%", "is a PDF document"),
            (b"<!DOCTYPE html><html>", "is a web page"),
            (b"IIU\0\x18\0\0\0" + b"\0" * 30, "is a camera raw file"),
        ],
    )
    def test_foreign_files_are_named(self, contents: bytes, text: str) -> None:
        with pytest.raises(DataError) as caught:
            read(contents)
        assert str(caught.value).startswith(f"old.jpg: {text}")

    def test_drawing_starts_no_other_program(self) -> None:
        with pytest.raises(DataError, match=r"is a drawing \(EPS\)"):
            read(encoded(Image.fromarray(noise()), "EPS"))

    @pytest.mark.parametrize("info", [{0xFE: 1}, {0xC612: b"\x01\x04\0\0"}])
    def test_camera_raw_is_not_taken_for_its_thumbnail(self, info: dict[int, Any]) -> None:
        with pytest.raises(DataError, match="camera raw file, of which only a thumbnail"):
            read(encoded(Image.fromarray(noise()), "TIFF", tiffinfo=info))

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", *AVIF])
    def test_cut_file(self, format: str) -> None:
        contents = encoded(Image.fromarray(noise(64, 64)), format)
        with pytest.raises(DataError, match=r"^old\.jpg: .*convert it to JPEG or PNG$"):
            read(contents[: len(contents) * 2 // 3])

    def test_too_many_pixels_are_not_decoded(self) -> None:
        # Only the header is whole: decoding would fail with another error.
        contents = encoded(Image.fromarray(np.zeros((1000, 2000), np.uint8)), "PNG")[:60]
        with pytest.raises(
            TooManyPixels,
            match=r"^old\.jpg: 2000 x 1000 pixels are 2 megapixels, but at most 1\.9 are read; "
            r"make a smaller copy, or allow more$",
        ):
            read(contents, most_pixels=1_900_000)

    def test_bound_is_included(self) -> None:
        contents = encoded(Image.fromarray(np.zeros((10, 20), np.uint8)), "PNG")
        assert read(contents, most_pixels=200).rgb_u8.shape == (10, 20, 3)

    def test_pillows_own_bound_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        contents = encoded(Image.fromarray(np.zeros((100, 200), np.uint8)), "PNG")
        for limit in (15_000, 5_000):  # a warning, an error
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
            assert read(contents).rgb_u8.shape == (100, 200, 3)
            assert limit == Image.MAX_IMAGE_PIXELS


def test_threads_leave_the_process_as_it_was() -> None:
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, logging.getLogger("PIL").propagate)
    contents = encoded(Image.fromarray(noise(200, 300)), "PNG")
    wrong = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(read(contents).rgb_u8, noise(200, 300)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert before == (
        list(warnings.filters),
        Image.MAX_IMAGE_PIXELS,
        logging.getLogger("PIL").propagate,
    )
