"""Make the picture of the L, a and b channels of a photograph: docs/lab.png.

    python tools/make_lab_picture.py

The photograph is one of the built-in training split, enlarged without smoothing. L is shown as it
is, from 0 to 100. a and b are shown as colours of one lightness, the other channel 0: what each of
them alone says.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from raycolor import color
from raycolor.data import PHOTOS, open_prepared
from raycolor.pictures import comparison, save_png
from raycolor.sheet import GAP

PICTURE = Path("docs/lab.png")
PHOTOGRAPH = 162
"""Its number in the training split."""
TIMES = 3
LIGHTNESS = 65.0
"""L* at which a and b are shown: sRGB has strong colours of every hue there."""
BANNER = 26
"""Height of the line of titles, in pixels."""


def main() -> None:
    """Write the picture."""
    pixels = open_prepared(PHOTOS).pictures("train").pixels[PHOTOGRAPH]
    rgb_u8 = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    save_png(PICTURE, titled(channels(rgb_u8), ("photograph", "L", "a", "b")))


def channels(rgb_u8: Tensor) -> np.ndarray:
    """Lay out a photograph and its three channels side by side, uint8 (height, width, 3)."""
    l_unit, ab_unit = color.rgb_to_unit(rgb_u8)
    flat = torch.full_like(l_unit, LIGHTNESS / color.L_SCALE - 1.0)
    nothing = torch.zeros_like(l_unit)
    a, b = ab_unit.split(1, dim=1)
    pictures = [
        rgb_u8,
        color.unit_to_rgb(l_unit, torch.cat([nothing, nothing], dim=1)),
        color.unit_to_rgb(flat, torch.cat([a, nothing], dim=1)),
        color.unit_to_rgb(flat, torch.cat([nothing, b], dim=1)),
    ]
    larger = [one.repeat_interleave(TIMES, 2).repeat_interleave(TIMES, 3) for one in pictures]
    return comparison(*larger)


def titled(sheet: np.ndarray, titles: tuple[str, ...]) -> np.ndarray:
    """Put a title above each column of a sheet."""
    height, width, _ = sheet.shape
    column = (width + GAP) / len(titles)
    picture = Image.new("RGB", (width, height + BANNER), "white")
    picture.paste(Image.fromarray(sheet), (0, BANNER))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for number, title in enumerate(titles):
        middle = (number + 0.5) * column - GAP / 2
        draw.text((middle, BANNER / 2), title, fill="black", anchor="mm", font=font)
    return np.asarray(picture)


if __name__ == "__main__":
    main()
