from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.data import SPLITS, SplitName
from raycolor.preparation.skips import Skip
from raycolor.preparation.splits import Kept, Splitter, position_of

names = st.text("ab/.", min_size=1, max_size=6)
pictures = st.dictionaries(names, st.integers(0, 20), min_size=3, max_size=30)


def kept(contents: Mapping[str, int]) -> list[Kept]:
    return [
        Kept(name=name, place=place, digest=content.to_bytes(4, "big"))
        for place, (name, content) in enumerate(contents.items())
    ]


def splitter(names: Mapping[str, int], validation: float = 0.1, test: float = 0.1) -> Splitter:
    return Splitter(names, validation=validation, test=test)


def assigned(
    contents: Mapping[str, int], validation: float = 0.1, test: float = 0.1
) -> tuple[dict[str, SplitName], dict[str, Skip]]:
    splits, skipped = splitter(contents, validation, test).assign(kept(contents))
    for rows in splits.values():
        assert [row.name for row in rows] == sorted(row.name for row in rows)
    return {row.name: split for split in SPLITS for row in splits[split]}, skipped


def different(names: list[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


@given(pictures)
def test_every_picture_is_used_once_or_is_a_duplicate(contents: dict[str, int]) -> None:
    splits, skipped = assigned(contents)
    assert sorted([*splits, *skipped]) == sorted(contents)
    assert {skip.reason for skip in skipped.values()} <= {"duplicate"}
    used = [contents[name] for name in splits]
    assert sorted(used) == sorted(set(contents.values()))


@given(pictures)
def test_order_does_not_matter(contents: dict[str, int]) -> None:
    backwards = dict(reversed(contents.items()))
    assert assigned(contents) == assigned(backwards)


def test_shares_are_about_those_wanted() -> None:
    contents = different([f"{i}.jpg" for i in range(10_000)])
    wanted = splitter(contents, 0.1, 0.05)
    chosen = [wanted.split_of(name) for name in contents]
    assert chosen.count("validation") == pytest.approx(1000, abs=100)
    assert chosen.count("test") == pytest.approx(500, abs=70)


@given(name=names, other=names, validation=st.floats(0.01, 0.4), test=st.floats(0.01, 0.4))
def test_a_split_follows_from_the_name_alone(
    name: str, other: str, validation: float, test: float
) -> None:
    alone = splitter({name: 0}, validation, test)
    together = splitter({name: 0, f"x{other}": 1}, validation, test)
    assert alone.split_of(name) == together.split_of(name)


def test_known_positions() -> None:
    # A change would move pictures from one side to the other in everyone's data sets.
    assert position_of("a.jpg") == pytest.approx(0.31487, abs=1e-5)
    assert position_of("strasse/\u00df.png") == pytest.approx(0.45680, abs=1e-5)


def test_small_sets_have_two_to_validate_and_one_to_test() -> None:
    for start in range(40):
        contents = different([f"{start}-{i}.jpg" for i in range(6)])
        splits, _ = assigned(contents, 0.01, 0.01)
        chosen = list(splits.values())
        assert chosen.count("validation") >= 2
        assert chosen.count("test") >= 1


def test_folders_are_splits() -> None:
    contents = different(["Train/a", "Train/x/b", "val/c", "test2017/d", "cover", "other/e"])
    wanted = splitter(contents)
    assert wanted.folders == {"Train": "train", "val": "validation", "test2017": "test"}
    inside = [name for name in contents if wanted.outside(name) is None]
    assert {name: wanted.split_of(name) for name in inside} == {
        "Train/a": "train",
        "Train/x/b": "train",
        "val/c": "validation",
        "test2017/d": "test",
    }
    assert wanted.outside("cover") == Skip(
        "outside the splits", "lies beside the folders Train and test2017 and val"
    )


def test_missing_split_is_cut_from_training() -> None:
    contents = different([f"train/{i}" for i in range(1000)] + [f"val/{i}" for i in range(50)])
    splits, _ = assigned(contents)
    chosen = {split: {name for name in splits if splits[name] == split} for split in SPLITS}
    assert chosen["validation"] == {f"val/{i}" for i in range(50)}
    assert len(chosen["test"]) == pytest.approx(100, abs=30)
    assert chosen["test"] <= {f"train/{i}" for i in range(1000)}


def test_without_a_folder_for_training_the_rest_is_for_training() -> None:
    contents = different([*(f"beach/{i}" for i in range(100)), "test/1", "test/2"])
    splits, _ = assigned(contents)
    assert {name for name in splits if splits[name] == "test"} == {"test/1", "test/2"}
    assert splitter(contents).outside("beach/1") is None


def test_two_folders_may_stand_for_one_split() -> None:
    contents = different(["train/a", "val/b", "valid/c", "test/d"])
    splits, _ = assigned(contents)
    assert {name for name in splits if splits[name] == "validation"} == {"val/b", "valid/c"}


def test_of_equal_pictures_the_one_held_out_is_kept() -> None:
    contents = {"train/a": 1, "val/a": 1, "test/a": 1, "train/b": 2, "val/b": 2, "train/c": 3}
    splits, skipped = assigned(contents)
    assert splits == {"train/c": "train", "val/b": "validation", "test/a": "test"}
    assert skipped["train/a"] == Skip("duplicate", "has the pixels of test/a")
    assert skipped["train/b"] == Skip("duplicate", "has the pixels of val/b")


@given(pictures, st.sets(names, max_size=4))
def test_no_pixels_lie_on_two_sides(contents: dict[str, int], folders: set[str]) -> None:
    several = {
        f"{top}/{name}": digest for top in ("train", "val") for name, digest in contents.items()
    }
    splits, _ = assigned(several | dict.fromkeys(folders, 0))
    sides = {split: {several.get(n, 0) for n in splits if splits[n] == split} for split in SPLITS}
    assert not sides["train"] & sides["validation"]
    assert not sides["train"] & sides["test"]
    assert not sides["validation"] & sides["test"]
