"""Pillow on bytes of unknown origin: what it raises, and the warnings that no user should see."""

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from PIL import Image, ImageCms

FAULTS: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""What Pillow's plugins raise on damaged or hostile files: all but the ends of the process."""


class Unreadable(Exception):  # noqa: N818  (a reason for the caller's sentence; no user sees it alone)
    """Bytes that Pillow, or raycolor, cannot make a picture of; the text says why."""


@contextmanager
def pillow_faults() -> Iterator[None]:
    """Turn whatever Pillow raises into `Unreadable`.

    Only Pillow's own calls may stand in the block: in our code the same types are our faults.
    """
    try:
        yield
    except FAULTS as error:
        raise Unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Put an error into a few words on one line."""
    text = " ".join(str(error).split())
    if not isinstance(error, OSError | ValueError | SyntaxError | ImageCms.PyCMSError):
        text = f"{type(error).__name__} {text}".strip()
    return text[:150] or type(error).__name__


_lock = threading.Lock()
_readers = 0
_settings = ExitStack()
"""Puts the settings back that the first reader changed."""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, and lift its limit of pixels: callers check a limit of their own.

    Both are settings of the process. Threads may be inside at the same time: the first that comes
    changes the settings, and the last that leaves puts them back.
    """
    global _readers  # noqa: PLW0603  (it guards settings that are global themselves)
    with _lock:
        if _readers == 0:
            _settings.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            _settings.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
            # Python prints what is logged where nobody listens, so somebody has to.
            logger, deaf = logging.getLogger("PIL"), logging.NullHandler()
            logger.addHandler(deaf)
            _settings.callback(logger.removeHandler, deaf)
            _settings.callback(setattr, logger, "propagate", logger.propagate)
            logger.propagate = False
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _settings.close()
