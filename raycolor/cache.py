"""The folder of this machine for what can be made or fetched again."""

import os
from pathlib import Path

VARIABLE = "RAYCOLOR_CACHE"


def cache_folder() -> Path:
    """Name it: `$RAYCOLOR_CACHE`, or `raycolor` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "raycolor"
