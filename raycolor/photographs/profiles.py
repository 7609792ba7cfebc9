"""Embedded colour profiles (ICC) to sRGB, by LittleCMS through Pillow."""

import io
import struct

import numpy as np
from jaxtyping import UInt16
from PIL import Image, ImageCms

from raycolor.photographs.guard import Unreadable, pillow_faults

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
"""As image editors do by default: whites meet whites, blacks meet blacks, colours stay."""
SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
"""Colour space that a profile must have, as ICC writes it, by mode of the picture."""


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture from the colours of its profile to sRGB.

    Args:
        picture: mode RGB, RGBA (alpha stays) or CMYK.
        profile: an ICC profile.

    Returns:
        Mode RGB, or RGBA for RGBA. A picture whose profile is sRGB up to rounding is returned as it
        is; other RGB pictures are changed in place.

    Raises:
        Unreadable: the profile is damaged, or not for this mode.
    """
    source = _opened(profile, SPACES[picture.mode])
    with pillow_faults():
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        if picture.mode == "CMYK":
            return _applied(picture, source, target, "RGB")
        probe = _probe(picture.mode)
        moved = np.asarray(_applied(probe, source, target, picture.mode), np.int16)
        if np.abs(moved - np.asarray(probe, np.int16)).max() > 1:
            transform = ImageCms.buildTransform(
                source, target, picture.mode, picture.mode, INTENT, FLAGS
            )
            ImageCms.applyTransform(picture, transform, inPlace=True)
        return picture


def gray_levels(profile: bytes) -> UInt16[np.ndarray, "65536"]:
    """Tabulate what each 16-bit level of grey is in sRGB.

    Args:
        profile: for grey, or for RGB: grey files often carry that of the colours they come from.

    Raises:
        Unreadable: the profile is damaged, or for other pixels.
    """
    source = _opened(profile, "GRAY", "RGB ")
    rgb = source.profile.xcolor_space == "RGB "
    steps = np.arange(256 if rgb else 65536)
    # Pillow has no RGB of 16 bits: the levels between its 256 are interpolated.
    ramp = (
        Image.fromarray(np.repeat(steps.astype(np.uint8)[None, :, None], 3, axis=2))
        if rgb
        else Image.frombytes("I;16", (256, 256), steps.astype("<u2").tobytes())
    )
    with pillow_faults():
        target = ImageCms.ImageCmsProfile(io.BytesIO(_gray_srgb()))
        levels = np.asarray(
            _applied(ramp, source, target, "I;16", FLAGS | ImageCms.Flags.NOOPTIMIZE)
        ).reshape(-1)
    if rgb:
        levels = np.interp(np.arange(65536), steps * 257, levels).round()
    return levels.astype(np.uint16)


def _opened(profile: bytes, *spaces: str) -> ImageCms.ImageCmsProfile:
    """Open a profile that must be for one of some colour spaces.

    Raises:
        Unreadable: it is damaged, or for another space.
    """
    with pillow_faults():
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space
    if space not in spaces:
        raise Unreadable(f"the colour profile is for {space.strip()}")
    return opened


def _applied(
    picture: Image.Image,
    source: ImageCms.ImageCmsProfile,
    target: ImageCms.ImageCmsProfile,
    mode: str,
    flags: ImageCms.Flags = FLAGS,
) -> Image.Image:
    transform = ImageCms.buildTransform(source, target, picture.mode, mode, INTENT, flags)
    applied = ImageCms.applyTransform(picture, transform)
    assert applied is not None
    return applied


def _probe(mode: str) -> Image.Image:
    """Make a small picture with colours from all over the cube."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(grid.reshape(27, 27, 3)).convert(mode)


def _gray_srgb() -> bytes:
    """Build a grey profile with the tone curve of sRGB; LittleCMS has none.

    Source: ICC.1:2010, 7.2 (header), 10.15 (parametric curve, type 3); IEC 61966-2-1.
    """

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    d50 = (0.9642, 1.0, 0.8249)
    curve = fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + fixed(*d50),
        b"kTRC": b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + curve,
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s12x4s4x4s4s4s8xI12s4s44x",
        start + len(body),
        b"\0\0\0\0",
        0x04200000,
        b"mntr",
        b"GRAY",
        b"XYZ ",
        b"acsp",
        b"\0\0\0\0",
        b"\0\0\0\0",
        b"\0\0\0\0",
        0,
        fixed(*d50),
        b"\0\0\0\0",
    )
    assert len(header) == 128
    return header + table + body
