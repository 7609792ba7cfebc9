"""Which split each picture belongs to.

A picture's split follows from the hash of its name alone. So it stays where it is when photographs
are added or left out, and a picture that was held out at one size is held out at every size.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raycolor.data import SplitName
from raycolor.preparation.names import split_of_folder
from raycolor.preparation.skips import Skip

LEAST: dict[SplitName, int] = {"validation": 2, "test": 1}
"""Pictures that a held-out split needs: scores of a single one say nothing."""
HELD_OUT: tuple[SplitName, SplitName] = ("test", "validation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A picture that may be used."""

    name: str
    place: int
    """Its row in the spool."""
    digest: bytes
    """Hash of its pixels."""


class Splitter:
    """Assigns pictures to splits: by their top folders where these are named so, else by share."""

    def __init__(self, names: Iterable[str], *, validation: float, test: float) -> None:
        """Look for top folders that stand for splits.

        Args:
            names: relative paths of all pictures.
            validation: share of the pictures to hold out for validation, if no folder does.
            test: the same for testing.
        """
        self.folders: dict[str, SplitName] = {}
        """Top folders that stand for splits."""
        for name in names:
            top, slash, _ = name.partition("/")
            if slash and (split := split_of_folder(top)) is not None:
                self.folders[top] = split
        self.given = set(self.folders.values())
        """Splits that folders stand for; the others are cut from the rest."""
        self._shares = {"validation": validation, "test": test}

    def outside(self, name: str) -> Skip | None:
        """Tell whether a picture lies beside the folders; without one for training it is used."""
        if "train" not in self.given or self._folder_split(name) is not None:
            return None
        folders = " and ".join(sorted(self.folders))
        return Skip("outside the splits", f"lies beside the folders {folders}")

    def split_of(self, name: str) -> SplitName:
        """Choose a picture's split."""
        given = self._folder_split(name)
        if given in HELD_OUT:
            return given
        position = position_of(name)
        for split in HELD_OUT:
            if split not in self.given:
                position -= self._shares[split]
                if position < 0:
                    return split
        return "train"

    def assign(
        self, pictures: Iterable[Kept]
    ) -> tuple[dict[SplitName, list[Kept]], dict[str, Skip]]:
        """Assign pictures to splits.

        Of pictures with the same pixels one is used, held-out splits first, so that none lies on
        both sides. Held-out splits that would be too small for `LEAST` take the pictures next in
        line.

        Returns:
            The pictures of each split in the order of their names, and those left out.
        """
        splits: dict[SplitName, list[Kept]] = {"train": [], "validation": [], "test": []}
        for picture in sorted(pictures, key=lambda picture: (picture.name, picture.place)):
            splits[self.split_of(picture.name)].append(picture)
        skipped = drop_duplicates(splits)
        for split in HELD_OUT:
            if split not in self.given:
                _fill(splits, split)
        return splits, skipped

    def _folder_split(self, name: str) -> SplitName | None:
        top, slash, _ = name.partition("/")
        return self.folders.get(top) if slash else None


def position_of(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone, and looks drawn at random."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def drop_duplicates(splits: Mapping[SplitName, list[Kept]]) -> dict[str, Skip]:
    """Keep one of pictures with the same pixels, in held-out splits first; return the others."""
    seen: dict[bytes, str] = {}
    skipped = {}
    for split in (*HELD_OUT, "train"):
        unique = []
        for picture in splits[split]:
            first = seen.setdefault(picture.digest, picture.name)
            if first is picture.name:
                unique.append(picture)
            else:
                skipped[picture.name] = Skip("duplicate", f"has the pixels of {first}")
        splits[split][:] = unique
    return skipped


def _fill(splits: Mapping[SplitName, list[Kept]], split: SplitName) -> None:
    missing = LEAST[split] - len(splits[split])
    if missing <= 0:
        return
    moved = sorted(splits["train"], key=lambda picture: position_of(picture.name))[:missing]
    splits["train"][:] = [picture for picture in splits["train"] if picture not in moved]
    splits[split][:] = sorted([*splits[split], *moved], key=lambda picture: picture.name)
