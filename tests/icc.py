"""Small colour profiles, built by hand: matrix and curve, grey, and a table for four inks.

Source of the layout: ICC.1:2001-04 (version 2), sections 6.1 (header), 6.5 (types).
"""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)

# Colorants adapted to D50, as their publishers list them.
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))

SRGB_CURVE = [
    x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in np.linspace(0, 1, 1024)
]


def rgb_profile(
    colorants: tuple[tuple[float, float, float], ...], *, gamma: float | None = None
) -> bytes:
    """A profile of RGB; sRGB's curve unless a gamma is given."""
    curve = _curve(gamma)
    tags = {b"wtpt": _xyz(D50)}
    for channel, color in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags |= {channel + b"XYZ": _xyz(color), channel + b"TRC": curve}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(*, gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def ink_profile(cyan_lab: tuple[float, float, float]) -> bytes:
    """A profile of CMYK in which paper is white, black ink black, and other inks mix like cyan.

    Between the corners Lab is interpolated.
    """
    corners = []
    for corner in range(16):
        cyan, magenta, yellow, black = (corner >> shift & 1 for shift in (3, 2, 1, 0))
        lab = cyan_lab if (cyan, magenta, yellow, black) == (1, 0, 0, 0) else (100.0, 0.0, 0.0)
        if black:
            lab = (0.0, 0.0, 0.0)
        corners += [round(lab[0] / 100 * 65280), *(round((x + 128) * 256) for x in lab[1:])]
    identity = [0, 65535]
    table = (
        b"mft2\0\0\0\0"
        + bytes([4, 3, 2, 0])
        + struct.pack(">9i", *np.eye(3).ravel().astype(int) * 65536)
    )
    table += struct.pack(">HH", 2, 2) + struct.pack(">8H", *identity * 4)
    table += struct.pack(">48H", *corners) + struct.pack(">6H", *identity * 3)
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


def _xyz(color: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(x * 65536) for x in color))


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    levels = [round(x * 65535) for x in SRGB_CURVE]
    return b"curv\0\0\0\0" + struct.pack(f">I{len(levels)}H", len(levels), *levels)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", start + len(body), 0x02400000, kind, space, connection, b"acsp"
    )
    header += struct.pack(">3i", *(round(x * 65536) for x in D50))
    return header.ljust(128, b"\0") + table + body
