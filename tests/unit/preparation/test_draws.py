"""Draws of so many pictures: the same on every machine, disjoint, and whole where they can be."""

import hashlib
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raycolor.data import SPLITS, SplitName
from raycolor.preparation.draws import Drawer
from raycolor.preparation.splits import Kept, position_of

NUMBERS: dict[SplitName, int] = {"train": 80, "validation": 20, "test": 20}


def kept(names: Iterable[str], *, same: frozenset[str] = frozenset()) -> list[Kept]:
    return [
        Kept(
            name=name,
            place=place,
            digest=hashlib.sha256(b"same" if name in same else name.encode()).digest(),
        )
        for place, name in enumerate(names)
    ]


def drawn(
    pictures: list[Kept], numbers: dict[SplitName, int] = NUMBERS
) -> tuple[dict[SplitName, list[str]], list[str]]:
    drawer = Drawer([picture.name for picture in pictures], numbers)
    splits, _ = drawer.assign(pictures)
    return {split: [one.name for one in chosen] for split, chosen in splits.items()}, drawer.notes


NAMES = [f"{i:012}.jpg" for i in range(200)]


def test_each_split_has_its_number_and_its_pictures_are_sorted() -> None:
    splits, notes = drawn(kept(NAMES))
    assert {split: len(names) for split, names in splits.items()} == NUMBERS
    assert all(names == sorted(names) for names in splits.values())
    assert len({name for names in splits.values() for name in names}) == 120
    assert notes == ["Not drawn, since the splits are full: 80"]


def test_the_draw_is_that_of_the_hashes_alone() -> None:
    """Written down: another machine, and another version, draws these."""
    splits, _ = drawn(kept(NAMES))
    assert drawn(kept(reversed(NAMES)))[0] == splits
    order = sorted(NAMES, key=position_of)
    assert splits["validation"] == sorted(order[:20])
    assert splits["test"] == sorted(order[20:40])
    assert splits["validation"][:3] == ["000000000011.jpg", "000000000022.jpg", "000000000028.jpg"]


@given(st.sets(st.sampled_from(NAMES), max_size=60))
@settings(max_examples=25, deadline=None)
def test_pictures_that_are_left_out_are_replaced_by_the_next_in_line(missing: set[str]) -> None:
    whole, _ = drawn(kept(NAMES))
    splits, _ = drawn(kept(name for name in NAMES if name not in missing))
    assert {split: len(names) for split, names in splits.items()} == NUMBERS
    assert set(splits["validation"]) >= set(whole["validation"]) - missing
    drawn_of_both = {name for names in splits.values() for name in names}
    assert not drawn_of_both & missing


@pytest.mark.parametrize(
    ("total", "sizes", "said"),
    [
        (120, (80, 20, 20), None),
        (115, (75, 20, 20), "Note: 115 pictures to draw 120 from; training has 5 fewer than 80."),
        (60, (40, 10, 10), "Note: 60 pictures to draw 120 from; all splits are smaller in prop"),
        (7, (5, 1, 1), "Note: 7 pictures to draw 120 from"),
    ],
)
def test_fewer_pictures_make_smaller_splits(
    total: int, sizes: tuple[int, int, int], said: str | None
) -> None:
    splits, notes = drawn(kept(NAMES[:total]))
    assert tuple(len(splits[split]) for split in SPLITS) == sizes
    assert len(notes) == (said is not None)
    assert said is None or notes[0].startswith(said)


def test_a_held_out_folder_is_taken_whole() -> None:
    names = [f"train/{name}" for name in NAMES[:150]] + [f"test/{name}" for name in NAMES[150:]]
    splits, _ = drawn(kept(names), {"train": 100, "validation": 50})
    assert splits["test"] == names[150:]
    assert [len(splits[split]) for split in SPLITS] == [100, 50, 50]
    assert all(name.startswith("train/") for name in splits["train"] + splits["validation"])


def test_of_pictures_with_the_same_pixels_one_is_drawn() -> None:
    names = [f"train/{name}" for name in NAMES[:150]] + [f"test/{name}" for name in NAMES[150:]]
    same = frozenset([names[3], names[7], names[170]])
    pictures = kept(names, same=same)
    drawer = Drawer(names, {"train": 98, "validation": 50})
    splits, skipped = drawer.assign(pictures)
    assert set(skipped) == {names[3], names[7]}
    assert [len(splits[split]) for split in SPLITS] == [98, 50, 50]
    assert drawer.notes == []
