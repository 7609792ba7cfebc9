"""Splits of known data sets: so many pictures each, drawn so that every machine draws the same.

The order of the draw is that of the hashes of the pictures' names, as in
`raycolor.preparation.splits`. It depends on nothing else: neither on the order of an archive nor on
what else was drawn. Pictures that are left out are passed over, and the next in line come instead.
"""

from collections.abc import Iterable, Mapping

from raycolor.data import SPLITS, SplitName
from raycolor.preparation.names import split_of_folder
from raycolor.preparation.skips import Skip
from raycolor.preparation.splits import HELD_OUT, Kept, drop_duplicates, position_of

DRAWN_FIRST: tuple[SplitName, ...] = ("validation", "test", "train")
LEAST_TRAINING = 0.9
"""Held-out splits are whole, so that scores compare, as long as training keeps this share of its
number; where fewer pictures are left, all splits become smaller in proportion."""


class Drawer:
    """Assigns so many pictures to each split; folders of held-out splits are taken whole."""

    def __init__(self, names: Iterable[str], numbers: Mapping[SplitName, int]) -> None:
        """Look for top folders that stand for held-out splits.

        Args:
            names: relative paths of all pictures.
            numbers: of pictures to draw for each split; a split without one is a folder's.
        """
        self.folders: dict[str, SplitName] = {}
        """Top folders that are taken whole."""
        self.notes: list[str] = []
        """After `assign`: what the user may want to know."""
        self._numbers = dict(numbers)
        for name in names:
            top, slash, _ = name.partition("/")
            split = split_of_folder(top)
            if slash and split in HELD_OUT and split not in numbers:
                self.folders[top] = split

    def outside(self, name: str) -> Skip | None:
        """Leave out nothing: what is not drawn is spare."""
        return None

    def assign(
        self, pictures: Iterable[Kept]
    ) -> tuple[dict[SplitName, list[Kept]], dict[str, Skip]]:
        """Draw.

        Returns:
            The pictures of each split in the order of their names, and those that have the pixels
            of another.
        """
        pool: dict[SplitName, list[Kept]] = {split: [] for split in SPLITS}
        for picture in sorted(pictures, key=lambda one: (position_of(one.name), one.name)):
            pool[self._given(picture.name)].append(picture)
        skipped = drop_duplicates(pool)
        waiting, pool["train"] = pool["train"], []
        for split, number in self._drawn(len(waiting)).items():
            pool[split], waiting = waiting[:number], waiting[number:]
        if waiting:
            self.notes.append(f"Not drawn, since the splits are full: {len(waiting):,}")
        return {
            split: sorted(chosen, key=lambda one: one.name) for split, chosen in pool.items()
        }, skipped

    def _given(self, name: str) -> SplitName:
        top, slash, _ = name.partition("/")
        return self.folders.get(top, "train") if slash else "train"

    def _drawn(self, total: int) -> dict[SplitName, int]:
        """Say how many pictures each split gets of so many."""
        numbers = {split: self._numbers[split] for split in DRAWN_FIRST if split in self._numbers}
        missing = sum(numbers.values()) - total
        if missing <= 0:
            return numbers
        if numbers["train"] - missing >= LEAST_TRAINING * numbers["train"]:
            self.notes.append(
                f"Note: {total:,} pictures to draw {sum(numbers.values()):,} from; training has "
                f"{missing:,} fewer than {numbers['train']:,}."
            )
            return {**numbers, "train": numbers["train"] - missing}
        smaller = {
            split: round(total * number / (total + missing)) for split, number in numbers.items()
        }
        smaller["train"] += total - sum(smaller.values())
        self.notes.append(
            f"Note: {total:,} pictures to draw {sum(numbers.values()):,} from; all splits are "
            "smaller in proportion."
        )
        return smaller
