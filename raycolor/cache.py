"""The folder of this machine for what can be made or fetched again."""

import os
from pathlib import Path

VARIABLE = "RAYCOLOR_CACHE"


def cache_folder() -> Path:
    """Name it: `$RAYCOLOR_CACHE`, or `~/.cache/raycolor`."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    return Path.home() / ".cache" / "raycolor"
