"""What is said before the first trial about a data set that is none, or does not fit."""

import hashlib
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from raycolor.backbones import ENCODERS as BACKBONES
from raycolor.data import PreparedData, open_prepared, verify, write_prepared
from raycolor.errors import ConfigError, DataError, WeightsError
from raycolor.plan import Plan, make_plan
from raycolor.preflight import (
    check_before_trials,
    check_data,
    data_problems,
    find_pretrained,
    open_data,
)
from raycolor.remote.data_sets import upload
from raycolor.spaces.domains import Scalar
from raycolor.spaces.file import AT_TOP_LEVEL
from raycolor.spaces.samples import fitting_sizes, possible_weights
from raycolor.training.job import make_job
from tests.toy import toy_splits

BATCHES = """
fixed: {budget.images: 64, budget.report_every: 32}
search: {budget.batch_size: {kind: choice, values: [16, 32]}}
"""


def make(
    folder: Path,
    text: str = "",
    data: str | Path = "photos",
    space: str | None = None,
    overrides: Mapping[str, Scalar] | None = None,
) -> Plan:
    if space is None:
        path = folder / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        space = str(path)
    return make_plan(
        space=space,
        study=None,
        out=folder,
        data=str(data),
        trials=None,
        concurrent=None,
        overrides=overrides or {},
        address=None,
        time_budget_s=None,
        seed=0,
    )


def stored(folder: Path, size: int, train: int = 20, validation: int = 6) -> PreparedData:
    path = folder / f"stored-{size}-{train}-{validation}"
    path.mkdir()
    counts: Any = {"train": train, "validation": validation, "test": 1}
    return write_prepared(path, toy_splits(size, counts=counts), name="toy", source="drawn")


def refusal(plan: Plan) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        check_before_trials(plan)
    return str(caught.value)


# --- what fits


@pytest.mark.parametrize("path", sorted(AT_TOP_LEVEL.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_takes_a_data_set_of_its_size(tmp_path: Path, path: Path) -> None:
    size = int(make(tmp_path, space=path.stem).base.data.size)
    data = stored(tmp_path, size, train=128)
    plan = make(tmp_path, space=path.stem, data=data.path)
    assert check_data(plan).fingerprint == data.fingerprint


def test_the_built_in_photographs_fit_the_default_space(tmp_path: Path) -> None:
    assert len(check_before_trials(make(tmp_path, space="quickstart"))) == 64


def test_nothing_heavy_is_imported_for_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from raycolor.preflight import check_before_trials, data_problems\n"
        "print(sorted({'torch', 'ray', 'optuna', 'kornia', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- sizes

ENCODERS = "fixed: {data.size: 128}\n"
SCRATCH = "fixed: {data.size: 128, generator.backbone: scratch, discriminator.downs: 1}\n"
DEEP = "fixed: {data.size: 128, generator.backbone: scratch, generator.depth: 6}\n"
BOTH = """
fixed: {data.size: 128}
search:
  generator.backbone: {kind: choice, values: [scratch, efficientnet_lite0]}
  generator.depth: {kind: choice, values: [3, 6], when: {generator.backbone: [scratch]}}
"""
SEARCHED = "search: {data.size: {kind: choice, values: [64, 128]}}\n"
RANGE = "search: {data.size: {kind: int, low: 64, high: 128, step: 32}}\n"


@pytest.mark.parametrize(
    ("text", "size", "remedy"),
    [
        (ENCODERS, 96, "take 32, 64 or 96: --set data.size=96"),
        (ENCODERS, 100, "take 32, 64 or 96: --set data.size=96"),
        (SCRATCH, 64, "take 44, 48, 52, 56, 60 or 64: --set data.size=64"),
        (DEEP, 100, "take 64: --set data.size=64"),
        (BOTH, 96, "take 64: --set data.size=64"),
        (SEARCHED, 96, "take 32, 64 or 96: --set data.size=96"),
        (RANGE, 100, "take 32, 64 or 96: --set data.size=96"),
    ],
    ids=["encoders", "between", "scratch", "deep", "both", "searched", "range"],
)
def test_a_data_set_of_small_pictures_says_which_sizes_fit(
    tmp_path: Path, text: str, size: int, remedy: str
) -> None:
    data = stored(tmp_path, size, train=32)
    plan = make(tmp_path, text, data.path)
    assert refusal(plan) == (
        f"data.size: 128 is larger than the pictures of {data.path} ({size} pixels); {remedy}"
    )
    # What it says works.
    path, value = remedy.partition("--set ")[2].split("=")
    again = make(tmp_path, text, data.path, overrides={path: int(value)})
    assert check_before_trials(again) == data.fingerprint


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            ENCODERS,
            (
                ", and the networks of this space take no size below 32; prepare the data set "
                "again with --size 128 or more"
            ),
        ),
        (
            DEEP,
            (
                ", and the networks of this space take no size below 64; prepare the data set "
                "again with --size 128 or more"
            ),
        ),
    ],
)
def test_pictures_that_are_too_small_for_all_networks(
    tmp_path: Path, text: str, remedy: str
) -> None:
    data = stored(tmp_path, 24, train=32)
    assert refusal(make(tmp_path, text, data.path)).endswith(f"(24 pixels){remedy}")


