"""EXIF data of a photograph: how it was held, and what is worth keeping in a new picture."""

from PIL import ExifTags, Image

from raycolor.photographs.guard import Unreadable, pillow_faults

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its orientation tag. Source: EXIF 2.32, 4.6.4 A."""
KEPT = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
    ExifTags.Base.Rating,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
"""Tags of the whole picture that stay true; in a TIFF the others tell how its pixels are stored."""
DROPPED = {
    ExifTags.Base.MakerNote,  # its offsets are wrong elsewhere, and it may hold a preview
    ExifTags.Base.ComponentsConfiguration,
    ExifTags.Base.CompressedBitsPerPixel,
    ExifTags.Base.ColorSpace,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    ExifTags.IFD.Interop,
}
"""Tags of the shot that describe the old file."""
MOST_BYTES = 65_000
"""A JPEG holds no more."""


def upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its orientation tag says; one without, or with a broken one, stays.

    Args:
        picture: loaded. Pillow turns TIFF files by itself while it loads them.
    """
    try:
        with pillow_faults():
            turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Unreadable:
        return picture
    return picture if turn is None else picture.transpose(turn)


def kept_exif(picture: Image.Image) -> bytes:
    """Collect the EXIF data that stay true when the pixels change: date, camera, author, place.

    Orientation, thumbnail and the description of the old file's pixels are left out.

    Args:
        picture: loaded, and its file still open.

    Returns:
        An EXIF block for Pillow's `save(exif=...)`; empty if there is nothing, or it is broken.
    """
    try:
        with pillow_faults():
            whole, plain = _collected(picture.getexif())
    except Unreadable:
        return b""
    return next((block for block in (whole, plain) if len(block) <= MOST_BYTES), b"")


def _collected(found: Image.Exif) -> tuple[bytes, bytes]:
    """Return all that is kept, and the same without the parts that may be long."""
    kept = Image.Exif()
    for tag in KEPT:
        if tag in found:
            kept[tag] = found[tag]
    plain = kept.tobytes() if len(kept) else b""
    for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in found.get_ifd(part).items() if tag not in DROPPED}
        if values:
            kept[part] = values
    return (kept.tobytes() if len(kept) else b""), plain
