"""Why a file is not in the data set."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "no picture",
    "raw or HEIC",
    "damaged",
    "too small",
    "too large",
    "grey or toned",
    "animated",
    "duplicate",
    "outside the splits",
    "a link",
    "no regular file",
    "unsafe path",
    "encrypted",
    "unreadable",
    "decoder crashed",
    "decoder hung",
]


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that is left out."""

    reason: Reason
    detail: str
    """What was found and what is needed, in a few words."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def printable(name: str) -> str:
    """Make a file's name safe for a terminal: a name may hold line breaks and escape codes."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def by_reason(skipped: Mapping[str, Skip]) -> list[tuple[Reason, list[str]]]:
    """Group names by reason, the most frequent first, names in order."""
    counts = Counter(skip.reason for skip in skipped.values())
    return [
        (reason, sorted(name for name, skip in skipped.items() if skip.reason == reason))
        for reason, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def first_names(names: Iterable[str], total: int, *, most: int = 3) -> str:
    """Join the first few names, and say how many more there are."""
    shown = [printable(name) for name, _ in zip(names, range(most), strict=False)]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    return ", ".join(shown) + more
