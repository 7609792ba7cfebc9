import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.preparation.names import Kind, canonical, common_top, kind_of, split_of_folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "picture"),
        ("deep/er/B.JPEG", "picture"),
        ("scan.tif", "picture"),
        ("x.webp", "picture"),
        ("x.avif", "picture"),
        ("without_suffix", "unknown"),
        ("photo.jpg.download", "unknown"),
        ("IMG_0001.HEIC", "undecodable"),
        ("IMG_0001.cr2", "undecodable"),
        ("list.csv", "other"),
        ("film.MOV", "other"),
        ("drawing.eps", "other"),
        ("more.zip", "other"),
        (".DS_Store", "hidden"),
        ("a/.thumbnails/b.jpg", "hidden"),
        ("__MACOSX/a/._b.jpg", "hidden"),
        ("Thumbs.db", "hidden"),
        ("album/@eaDir/b.jpg", "hidden"),
    ],
)
def test_kind(name: str, kind: Kind) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("VAL", "validation"),
        ("valid", "validation"),
        ("Validation", "validation"),
        ("test", "test"),
        ("train2017", "train"),
        ("val_2014", "validation"),
        ("trains", None),
        ("tested", None),
        ("value", None),
        ("holiday2017", None),
        ("2017", None),
    ],
)
def test_folders_that_stand_for_splits(folder: str, split: str | None) -> None:
    assert split_of_folder(folder) == split


@pytest.mark.parametrize(
    ("names", "top"),
    [
        (["a.jpg", "b.jpg"], ""),
        (["photos/a.jpg", "photos/b.jpg"], "photos/"),
        (["photos/x/a.jpg", "photos/y/b.jpg"], "photos/"),
        (["photos/x/a.jpg", "photos/x/b.jpg"], "photos/x/"),
        (["photos/a.jpg", "photos2/b.jpg"], ""),
        (["photos/train/a.jpg", "photos/train/b.jpg"], "photos/"),
        (["train/a.jpg"], ""),
        ([], ""),
    ],
)
def test_common_top(names: list[str], top: str) -> None:
    assert common_top(names) == top


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1))
def test_common_top_is_the_longest_that_all_share(paths: list[list[str]]) -> None:
    names = ["/".join(path) for path in paths]
    top = common_top(names)
    assert all(name.startswith(top) and len(name) > len(top) for name in names)
    rests = [name.removeprefix(top).split("/") for name in names]
    assert any(len(rest) == 1 for rest in rests) or len({rest[0] for rest in rests}) > 1


def test_names_that_are_no_utf8_can_be_written() -> None:
    assert canonical(os.fsdecode(b"caf\xe9/\xc3\xa9.jpg")) == "caf\\xe9/é.jpg"
