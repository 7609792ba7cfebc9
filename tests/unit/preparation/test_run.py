import json
import os
import shutil
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from raycolor.config import DataConfig
from raycolor.data import SPLITS, open_prepared, verify
from raycolor.errors import ConfigError, DataError
from raycolor.preparation.run import Result, prepare
from raycolor.preparation.settings import SIZES, Settings
from tests.unit.preparation.making import (
    encoded,
    files,
    photo,
    recipe,
    settings,
    unwatched,
    write,
)

NUMBER = 60


def run(source: Path, out: Path, **changes: Any) -> Result:
    return prepare(settings(source, out, **changes), unwatched)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in nested folders."""
    folder = tmp_path_factory.mktemp("source") / "photographs"
    contents = {f"{'abc'[i % 3]}/{name}": c for i, (name, c) in enumerate(files(NUMBER).items())}
    return write(folder, contents)


@pytest.fixture(scope="module")
def fingerprint(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(photographs, tmp_path_factory.mktemp("out") / "out").data.fingerprint


def test_rows_are_the_photographs_in_the_order_of_their_names(tmp_path: Path) -> None:
    contents = files(NUMBER)
    result = run(write(tmp_path / "in", contents), tmp_path / "out")
    data = open_prepared(tmp_path / "out")
    verify(data)
    assert data == result.data
    assert (data.name, data.size) == ("out", 16)
    assert sum(data.counts.values()) == NUMBER
    for split in SPLITS:
        pictures = data.pictures(split)
        assert list(pictures.sources) == sorted(pictures.sources)
        for name, pixels in zip(pictures.sources, pictures.pixels, strict=True):
            picture = photo(int(name[1:4])).resize(
                (16, 16), Image.Resampling.LANCZOS, box=(4, 0, 44, 40)
            )
            np.testing.assert_array_equal(pixels, np.asarray(picture))
    assert result.num_bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert (result.skipped, result.num_passed_over, result.common_side) == ({}, 0, 40)


@pytest.mark.parametrize("workers", [2, 5])
def test_number_of_processes_does_not_matter(
    photographs: Path, fingerprint: str, tmp_path: Path, workers: int
) -> None:
    assert run(photographs, tmp_path / "out", workers=workers).data.fingerprint == fingerprint


def test_dates_and_the_order_of_the_disk_do_not_matter(
    photographs: Path, fingerprint: str, tmp_path: Path
) -> None:
    for path in sorted(photographs.rglob("*.png"), reverse=True):
        copy = tmp_path / "elsewhere" / path.relative_to(photographs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (1, 1))
    assert run(tmp_path / "elsewhere", tmp_path / "out").data.fingerprint == fingerprint


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("with_top", [False, True])
def test_archive_or_folder_does_not_matter(
    photographs: Path, fingerprint: str, tmp_path: Path, form: str, with_top: bool
) -> None:
    root = photographs.parent if with_top else photographs
    archive = shutil.make_archive(
        str(tmp_path / "x"), form, root, photographs.name if with_top else "."
    )
    assert run(Path(archive), tmp_path / "out").data.fingerprint == fingerprint


def test_order_in_an_archive_does_not_matter(
    photographs: Path, fingerprint: str, tmp_path: Path
) -> None:
    paths = sorted(photographs.rglob("*.png"), key=lambda path: path.name[::-1])
    with (
        tarfile.open(tmp_path / "x.tar", "w") as tar,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as archive,
    ):
        for path in paths:
            tar.add(path, path.relative_to(photographs))
            archive.write(path, path.relative_to(photographs))
    for name in ("x.tar", "x.zip"):
        assert run(tmp_path / name, tmp_path / f"{name}.out").data.fingerprint == fingerprint


def test_everything_left_out_is_listed_with_its_reason(tmp_path: Path) -> None:
    contents = files(NUMBER) | {
        "gray.png": encoded(photo(100).convert("L")),
        "tiny.png": encoded(photo(101, 15, 40)),
        "again.png": encoded(photo(0)),
        "film.gif": encoded(photo(102), "GIF", save_all=True, append_images=[photo(103)]),
        "broken.jpg": encoded(photo(104, 300, 300), "JPEG")[:3000],
        "words.jpg": b"words",
        "raw.nef": b"II*\0",
        "notes.txt": b"words",
        "\x1b[31mred\n.jpg": b"words",
    }
    folder = write(tmp_path / "in", contents)
    (folder / "link.png").symlink_to("/etc/passwd")
    result = run(folder, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert {name: text.split(":")[0] for name, text in about["skipped"].items()} == {
        "gray.png": "grey or toned",
        "tiny.png": "too small",
        "p000.png": "duplicate",
        "film.gif": "animated",
        "broken.jpg": "damaged",
        "words.jpg": "no picture",
        "raw.nef": "raw or HEIC",
        "\x1b[31mred\n.jpg": "no picture",
        "link.png": "a link",
    }
    assert about["skipped"]["p000.png"] == "duplicate: has the pixels of again.png"
    assert about["skipped"] == {name: str(skip) for name, skip in result.skipped.items()}
    assert about["preparation"]["skipped"]["no picture"] == 2
    assert about["preparation"]["passed_over"] == 1
    assert sum(about["counts"].values()) == NUMBER


def test_same_photograph_turned_or_packed_otherwise_is_a_duplicate(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photo(0).transpose(Image.Transpose.ROTATE_90)
    contents = files(NUMBER) | {
        "x_turned.png": encoded(turned, exif=exif),
        "x_packed.tif": encoded(photo(0), "TIFF"),
    }
    result = run(write(tmp_path / "in", contents), tmp_path / "out")
    assert len(result.skipped) == 2
    assert set(result.skipped) < {"p000.png", "x_packed.tif", "x_turned.png"}
    assert {skip.reason for skip in result.skipped.values()} == {"duplicate"}


@pytest.mark.parametrize("top", ["", "coco/"])
@pytest.mark.parametrize("archived", [False, True])
def test_split_folders_are_kept(tmp_path: Path, top: str, archived: bool) -> None:
    contents = (
        files(40, under=f"{top}Train/")
        | files(5, first=40, under=f"{top}valid/")
        | files(4, first=50, under=f"{top}valid/")
        | files(1, first=60, under=top)
    )
    source = write(tmp_path / "in", contents)
    if archived:
        source = Path(shutil.make_archive(str(tmp_path / "x"), "zip", source))
    result = run(source, tmp_path / "out")
    pictures = {split: result.data.pictures(split).sources for split in SPLITS}
    assert len(pictures["validation"]) == 9
    assert all(name.startswith("valid/") for name in pictures["validation"])
    assert all(name.startswith("Train/") for name in (*pictures["train"], *pictures["test"]))
    assert len(pictures["train"]) + len(pictures["test"]) == 40
    assert dict(result.folders) == {"Train": "train", "valid": "validation"}
    assert {name: skip.reason for name, skip in result.skipped.items()} == {
        "p060.png": "outside the splits"
    }


def test_held_out_pictures_are_the_same_at_every_size(tmp_path: Path) -> None:
    contents = files(NUMBER) | {f"large{i}.png": encoded(photo(100 + i, 80, 80)) for i in range(60)}
    source = write(tmp_path / "in", contents)
    small = run(source, tmp_path / "small").data
    large = run(source, tmp_path / "large", recipe=recipe(64)).data
    for split in SPLITS:
        assert set(large.pictures(split).sources) <= set(small.pictures(split).sources)


def test_too_few_pictures_says_how_many_and_why(tmp_path: Path) -> None:
    contents = files(20) | {f"gray{i}.png": encoded(photo(i).convert("L")) for i in range(5)}
    source = write(tmp_path / "in", contents)
    with pytest.raises(DataError) as caught:
        run(source, tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(f"{source}: too few pictures: ")
    assert "for training (32 needed)" in text
    assert "5 grey or toned: gray0.png, gray1.png, gray2.png and 2 more" in text
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == [source]


def test_too_few_in_a_folder_for_validation(tmp_path: Path) -> None:
    contents = files(50, under="train/") | files(1, first=50, under="val/")
    with pytest.raises(DataError, match=r"1 for validation \(2 needed\); the folder train was"):
        run(write(tmp_path / "in", contents), tmp_path / "out")


@pytest.mark.parametrize("contents", [{}, {"a.txt": b""}, {".a.jpg": b""}])
def test_nothing_that_may_be_a_picture(tmp_path: Path, contents: dict[str, bytes]) -> None:
    source = (
        write(tmp_path, {"in/.keep": b"", **{f"in/{k}": v for k, v in contents.items()}}) / "in"
    )
    with pytest.raises(DataError, match=r"in: no picture in it$"):
        run(source, tmp_path / "out")


def test_all_settings_that_cannot_work_are_told_at_once(tmp_path: Path) -> None:
    wrong = {"recipe": recipe(15, least_color=-1.0), "validation": 0.0, "test": 1.5, "workers": 0}
    with pytest.raises(ConfigError) as caught:
        run(tmp_path, tmp_path / "out", **wrong)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "--size",
        "--least-color",
        "--validation",
        "--test",
        "--workers",
    ]
    with pytest.raises(ConfigError, match=r"0\.5 and 0\.5 leave too little for training"):
        run(tmp_path, tmp_path / "out", validation=0.5, test=0.5)


def test_sizes_are_those_of_crops() -> None:
    for size in (SIZES.start, SIZES.stop - 1):
        DataConfig(size=size)
    for size in (SIZES.start - 1, SIZES.stop):
        with pytest.raises(ValueError, match="size"):
            DataConfig(size=size)


def test_out_within_the_folder_is_not_read(tmp_path: Path) -> None:
    source = write(tmp_path / "in", files(NUMBER))
    first = run(source, source / "prepared")
    second = run(source, source / "prepared", overwrite=True)
    assert second.data.fingerprint == first.data.fingerprint
    assert (second.skipped, second.num_passed_over) == ({}, 0)


def test_folder_itself_is_no_place(tmp_path: Path) -> None:
    source = write(tmp_path / "in", files(NUMBER))
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"in: holds files that are no prepared data set"):
            run(source, source, overwrite=overwrite)
    assert len(list(source.iterdir())) == NUMBER


def test_file_that_became_a_pipe_costs_itself_only(tmp_path: Path) -> None:
    source = write(tmp_path / "in", files(NUMBER))
    watched = []

    def watch(done: int, total: int) -> None:
        watched.append((done, total))
        if done == 0:  # listed, and not yet read
            (source / "p050.png").unlink()
            os.mkfifo(source / "p050.png")

    result = prepare(settings(source, tmp_path / "out"), watch)
    assert {name: skip.reason for name, skip in result.skipped.items()} == {
        "p050.png": "no picture"
    }
    assert watched == [(i, NUMBER) for i in range(NUMBER + 1)]


def test_decoders_that_hang_are_named(tmp_path: Path) -> None:
    # No decoder is as quick as this patience is short.
    source = write(tmp_path / "in", files(4))
    with pytest.raises(DataError, match=r"4 decoder hung: p000\.png, p001\.png, p002\.png and 1"):
        run(source, tmp_path / "out", patience_s=0.0)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    """Rows of 384 KiB: 100 pictures more are 38 MiB more on disk and nothing in memory."""

    def peak(number: int) -> tuple[int, int]:
        rng = np.random.default_rng(0)
        contents = {}
        for i in range(number):
            noise = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            picture = Image.fromarray(noise).resize((360, 360), Image.Resampling.NEAREST)
            contents[f"{i}.png"] = encoded(picture, compress_level=1)
        source = write(tmp_path / f"in{number}", contents)
        del contents
        wanted: Settings = settings(source, tmp_path / f"out{number}", recipe=recipe(360))
        tracemalloc.start()
        before = pa.default_memory_pool().bytes_allocated()
        prepare(wanted, unwatched)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, pa.default_memory_pool().max_memory() - before

    few, many = peak(60), peak(160)
    row = 360 * 360 * 3
    assert many[0] - few[0] < 3 * row
    assert many[1] - few[1] < 3 * row