@pytest.mark.parametrize(
    "text", [ENCODERS, SCRATCH, DEEP, BOTH], ids=["enc", "scr", "deep", "both"]
)
def test_sizes_that_fit_are_those_that_load_and_no_others(tmp_path: Path, text: str) -> None:
    fitting = fitting_sizes(make(tmp_path, text).space)
    for size in range(16, 200, 12):
        try:
            make(tmp_path, text, overrides={"data.size": size})
        except ConfigError:
            assert size not in fitting
        else:
            assert size in fitting


def test_no_size_fits_networks_that_exclude_each_other(tmp_path: Path) -> None:
    text = """
fixed: {generator.backbone: scratch, data.size: 512}
search:
  generator.depth: {kind: choice, values: [3, 9]}
"""
    assert fitting_sizes(make(tmp_path, text).space) == [512, 1024]
    data = stored(tmp_path, 32, train=32)
    assert "no size below 512" in refusal(make(tmp_path, text, data.path))


# --- counts


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "32 is more than the 20 training pictures of {}; take 2, 4, 8 or 16"),
        (
            BATCHES,
            "32 is more than the 20 training pictures of {}; take 2, 4, 8 or 16",
        ),
        (
            (
                "fixed: {budget.batch_size: 24, budget.images: 1200, budget.report_every: 240}\n"
                "search: {pretraining.images: {kind: choice, values: [0, 480]}}"
            ),
            "24 is more than the 20 training pictures of {}; take 12, 15, 16 or 20",
        ),
    ],
    ids=["default", "searched", "pretraining"],
)
def test_fewer_pictures_than_a_batch_say_which_batches_fit(
    tmp_path: Path, text: str, remedy: str
) -> None:
    data = stored(tmp_path, 64, train=20)
    plan = make(tmp_path, text, data.path)
    said = refusal(plan)
    assert said.startswith(f"budget.batch_size: {remedy.format(data.path)}: --set ")
    path, value = said.rpartition("--set ")[2].split("=")
    assert check_before_trials(make(tmp_path, text, data.path, overrides={path: int(value)}))


def test_one_validation_picture_is_too_few(tmp_path: Path) -> None:
    data = stored(tmp_path, 64, train=32, validation=1)
    assert refusal(make(tmp_path, "", data.path)) == (
        f"--data {data.path}: validation has 1 picture, but a Fréchet distance takes at least 2; "
        "prepare it again from more photographs"
    )
    two = stored(tmp_path, 64, train=32, validation=2)
    assert check_before_trials(make(tmp_path, "", two.path)) == two.fingerprint


def test_all_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    data = stored(tmp_path, 32, train=3, validation=1)
    problems = list(data_problems(make(tmp_path, "", data.path).space, data))
    assert [line.split(":")[0] for line in problems] == [
        "data.size",
        "budget.batch_size",
        f"--data {data.path}",
    ]


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


