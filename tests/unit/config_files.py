"""Files of settings for tests."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def write(path: Path, content: Any) -> Path:
    """Write a file: text as it is, other values as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)
    return path
