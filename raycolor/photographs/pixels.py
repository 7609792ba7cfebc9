"""Pillow's pictures of any mode to sRGB arrays. Axis letters: h height, w width."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from raycolor.photographs.guard import Unreadable, pillow_faults
from raycolor.photographs.profiles import gray_levels, to_srgb

BAND_PIXELS = 1 << 20
"""Pixels that are converted at once, so that the work needs little memory beside the picture."""
GRAY_MODES = {"1", "L", "LA", "La"}
WHITES = (1.0, 255.0, 65535.0)
"""What white may be in a picture of floating numbers: the first of these that no pixel exceeds."""

ProfileUse = Literal["none", "applied", "unusable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """One picture as arrays."""

    rgb_u8: UInt8[np.ndarray, "h w 3"]
    alpha_u8: UInt8[np.ndarray, "h w"] | None
    """None where all is opaque."""
    gray_u16: UInt16[np.ndarray, "h w"] | None
    """The tones with sRGB's curve, of a picture that is grey of more than 8 bits."""
    profile: ProfileUse


def bands(height: int, width: int, *, most: int = BAND_PIXELS) -> Iterator[slice]:
    """Split the rows of a picture into bands of at most so many pixels, but of one row at least."""
    rows = max(1, most // max(width, 1))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def read_pixels(
    picture: Image.Image, *, white: int = 65535, inverted: bool = False, unsigned: bool = False
) -> Pixels:
    """Turn a picture into sRGB arrays, by its embedded profile if it has a usable one.

    Args:
        picture: decoded, of any mode.
        white: the level of white in a 16-bit picture.
        inverted: whether a picture of more than 8 bits has white at 0; Pillow turns 8-bit ones
            itself.
        unsigned: whether its 32-bit numbers have no sign; Pillow gives large ones one.

    Raises:
        Unreadable: there is no way from its mode or values to sRGB.
    """
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _deep_gray(picture, white, inverted, unsigned)
    converted, profile = _in_srgb(picture)
    width, height = converted.size
    num_channels = len(converted.getbands())
    rgb_u8 = np.empty((height, width, 3), np.uint8)
    alpha_u8 = np.empty((height, width), np.uint8) if num_channels in (2, 4) else None
    for rows in bands(height, width):
        with pillow_faults():
            band = np.asarray(converted.crop((0, rows.start, width, rows.stop)))
        band = band.reshape(rows.stop - rows.start, width, num_channels)
        if alpha_u8 is not None:
            alpha_u8[rows] = band[..., -1]
            band = band[..., :-1]
        rgb_u8[rows] = band
    if alpha_u8 is not None and (alpha_u8 == 255).all():
        alpha_u8 = None
    return Pixels(rgb_u8=rgb_u8, alpha_u8=alpha_u8, gray_u16=None, profile=profile)


def over_white(pixels: Pixels) -> None:
    """Lay what is transparent over white, in place."""
    if pixels.alpha_u8 is None:
        return
    for rows in bands(*pixels.alpha_u8.shape):
        alpha = pixels.alpha_u8[rows]
        pixels.rgb_u8[rows] = on_white(pixels.rgb_u8[rows], alpha)
        if pixels.gray_u16 is not None:
            pixels.gray_u16[rows] = on_white(pixels.gray_u16[rows], alpha)


def on_white(levels: np.ndarray, alpha_u8: UInt8[np.ndarray, "h w"]) -> np.ndarray:
    """Mix levels with white.

    Args:
        levels: uint8 or uint16, (h, w) or (h, w, channels).
        alpha_u8: their opacity.

    Returns:
        The same type and shape, rounded.
    """
    alpha = alpha_u8.astype(np.uint32)
    if levels.ndim == 3:
        alpha = alpha[..., None]
    white = np.iinfo(levels.dtype).max
    mixed: np.ndarray = (levels * alpha + white * (255 - alpha) + 127) // 255
    return mixed.astype(levels.dtype)


