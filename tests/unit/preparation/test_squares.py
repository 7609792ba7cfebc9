import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from raycolor.preparation.skips import Reason, Skip
from raycolor.preparation.squares import Fit, Square, make_square
from tests.unit.preparation import making
from tests.unit.preparation.making import encoded, photo, recipe

ORIENTATION = 0x0112
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored under each orientation."""


def made(
    content: bytes | Path, size: int = 32, fit: Fit = "crop", color: float = 2.0
) -> Square | Skip:
    return make_square(content, "a.jpg", recipe(size, fit, color))


def pixels(
    content: bytes | Path, size: int = 32, fit: Fit = "crop", color: float = 2.0
) -> np.ndarray:
    square = made(content, size, fit, color)
    assert isinstance(square, Square), square
    return np.frombuffer(square.pixels, np.uint8).reshape(size, size, 3)


def differ(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def test_picture_of_the_size_is_taken_as_it_is() -> None:
    picture = photo(0, 32, 32)
    np.testing.assert_array_equal(pixels(encoded(picture)), np.asarray(picture))


@pytest.mark.parametrize(("width", "height"), [(90, 40), (40, 90)])
def test_crop_cuts_the_middle_out(width: int, height: int) -> None:
    picture = photo(1, width, height)
    left, top = (width - 40) // 2, (height - 40) // 2
    middle = picture.crop((left, top, left + 40, top + 40))
    expected = np.asarray(middle.resize((20, 20), Image.Resampling.LANCZOS))
    # Lanczos looks beyond the border of the cut.
    assert differ(pixels(encoded(picture), 20)[2:-2, 2:-2], expected[2:-2, 2:-2]) < 0.5


def test_stretch_keeps_the_whole() -> None:
    picture = photo(1, 90, 40)
    expected = np.asarray(picture.resize((20, 20), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(pixels(encoded(picture), 20, "stretch"), expected)


def test_fine_patterns_do_not_make_coarse_ones() -> None:
    fine = np.zeros((300, 300, 3), np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = 255
    grays = pixels(encoded(Image.fromarray(fine)), 32, color=0.0)[2:-2, 2:-2]
    assert grays.std() < 3
    assert grays.mean() == pytest.approx(127.5, abs=2)


def test_quick_decoding_is_not_seen() -> None:
    picture = photo(2, 1600, 1200)
    rng = np.random.default_rng(0)
    detail = rng.integers(-20, 20, (150, 200)).repeat(8, 0).repeat(8, 1)[..., None]
    picture = Image.fromarray((np.asarray(picture) + detail).clip(0, 255).astype(np.uint8))
    whole = pixels(encoded(picture))
    assert differ(pixels(encoded(picture, "JPEG", quality=95)), whole) < 1.0


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_pictures_come_out_upright(form: str, orientation: int) -> None:
    picture = photo(3, 64, 48)
    turn = STORED_AS[orientation]
    stored = picture if turn is None else picture.transpose(turn)
    content = encoded(stored, form, exif=exif(orientation), quality=95)
    assert differ(pixels(content), pixels(encoded(picture))) < 2.5
    wrong = pixels(encoded(picture.transpose(Image.Transpose.ROTATE_90)))
    assert differ(pixels(content), wrong) > 10


@pytest.mark.parametrize(
    ("space", "gamma"),
    [(making.ADOBE_RGB, 563 / 256), (making.DISPLAY_P3, 2.2), (making.SRGB, 2.2)],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_colors_of_wide_spaces_come_out_right(form: str, space: Any, gamma: float) -> None:
    picture = photo(4, 64, 64)
    stored = making.in_space(picture, space, gamma)
    options = {"icc_profile": making.profile(space, gamma), "quality": 98}
    if form == "JPEG":
        options["subsampling"] = 0
    truth = pixels(encoded(picture))
    assert differ(pixels(encoded(stored, form, **options)), truth) < 2.5
    if space != making.SRGB:
        assert differ(pixels(encoded(stored)), truth) > 4


def test_modes_come_out_right() -> None:
    picture = photo(5, 32, 32)
    truth = np.asarray(picture)
    clear = picture.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 16, 32))
    palette = picture.quantize(256)
    assert differ(pixels(encoded(picture.convert("RGBA"))), truth) == 0
    assert differ(pixels(encoded(palette)), truth) < 8
    assert differ(pixels(encoded(picture.convert("CMYK"), "TIFF")), truth) < 8
    over_white = pixels(encoded(clear))
    assert (over_white[:, :16] == 255).all()
    np.testing.assert_array_equal(over_white[:, 16:], truth[:, 16:])


def test_gray_of_16_bits_keeps_its_tones() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    rows = pixels(encoded(Image.fromarray(ramp)), color=0.0)
    assert np.abs(rows[..., 0].astype(float) - ramp / 257).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(31, 200), (200, 31), (1, 1), (1, 5000)])
def test_too_small_is_told_with_both_sizes(width: int, height: int) -> None:
    skip = made(encoded(Image.new("RGB", (width, height), "red")))
    assert skip == Skip("too small", f"short side {min(width, height)} pixels, 32 are needed")


def test_size_is_that_before_quick_decoding() -> None:
    square = made(encoded(photo(6, 800, 700), "JPEG"))
    assert isinstance(square, Square)
    assert square.short_side == 700


def test_gray_and_sepia_are_left_out_unless_wanted() -> None:
    gray = encoded(photo(7).convert("L"), "JPEG")
    skip = made(gray)
    assert skip == Skip("grey or toned", "colour 0.00, 2 is the least")
    assert pixels(gray, color=0.0).std() > 5
    sepia = np.asarray(photo(7).convert("L"))[..., None] * np.array([1.0, 0.87, 0.68])
    skip = made(encoded(Image.fromarray(sepia.astype(np.uint8))))
    assert isinstance(skip, Skip)
    assert skip.reason == "grey or toned"


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_animations_and_pages_are_left_out(form: str) -> None:
    others = [photo(i) for i in range(1, 4)]
    skip = made(encoded(photo(0), form, save_all=True, append_images=others))
    assert skip == Skip("animated", "4 frames or pages")


def test_photograph_with_a_preview_behind_is_used() -> None:
    preview = photo(8, 48, 40).resize((24, 20))
    content = encoded(photo(8), "MPO", save_all=True, append_images=[preview], quality=95)
    assert differ(pixels(content), pixels(encoded(photo(8)))) < 2.5


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG file that claims a size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        length, check = struct.pack(">I", len(content)), zlib.crc32(name + content)
        return length + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


JPEG = encoded(photo(9, 320, 240), "JPEG")
HOSTILE: dict[str, tuple[bytes, Reason]] = {
    "nothing": (b"", "no picture"),
    "text": (b"just some words\n" * 50, "no picture"),
    "zeros": (bytes(5000), "no picture"),
    "a page": (b"<!DOCTYPE html><html>", "no picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "no picture"),
    "cut in half": (JPEG[: len(JPEG) // 2], "damaged"),
    "cut at the end": (JPEG[:-200], "damaged"),
    "beginning only": (JPEG[:4], "no picture"),
    "bomb": (png(60_000, 60_000), "too large"),
    "wide bomb": (png(2**31 - 1, 64), "too large"),
    "missing rows": (png(400, 400, bytes(1200)), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_left_out(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    skip = made(content)
    assert isinstance(skip, Skip)
    assert skip.reason == reason
    assert "a.jpg" not in skip.detail
    (tmp_path / "a.jpg").write_bytes(content)
    assert made(tmp_path / "a.jpg") == skip


def test_vanished_file_is_left_out(tmp_path: Path) -> None:
    assert made(tmp_path / "a.jpg") == Skip("unreadable", "there is no such photograph")


def stored(picture: Image.Image, form: str, mode: str, orientation: int) -> bytes | None:
    """Store a picture in a format and a mode; None if the format does not have the mode."""
    try:
        gray = picture.convert("L")
        changed = gray.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)
        return encoded(changed, form, exif=exif(orientation))
    except (OSError, ValueError, KeyError):
        return None


FORMS = ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "JPEG2000", "AVIF"]
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]
POSSIBLE = [(form, mode) for form in FORMS for mode in MODES if stored(photo(0), form, mode, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_short_memory_is_told(tmp_path: Path) -> None:
    """A picture of 600 MB where 300 MB are left."""
    (tmp_path / "a.png").write_bytes(png(20_000, 10_000, bytes(60_001)))
    code = """
