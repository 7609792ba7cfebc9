"""The archive of CIFAR-10: its pictures come out bit for bit, and nothing else does."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from raycolor.data import open_prepared, verify
from raycolor.errors import DataError
from raycolor.preparation.cifar import Cifar
from raycolor.preparation.run import prepare
from tests.unit.preparation.known_archives import Python2, batch, cifar, picture, tar
from tests.unit.preparation.making import recipe, settings, unwatched


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cifar(tmp_path_factory.mktemp("cifar") / "cifar-10-python.tar.gz", 10)


def test_pictures_are_those_of_the_archive(archive: Path, tmp_path: Path) -> None:
    wanted = settings(
        archive,
        tmp_path / "out",
        draw={"train": 45, "validation": 5},
        recipe=recipe(32, least_color=0.0),
        title="cifar10",
    )
    result = prepare(wanted, unwatched, source=Cifar(archive))
    data = open_prepared(tmp_path / "out")
    verify(data)
    assert data.counts == {"train": 45, "validation": 5, "test": 10}
    seen = []
    for split in ("train", "validation", "test"):
        pictures = data.pictures(split)
        for name, pixels in zip(pictures.sources, pictures.pixels, strict=True):
            number = int(name.rpartition("_")[2].removesuffix(".png"))
            np.testing.assert_array_equal(pixels, picture(number))
            assert (split == "test") == name.startswith("test/test_batch/")
            seen.append(number)
    assert sorted(seen) == list(range(60))
    assert result.notes == ()
    assert result.data.name == "out"


def test_names_say_where_a_picture_lies(archive: Path) -> None:
    listing = Cifar(archive).listing()
    assert len(listing.candidates) == 60
    assert list(listing.candidates)[:2] == [
        "test/test_batch/00000_leptodactylus_s_000050.png",
        "test/test_batch/00001_leptodactylus_s_000051.png",
    ]
    assert "train/data_batch_5/00009_leptodactylus_s_000049.png" in listing.candidates
    wanted = list(listing.candidates.values())[::7]
    found = dict(Cifar(archive).read(wanted))
    assert sorted(found) == sorted(wanted)
    assert {hashlib.sha256(c).hexdigest() for c in found.values() if isinstance(c, bytes)}


EVIL = b"cos\nsystem\n(S'touch was-run'\ntR."


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (
            {"a/data_batch_1": EVIL},
            r"/data_batch_1 is no batch of CIFAR-10: its pickle names",
        ),
        ({"a/data_batch_1": b"words"}, "its pickle damaged"),
        ({"a/data_batch_1": Python2().pickle([1])}, "it needs `data` of 3072 bytes"),
        (
            {
                "a/test_batch": Python2().pickle(
                    {b"data": np.zeros((2, 3072), np.uint8), b"filenames": [b"a"]}
                )
            },
            "it needs `data` of 3072 bytes for each",
        ),
        ({"a/readme.txt": b"words"}, "has no data_batch and no test_batch in it"),
    ],
)
def test_other_archives_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tar(tmp_path / "a.tar.gz", contents)
    with pytest.raises(DataError, match=said) as caught:
        Cifar(path).listing()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert not (tmp_path / "was-run").exists()


def test_names_of_an_archive_lead_nowhere(tmp_path: Path) -> None:
    content = Python2().pickle(
        {
            b"data": np.stack([picture(i).transpose(2, 0, 1).reshape(-1) for i in range(3)]),
            b"filenames": [b"../../etc/passwd", b"\x1b[31m\n.png", b"same.png"],
        }
    )
    path = tar(tmp_path / "a.tar.gz", {"a/data_batch_1": content})
    assert list(Cifar(path).listing().candidates) == [
        "train/data_batch_1/00000_.._.._etc_passwd.png",
        "train/data_batch_1/00001__[31m_.png".replace("[", "_"),
        "train/data_batch_1/00002_same.png",
    ]


def test_an_archive_that_is_cut_off_or_changes_is_told(archive: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.tar.gz"
    short.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(DataError, match="damaged"):
        Cifar(short).listing()
    path = tar(tmp_path / "a.tar.gz", {"a/data_batch_1": batch(b"one", range(4))})
    wanted = list(Cifar(path).listing().candidates.values())
    tar(path, {"a/data_batch_1": batch(b"one", range(3))})
    with pytest.raises(DataError, match="was changed while it was read"):
        list(Cifar(path).read(wanted))
