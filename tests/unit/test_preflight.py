"""What is said before the first trial about a data set that does not fit."""

import subprocess
import sys
from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from raycolor.preflight import check_before_trials, check_data, data_problems
from raycolor.spaces.file import AT_TOP_LEVEL
from raycolor.spaces.samples import fitting_sizes
from tests.unit.fitting import make, refusal, stored

BATCHES = """
fixed: {budget.images: 64, budget.report_every: 32}
search: {budget.batch_size: {kind: choice, values: [16, 32]}}
"""


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
