"""What a benchmark found: a table for people, and JSON with hardware and versions."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def tell(found: Mapping[str, Any], table: str, out: Path | None) -> None:
    """Print the table, and write all that was found.

    Args:
        found: with its environment.
        table: of what counts.
        out: JSON file; None for the standard output, which has nothing else then.
    """
    text = json.dumps(found, indent=2)
    print(table, file=sys.stderr if out is None else sys.stdout)
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