# --- weights that encoders start with


def of_random(folder: Path, backbone: str) -> Path:
    """A file of weights that fit an encoder."""
    path = folder / f"{backbone}.pth"
    torch.save(timm.create_model(backbone).state_dict(), path)
    return path


def test_weights_of_all_encoders_of_a_space_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_random(tmp_path, "mobilenetv3_small_050")
    text = f"""
search:
  generator.backbone:
    {{kind: choice, values: [scratch, efficientnet_lite0, mobilenetv3_small_050]}}
  generator.weights:
    {{kind: choice, values: [none, {path}], when: {{generator.backbone: [mobilenetv3_small_050]}}}}
"""
    plan = make(tmp_path, text)
    assert set(possible_weights(plan.space)) == {
        ("efficientnet_lite0", "imagenet"),
        ("mobilenetv3_small_050", str(path)),
    }
    fingerprints, contents = find_pretrained(plan)
    # The package's are on every worker already.
    assert contents == {str(path): path.read_bytes()}
    assert fingerprints == {
        "efficientnet_lite0": fingerprints["efficientnet_lite0"],
        str(path): hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_the_default_space_needs_no_other_weights(tmp_path: Path) -> None:
    fingerprints, contents = find_pretrained(make(tmp_path, space="quickstart"))
    assert (list(fingerprints), contents) == (["efficientnet_lite0"], {})


def test_weights_of_another_network_end_the_study_before_it_begins(tmp_path: Path) -> None:
    path = of_random(tmp_path, "mobilenetv3_small_050")
    text = f"""
fixed: {{generator.weights: {path}}}
search: {{generator.backbone: {{kind: choice, values: [resnet18, mobilenetv3_small_075]}}}}
"""
    with pytest.raises(WeightsError) as caught:
        find_pretrained(make(tmp_path, text))
    first, second = str(caught.value).splitlines()
    place = f"generator.weights: {path} for generator.backbone:"
    assert first.startswith(f"{place} resnet18: is of another network: ")
    assert second.startswith(f"{place} mobilenetv3_small_075: is of another network: ")


def test_more_than_sixteen_encoders_are_all_looked_for(tmp_path: Path) -> None:
    names = [name for name, encoder in BACKBONES.items() if encoder.url][:30]
    text = f"""
search:
  generator.backbone: {{kind: choice, values: [{", ".join(names)}]}}
  generator.weights: {{kind: choice, values: [imagenet, none]}}
"""
    wanted = possible_weights(make(tmp_path, text).space)
    assert set(wanted) == {(name, "imagenet") for name in names}


def test_weights_of_an_extractor_are_found_before_the_first_trial(
    tmp_path: Path, prepared: PreparedData
) -> None:
    fixed = (
        "fixed: {data.size: 32, budget.batch_size: 8, evaluation.extractor: %s, "
        "evaluation.extractor_weights: %s}"
    )
    missing = tmp_path / "none.pth"
    for extractor in ("inception_v3", "test_resnet"):
        plan = make(tmp_path, fixed % (extractor, missing), data=prepared.path)
        with pytest.raises(WeightsError, match=r"extractor_weights: .*none\.pth: there is no such"):
            check_before_trials(plan)
    # A network whose weights nobody vouches for is built once, on the driver.
    missing.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"none\.pth: holds no weights of test_resnet"):
        check_before_trials(plan)


def test_extractor_that_is_mistyped_is_told_with_the_plan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:1: .*'resnet5o'.* did you mean resnet50\?"):
        make(tmp_path, "fixed: {evaluation.extractor: resnet5o}")


def test_all_trials_have_one_extractor(tmp_path: Path) -> None:
    domain = "{kind: choice, values: [efficientnet_lite0, inception_v3]}"
    with pytest.raises(ConfigError, match="must be the same in all trials"):
        make(tmp_path, f"search: {{evaluation.extractor: {domain}}}")


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