def _in_srgb(picture: Image.Image) -> tuple[Image.Image, ProfileUse]:
    """Convert an 8-bit picture to sRGB: mode L, LA, RGB or RGBA."""
    profile = _profile(picture)
    if profile is None:
        return _plain(picture), "none"
    try:
        if picture.mode == "CMYK":
            return to_srgb(picture, profile), "applied"
        converted = _plain(picture)
        if converted.mode in GRAY_MODES:
            levels = gray_levels(profile)[::257].astype(np.uint32)
            curve = ((levels + 128) // 257).tolist()
            table = curve if converted.mode == "L" else [*curve, *range(256)]
            with pillow_faults():
                return converted.point(table), "applied"
        return to_srgb(converted, profile), "applied"
    except Unreadable:
        return _plain(picture), "unusable"


def _profile(picture: Image.Image) -> bytes | None:
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _plain(picture: Image.Image) -> Image.Image:
    """Convert an 8-bit picture to mode L, LA, RGB or RGBA, its colours taken as sRGB."""
    with pillow_faults():
        clear = picture.has_transparency_data
        key = picture.info.get("transparency")
        if picture.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
            # A file of 16 bits names its transparent colour with 16 bits, and its pixels are cut.
            picture.info["transparency"] = tuple(level >> 8 for level in key)
        if picture.mode in GRAY_MODES:
            mode = "LA" if clear else "L"
        else:
            mode = "RGBA" if clear else "RGB"
        return picture if picture.mode == mode else picture.convert(mode)


def _deep_gray(picture: Image.Image, white: int, inverted: bool, unsigned: bool) -> Pixels:
    """Read grey of 16 or 32 bits, whole or floating."""
    width, height = picture.size
    peak = _white(picture, unsigned) if picture.mode in {"I", "F"} else float(white)
    key = picture.info.get("transparency")
    gray_u16 = np.empty((height, width), np.uint16)
    alpha_u8 = np.full((height, width), 255, np.uint8) if isinstance(key, int) else None
    for rows, band in _bands_of(picture, unsigned):
        if alpha_u8 is not None:
            alpha_u8[rows][band == key] = 0
        # What is no number is black.
        scaled = np.nan_to_num(band) * (65535 / peak)
        gray_u16[rows] = scaled.clip(0, 65535).round()
    if inverted:
        np.subtract(65535, gray_u16, out=gray_u16)
    use: ProfileUse = "none"
    if (profile := _profile(picture)) is not None:
        try:
            gray_u16 = gray_levels(profile)[gray_u16]
            use = "applied"
        except Unreadable:
            use = "unusable"
    rgb_u8 = np.empty((height, width, 3), np.uint8)
    for rows in bands(height, width):
        rgb_u8[rows] = ((gray_u16[rows].astype(np.uint32) + 128) // 257)[..., None]
    return Pixels(rgb_u8=rgb_u8, alpha_u8=alpha_u8, gray_u16=gray_u16, profile=use)


def _white(picture: Image.Image, unsigned: bool) -> float:
    """Find what white is in numbers of 32 bits: no format says it.

    Raises:
        Unreadable: there are numbers that are no tones.
    """
    extremes = [
        (np.nanmin(band, initial=0), np.nanmax(band, initial=0))
        for _, band in _bands_of(picture, unsigned)
    ]
    lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
    whole = (65535.0, 2.0**32 - 1 if unsigned else 2.0**31 - 1)
    whites = WHITES if picture.mode == "F" else whole
    white = next((white for white in whites if highest <= white), None)
    if lowest < 0 or white is None:
        raise Unreadable(
            f"it has numbers from {lowest:g} to {highest:g}, but black is 0 and white is "
            + " or ".join(f"{white:g}" for white in whites)
        )
    return white


def _bands_of(picture: Image.Image, unsigned: bool) -> Iterator[tuple[slice, np.ndarray]]:
    """Cut a picture of one channel into bands of numbers."""
    width, height = picture.size
    for rows in bands(height, width):
        with pillow_faults():
            band = np.asarray(picture.crop((0, rows.start, width, rows.stop)))
        yield rows, band.view(np.uint32) if unsigned and picture.mode == "I" else band
