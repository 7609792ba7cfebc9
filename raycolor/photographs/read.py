"""Photographs read right: any file that Pillow reads becomes upright sRGB pixels.

Colours are those of the embedded profile, turned into sRGB; a picture without one is taken as sRGB.
(A colour space that only a tag names, as EXIF's R03 or PNG's gAMA, is not looked at.) Grey of more
than 8 bits keeps its tones. Colours of more than 8 bits do not: Pillow cuts 16-bit RGB files to 8.
Axis letters: h height, w width.
"""

from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from raycolor.errors import DataError
from raycolor.photographs.exif import kept_exif, upright
from raycolor.photographs.guard import Unreadable, pillow_faults, quiet_pillow
from raycolor.photographs.pixels import ProfileUse, over_white, read_pixels

Opened = BytesIO | BufferedReader

MOST_PIXELS = 250_000_000
"""Pixels of the largest picture that is read unless the caller says otherwise."""
NO_FRAMES = {"MPO", "PSD"}
"""Formats that keep previews and layers, not further pictures, beside the whole one."""
DRAWINGS = {"EPS", "WMF"}
"""Formats that Pillow hands to another program; a drawing is no photograph anyway."""
NEW_SUBFILE_TYPE, DNG_VERSION = 0x00FE, 0xC612
"""Tags of TIFF files whose first picture may be a thumbnail."""
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypmsf1", "a HEIF picture"),
    (4, b"ftypcrx", "a camera raw file"),
    (4, b"ftyp", "a video"),
    (0, b"FUJIFILMCCD-RAW", "a camera raw file"),
    (0, b"IIRO", "a camera raw file"),
    (0, b"IIU\0", "a camera raw file"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML document"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)
"""Beginnings of files that people take for photographs, and that Pillow does not read."""


class TooManyPixels(DataError):  # noqa: N818  (it names what is wrong)
    """A picture is larger than the caller allows; nothing of it was decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One picture, decoded."""

    rgb_u8: UInt8[np.ndarray, "h w 3"]
    """sRGB, upright; the three channels are equal where the file is grey."""
    alpha_u8: UInt8[np.ndarray, "h w"] | None
    """Opacity, 255 for opaque; None if the whole picture is opaque."""
    gray_u16: UInt16[np.ndarray, "h w"] | None
    """The same tones with sRGB's curve and 16 bits, where the file is grey of more than 8 bits."""
    frames: int
    """Pictures in the file; this is the first. More than 1 in animations and files of pages."""
    format: str
    """Pillow's name: `JPEG`, `PNG`, `TIFF`, ..."""
    size: tuple[int, int]
    """Width and height in the file: before it was reduced, and for most formats before turning."""
    profile: ProfileUse
    """Whether colours come from an embedded profile. An `unusable` one is damaged, or for pixels of
    another kind, and colours were taken as sRGB."""
    exif: bytes
    """EXIF data that stay true for other pixels (date, camera, author, place); may be empty."""


def read_photograph(
    source: Path | Opened,
    *,
    name: str,
    most_pixels: int = MOST_PIXELS,
    reduce_to: int | None = None,
    on_white: bool = True,
) -> Photograph:
    """Read a photograph. Several threads may do so at once.

    Args:
        source: a file, or its bytes, open and seekable.
        name: what messages call it.
        most_pixels: larger pictures are refused before they are decoded.
        reduce_to: the short side that is wanted, in pixels. A JPEG is decoded at 1/2, 1/4 or 1/8 if
            its short side stays at least this long, which is several times faster; pictures of
            other formats come whole.
        on_white: lay what is transparent over white; otherwise its colours are those of the file,
            even where nothing shows.

    Raises:
        TooManyPixels: it is larger than `most_pixels`.
        DataError: no such file, no picture, a format that is not read, or a damaged file.
    """
    if not isinstance(source, Path):
        return _read(source, name, most_pixels, reduce_to, on_white)
    try:
        if source.exists() and not source.is_file():
            kind = "a folder" if source.is_dir() else "a device"
            raise DataError(f"{name}: is {kind}; name a photograph")
        file = source.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such photograph") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be opened ({error.strerror})") from error
    with file:
        return _read(file, name, most_pixels, reduce_to, on_white)


