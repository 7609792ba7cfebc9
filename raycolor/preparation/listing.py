"""The files of a source of photographs, as its list gives them."""

from dataclasses import dataclass, field
from pathlib import Path

from raycolor.preparation.names import common_top, kind_of
from raycolor.preparation.skips import Skip

Contents = Path | bytes | Skip
"""What a picture is read from, or why it cannot be."""


@dataclass(slots=True)
class Listing:
    """The files of a source, by canonical name."""

    candidates: dict[str, str] = field(default_factory=dict)
    """Files that may be pictures, in the order of their names; each with the source's own name."""
    skipped: dict[str, Skip] = field(default_factory=dict)
    num_passed_over: int = 0
    """Files and folders that are hidden, or no pictures by their names."""

    def add(self, name: str, own_name: str, skip: Skip | None = None) -> None:
        """Take note of a file.

        Args:
            name: its canonical name.
            own_name: what the source calls it.
            skip: why it cannot be used, if that is known already.
        """
        kind = kind_of(name)
        if kind in ("hidden", "other"):
            self.num_passed_over += 1
        elif skip is not None:
            self.skipped[name] = skip
        elif kind == "undecodable":
            self.skipped[name] = Skip("raw or HEIC", "Pillow does not read it; export it as JPEG")
        else:
            # In an archive, a later file of the same name replaces the earlier one.
            self.candidates[name] = own_name

    def settle(self) -> None:
        """Sort, and take off the folders that all pictures lie in."""
        top = common_top(name for name in self.candidates if kind_of(name) == "picture")
        shorter: dict[str, str] = {}
        for name, own_name in self.candidates.items():
            short = name.removeprefix(top)
            shorter[name if short in self.candidates else short] = own_name
        self.candidates = dict(sorted(shorter.items()))
        self.skipped = {name.removeprefix(top): skip for name, skip in self.skipped.items()}
