"""The folder of this machine for what can be made or fetched again."""

import os
from pathlib import Path

from raycolor.errors import ConfigError

VARIABLE = "RAYCOLOR_CACHE"


def cache_folder() -> Path:
    """Name it: `$RAYCOLOR_CACHE`, or `~/.cache/raycolor`.

    Raises:
        ConfigError: this user has no home folder, as in some containers, and named none.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    try:
        return Path.home() / ".cache" / "raycolor"
    except RuntimeError as error:
        raise ConfigError(
            f"{VARIABLE}: is not set, and this user has no home folder to keep things in; set it "
            "to a folder that can be written"
        ) from error
