"""What is said before the first trial about data that are no data set, here or at an address."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raycolor.data import open_prepared, verify
from raycolor.errors import ConfigError, DataError
from raycolor.preflight import check_before_trials, open_data
from raycolor.remote.data_sets import upload
from raycolor.training.job import make_job
from tests.unit.fitting import make, refusal, stored

# --- what is no data set


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)


@pytest.mark.parametrize("name", ["a.jpg", "b/c/d.PNG"])
def test_photographs_are_to_be_prepared_first(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "my photos"
    picture(folder / name)
    with pytest.raises(DataError) as caught:
        open_data(make(tmp_path, "", folder))
    assert str(caught.value) == (
        f"--data {folder}: holds photographs (such as {name}) that are not prepared; run "
        f"`python -m raycolor.prepare '{folder}' '{folder}-96' --size 96` first, then search with "
        f"--data '{folder}-96'"
    )
    command = shlex.split(str(caught.value).split("`")[1])
    assert command[:3] == ["python", "-m", "raycolor.prepare"]
    assert command[3:] == [str(folder), f"{folder}-96", "--size", "96"]


def test_an_archive_is_to_be_prepared_first(tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    archive.touch()
    with pytest.raises(DataError, match=r"photos\.zip: is an archive; run `python -m raycolor\.p"):
        open_data(make(tmp_path, "", archive))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("phtos", "there is no such folder; did you mean photos?"),
        ("zebra", "there is no such folder; give a folder, or photos"),
        ("file.txt", "is a file; give the folder of a prepared data set"),
        ("empty", "no dataset.json and no photographs in it; give the folder of a prepared"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(DataError) as caught:
        open_data(make(tmp_path, "", tmp_path / name))
    assert str(caught.value).startswith(f"--data {tmp_path / name}: {message}")


def test_a_folder_of_data_sets_and_a_mistyped_one(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    data = stored(tmp_path / "sets", 64)
    with pytest.raises(
        DataError, match=rf"is no data set but holds some; take {re.escape(str(data.path))}$"
    ):
        open_data(make(tmp_path, "", tmp_path / "sets"))
    with pytest.raises(DataError, match=rf"did you mean {data.path.name}\?$"):
        open_data(make(tmp_path, "", str(data.path).replace("stored", "storde")))


def test_a_damaged_or_newer_data_set_is_refused(tmp_path: Path) -> None:
    data = stored(tmp_path, 64, train=32)
    plan = make(tmp_path, "", data.path)
    about = data.path / "dataset.json"
    text = about.read_text(encoding="utf-8")
    about.write_text(text.replace('"format": 1', '"format": 9'), encoding="utf-8")
    assert "format is 9, this raycolor reads 1" in refusal(plan)
    about.write_text(text.replace(data.fingerprint, "0" * 64), encoding="utf-8")
    assert "a file was changed or damaged" in refusal(plan)


def test_the_command_refuses_before_ray_starts(tmp_path: Path) -> None:
    data = stored(tmp_path, 32, train=3)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "raycolor.search", "--data", str(data.path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert [line.split(" ")[0] for line in said] == ["data.size:", "budget.batch_size:"]
    assert not (tmp_path / "results").exists()
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pyarrow" in imported
    assert not imported & {"ray", "torch", "optuna"}


# --- data sets on shared storage


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a data set of 64 pixels."""
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    address = f"file://{tmp_path}/shared/set"
    upload(stored(tmp_path, 64).path, address)
    return address


def test_a_data_set_at_an_address_is_checked_by_its_description_then_copied(
    tmp_path: Path, shared: str
) -> None:
    plan = make(tmp_path, data=f"{shared}/", overrides={"budget.batch_size": 16})
    assert plan.data == plan.identity()["data"] == shared
    cache = tmp_path / "cache"
    about = open_data(plan)
    assert about.path == cache / "data" / about.fingerprint
    assert not cache.exists()
    told: list[str] = []
    assert check_before_trials(plan, tell=told.append) == about.fingerprint
    assert verified(about.path) == about.fingerprint
    assert len(told) == 1
    # A copy that was damaged meanwhile is noticed, and made anew.
    content = bytearray((about.path / "train.arrow").read_bytes())
    content[5000] ^= 1
    (about.path / "train.arrow").write_bytes(content)
    assert check_before_trials(plan, tell=told.append) == about.fingerprint
    assert verified(about.path) == about.fingerprint
    assert len(told) == 2


def verified(path: Path) -> str:
    data = open_prepared(path)
    verify(data)
    return data.fingerprint


def test_what_does_not_fit_is_told_with_the_address(tmp_path: Path, shared: str) -> None:
    plan = make(tmp_path, data=shared, overrides={"data.size": 96})
    assert f"is larger than the pictures of {shared} (64 pixels); take" in refusal(plan)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("http://host/set", "--data http://host/set: is no address that raycolor reads; take s3:"),
        ("s3:///set", "--data s3:///set: names no bucket"),
        ("s3://bucket/set?key=1", "--data s3://bucket/set?key=1: has 'key' after the '?'"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_with_the_plan(
    tmp_path: Path, data: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, data=data)
    assert str(caught.value).startswith(said)
    config = tmp_path / "config.yaml"
    config.write_text("losses.l1_lambda: 84")
    with pytest.raises(ConfigError) as caught:
        make_job(config, out=tmp_path / "run", data=data)
    assert str(caught.value).startswith(said)
