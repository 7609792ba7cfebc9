"""How much colour a picture has that its lightness does not tell.

A colorizer learns a and b from L. Where a and b follow from L alone, as in grey pictures and in
pictures toned in one or two hues (sepia, cyanotype), there is nothing to learn but the tone.
Axis letters: h height, w width.
"""

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

LOOKED_AT = 64
"""Pictures are looked at with sides of 64 to 127 pixels, so that noise counts alike at any size."""
BANDS = 32
"""Bands of lightness whose colours are compared."""
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
"""Linear light by sRGB level. Source: IEC 61966-2-1."""
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
"""D65, as in `raycolor.color`."""


def untold_color(picture: Image.Image) -> float:
    """Measure the colour of a picture that its lightness does not tell.

    Args:
        picture: mode RGB, sRGB.

    Returns:
        Root of the mean squared distance, in units of a and b, between the colours of pixels and
        the mean colour of pixels of about their lightness. 0 for grey pictures and for those whose
        colour is a function of lightness; about 3 to 40 for photographs.
    """
    factor = max(1, min(picture.size) // LOOKED_AT)
    lab = _lab(np.asarray(picture.reduce(factor))).reshape(-1, 3)
    lightness, colors = lab[:, 0], lab[:, 1:]
    band = np.clip(lightness / 100 * BANDS, 0, BANDS - 1).astype(int)
    number = np.maximum(np.bincount(band, minlength=BANDS), 1)
    spread = 0.0
    for axis in colors.T:
        mean = np.bincount(band, axis, minlength=BANDS) / number
        spread += float(np.mean((axis - mean[band]) ** 2))
    return float(np.sqrt(spread))


def _lab(rgb_u8: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
    """Convert sRGB to CIE Lab (D65). Source: IEC 61966-2-1, CIE 15."""
    xyz = _LINEAR[rgb_u8] @ _TO_XYZ.T / _WHITE
    cubes = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(cubes, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
