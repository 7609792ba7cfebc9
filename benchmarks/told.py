"""What a benchmark found: a table for people, and JSON with hardware and versions."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Kept:
    """Measurements of a long benchmark, beside its JSON file until that is written.

    The same command takes those that are there and goes on with the others.
    """

    def __init__(self, out: Path | None, settings: object) -> None:
        """Read what is there.

        Args:
            out: the benchmark's JSON file; None keeps nothing.
            settings: that all measurements have to share; others are left out.
        """
        self._path = None if out is None else out.with_name(f"{out.name}.part")
        self._settings = repr(settings)
        self._found: dict[str, Any] = {}
        if self._path is not None and self._path.exists():
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            if kept["settings"] == self._settings:
                self._found = kept["found"]

    def measure(self, what: str, measurement: Callable[[], Any]) -> Any:
        """Return a measurement, from before or made now.

        Args:
            what: its name, which is printed when it is made.
            measurement: makes it; what it returns can be written as JSON.
        """
        if what not in self._found:
            print(what, file=sys.stderr, flush=True)
            self._found[what] = measurement()
            if self._path is not None:
                text = json.dumps({"settings": self._settings, "found": self._found})
                self._path.write_text(text, encoding="utf-8")
        return self._found[what]

    def close(self) -> None:
        """Remove the file, when all is told."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


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