import resource, sys
from pathlib import Path
from raycolor.preparation.squares import Recipe, make_square
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, -1))
print(make_square(Path(sys.argv[1]), "a.png", Recipe(size=32, fit="crop", least_color=2.0)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "too large: memory is short for it; take fewer --workers\n"


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    form_and_mode=st.sampled_from(POSSIBLE),
    orientation=st.integers(0, 9),
    fit=st.sampled_from(["crop", "stretch"]),
    size=st.integers(16, 40),
    color=st.sampled_from([0.0, 2.0]),
    kept=st.sampled_from([1.0, 1.0, 0.99, 0.7, 0.2]),
)
def test_every_file_is_a_square_or_has_a_reason(
    width: int,
    height: int,
    form_and_mode: tuple[str, str],
    orientation: int,
    fit: Fit,
    size: int,
    color: float,
    kept: float,
) -> None:
    content = stored(photo(width * height, width, height), *form_and_mode, orientation)
    assume(content is not None)
    assert content is not None
    whole = kept == 1.0
    square = make_square(content[: int(kept * len(content))], "a.jpg", recipe(size, fit, color))
    if isinstance(square, Square):
        assert len(square.pixels) == size * size * 3
        assert square.short_side == min(width, height)
    elif whole and min(width, height) >= size:
        assert square.reason == "grey or toned"
        assert color > 0
    elif whole:
        assert square.reason == "too small"
