"""The errors that a user can cause, and can mend.

    RaycolorError
      ConfigError        a space file, a flag or a plan that cannot work
      DataError          a data set or a photograph that cannot be used
      ColorRangeError    pixels of the wrong type or range
      CheckpointError    a checkpoint or a study folder that cannot be read or written
      WeightsError       pretrained weights that are missing or not the expected ones
      DownloadError      a file of the web that cannot be had, or is not the expected one
      Diverged           a training run whose losses are no longer finite

Each message says where, what came, what is allowed and what to do next. Command lines print it on
stderr without a traceback and exit with code 2.
"""

from collections.abc import Mapping


class RaycolorError(Exception):
    """Base of all errors whose cause lies outside raycolor's code."""


class ConfigError(RaycolorError):
    """One or more impossible settings; the message lists every one of them."""


class DataError(RaycolorError):
    """A data set or a photograph that cannot be used."""


class ColorRangeError(RaycolorError):
    """Pixels of the wrong type or range."""


class CheckpointError(RaycolorError):
    """A checkpoint or a study folder that cannot be read or written."""


class WeightsError(RaycolorError):
    """Pretrained weights that are missing or not the expected ones."""


class DownloadError(RaycolorError):
    """A file of the web that cannot be had, or is not the expected one."""


class Diverged(RaycolorError):  # noqa: N818  (it is an event of a run, not a mistake)
    """The losses of a training run are no longer finite.

    Attributes:
        images_seen: training images consumed when it was noticed.
        losses: the losses by name.
    """

    def __init__(self, images_seen: int, losses: Mapping[str, float]) -> None:
        self.images_seen = images_seen
        self.losses = dict(losses)
        values = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        super().__init__(f"diverged after {images_seen} images: {values}")

    def __reduce__(self) -> tuple[type["Diverged"], tuple[int, dict[str, float]]]:
        """Pickle the arguments, not the message: Ray carries errors between processes."""
        return type(self), (self.images_seen, self.losses)