def _read(
    file: Opened, name: str, most_pixels: int, reduce_to: int | None, on_white: bool
) -> Photograph:
    kind = "picture"
    try:
        with quiet_pillow():
            opened = _open(file, name)
            kind, size = f"{opened.format} file", opened.size
            _check(opened, name, most_pixels)
            with pillow_faults():
                if reduce_to is not None:
                    opened.draft(None, (reduce_to, reduce_to))
                opened.load()
            # Icons tell their true size only now.
            _check(opened, name, most_pixels)
            exif = kept_exif(opened)
            pixels = read_pixels(
                upright(_adobe(opened)),
                white=2 ** _tag(opened, ExifTags.Base.BitsPerSample, 16) - 1,
                inverted=_tag(opened, ExifTags.Base.PhotometricInterpretation, 1) == 0,
                unsigned=_tag(opened, ExifTags.Base.SampleFormat, 2) == 1,
            )
            frames = _frames(opened)
    except Unreadable as error:
        raise DataError(
            f"{name}: this {kind} is damaged or unusual ({error}); take another copy, or convert "
            "it to JPEG or PNG"
        ) from error
    if on_white:
        over_white(pixels)
    return Photograph(
        rgb_u8=pixels.rgb_u8,
        alpha_u8=pixels.alpha_u8,
        gray_u16=pixels.gray_u16,
        frames=frames,
        format=str(opened.format),
        size=size,
        profile=pixels.profile,
        exif=exif,
    )


def _open(file: Opened, name: str) -> Image.Image:
    """Read a picture's header.

    Raises:
        Unreadable: Pillow fails on it.
        DataError: it is no picture, or of a format that is not read.
    """
    with pillow_faults():
        start = file.read(16)
        file.seek(0)
    if not start:
        raise DataError(f"{name}: the file is empty; take another copy")
    with pillow_faults():
        try:
            return Image.open(file)
        except UnidentifiedImageError as error:
            unknown = error
    found = [
        what for offset, mark, what in SIGNATURES if start[offset : offset + len(mark)] == mark
    ]
    reason = f"is {found[0]}, which is not read here" if found else "no picture that can be read"
    raise DataError(f"{name}: {reason}; convert it to JPEG or PNG") from unknown


def _check(opened: Image.Image, name: str, most_pixels: int) -> None:
    """Refuse what must not, or cannot, be decoded.

    Raises:
        TooManyPixels: it is larger than allowed.
        DataError: it is no photograph, or only a thumbnail of one.
    """
    width, height = opened.size
    if width * height > most_pixels:
        raise TooManyPixels(
            f"{name}: {width} x {height} pixels are {width * height / 1e6:.0f} megapixels, but at "
            f"most {most_pixels / 1e6:g} are read; make a smaller copy, or allow more"
        )
    if opened.format in DRAWINGS:
        raise DataError(
            f"{name}: is a drawing ({opened.format}), which is not read here; convert it to PNG"
        )
    if not isinstance(opened, TiffImagePlugin.TiffImageFile):
        return
    if DNG_VERSION in opened.tag_v2 or _tag(opened, NEW_SUBFILE_TYPE, 0) & 1:
        raise DataError(
            f"{name}: is a camera raw file, of which only a thumbnail is read here; convert it to "
            "JPEG or PNG"
        )


def _tag(opened: Image.Image, tag: int, default: int) -> int:
    """Return a tag of a TIFF file, the first of several values; the default for other files."""
    if not isinstance(opened, TiffImagePlugin.TiffImageFile):
        return default
    with pillow_faults():
        value = opened.tag_v2.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)


def _adobe(opened: Image.Image) -> Image.Image:
    """Invert the CMYK JPEGs that Adobe's marker is missing from.

    Adobe's are stored inverted, and Pillow takes all for Adobe's.
    """
    if opened.mode != "CMYK" or opened.format not in {"JPEG", "MPO"} or "adobe" in opened.info:
        return opened
    with pillow_faults():
        return opened.point([255 - level for level in range(256)] * 4)


def _frames(opened: Image.Image) -> int:
    """Count the pictures in a file; 1 if what follows the first is damaged."""
    if opened.format in NO_FRAMES:
        return 1
    try:
        with pillow_faults():
            return int(getattr(opened, "n_frames", 1))
    except Unreadable:
        return 1
