"""Settings of a run without a study: their file, and the study that they come from."""

import json
from pathlib import Path
from typing import Any

import pytest

from raycolor.config import TrialConfig, nested
from raycolor.environment import available_cores
from raycolor.errors import CheckpointError, ConfigError
from raycolor.training.config_file import read_config
from raycolor.training.job import make_job
from raycolor.training.source import Machine, Source, differences_from, source_of
from tests.toy import TINY, tiny_config
from tests.unit.config_files import write

# --- files of settings


def test_a_tree_dotted_paths_and_a_mixture_say_the_same(tmp_path: Path) -> None:
    config = tiny_config({"losses.l1_lambda": 12.5, "generator.depth": None, "seed": 7})
    mixed = {"data": {"size": 32}, "generator.backbone": "scratch"}
    mixed |= {"generator": {"width": 4}, "optimizers": {"generator.beta1": 0.25}}
    for name, tree, expected in (
        ("whole", config.model_dump(mode="json"), config),
        ("dotted", TINY, tiny_config()),
        ("nested", nested(TINY), tiny_config()),
        ("mixed", mixed, None),
    ):
        read = read_config(write(tmp_path / f"{name}.yaml", tree)).config({})
        if expected is not None:
            assert read == expected
    assert (read.generator.width, read.optimizers.generator.beta1) == (4, 0.25)
    assert read.budget == TrialConfig().budget


def test_flags_replace_what_the_file_says_even_what_is_wrong_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "losses: {l1_lambda: high}\nseed: 3\n")
    config = read_config(path, {"losses.l1_lambda": 7, "budget.images": 2048}).config({})
    assert (config.losses.l1_lambda, config.seed, config.budget.images) == (7.0, 3, 2048)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('data: {size: "64"}\n', [":1: data.size: '64' is text; write 64 without quotes"]),
        ("generator.width: 3.5\n", [":1: generator.width: 3.5 is too small; take a whole number"]),
        (
            "\n\nlosses:\n  l1_lamda: 3\n",
            [":4: losses.l1_lamda: there is no such setting; did you"],
        ),
        (
            "losess: {l1_lambda: 3}\n",
            [":1: losess: there is no such setting; did you mean losses?"],
        ),
        ("optimizers: 3\n", [":1: optimizers: is a group of settings; name one of optimizers.gen"]),
        ("data: photos\n", [":1: data: is a group of settings; name one of data.size"]),
        (
            "study.trials: 3\n",
            [":1: study.trials: is a setting of a study, and a single trial has"],
        ),
        (
            "losses.l1_lambda: {kind: loguniform, low: 3, high: 30}\n",
            [":1: losses.l1_lambda: is a domain of a search, but a single trial has one value; ta"],
        ),
        ("seed: 1\nseed: 2\n", [":2: seed: stands in line 1 already; keep one of the two"]),
        (
            "data.size: 64\ndata:\n  size: 64\n",
            [":3: data.size: stands in line 1 already; keep one of the two"],
        ),
        (
            "budget: {images: 500, report_every: 100, batch_size: 48}\n",
            [
                ":1: budget.report_every: 100 is no multiple of budget.batch_size: 48; take",
                ":1: budget.images: 500 is no multiple of budget.batch_size: 48; take",
            ],
        ),
        # What is left out has its default, and may clash all the same.
        (
            "budget.batch_size: 48\n",
            [": budget.report_every: 1024, the default, is no multiple of budget.batch_size: 48"],
        ),
        ("data.size: 65\n", [":1: data.size: 65 is no multiple of 32, which generator.backbone"]),
        (
            "precision: half\nfoo: 1\ndata.flip: yes\n",
            [
                ":1: precision: 'half' is not possible; take auto, float32 or bfloat16",
                ":2: foo: there is no such setting (",
                ":3: data.flip: 'yes' is text; write true",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    path = write(tmp_path / "my.yaml", text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    found = str(caught.value).splitlines()
    assert len(found) == len(lines), found
    for line, beginning in zip(found, lines, strict=True):
        assert line.startswith(f"{path}{beginning}"), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no settings; a file of settings has lines such as `losses.l1_lambda: 100`"),
        ("- 1\n", "holds a list; a file of settings has lines"),
        ("word\n", "holds the text 'word'; a file of settings"),
        ("fixed: {data.size: 64}\nsearch: {}\n", "has fixed and search, as a search-space file"),
    ],
)
def test_what_is_no_file_of_settings(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "my.yaml", text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    best = write(tmp_path / "study" / "best" / "config.yaml", TINY)
    for path, hint in (
        (tmp_path / "study", f"is a folder; did you mean {best}?"),
        (best.parent, f"is a folder; did you mean {best}?"),
        (best.with_name("confg.yaml"), f"there is no such file; did you mean {best}?"),
        (tmp_path / "no" / "a.yaml", "there is no such file; name one, as results/STUDY/best"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_config(path)
        assert str(caught.value).startswith(f"{path}: {hint}")


# --- where a configuration came from

SOURCE = {
    "study": "quick",
    "trial": "003_lite0",
    "images_seen": 64,
    "data": "photos",
    "fingerprint": "abc",
    "threads": [3],
    "gpus": 0.0,
    "processor": "P",
    "torch": "2.14",
}


def study_config(tmp_path: Path, **source: Any) -> Path:
    """A study's `best/`, with what is written beside the configuration."""
    config = write(tmp_path / "results" / "quick" / "best" / "config.yaml", TINY)
    write(config.with_name("source.json"), json.dumps({**SOURCE, **source}))
    return config


def test_threads_data_and_name_come_from_the_study(tmp_path: Path) -> None:
    config = study_config(tmp_path)
    job = make_job(config)
    assert (job.threads, job.plan.data) == (3, "photos")
    assert job.folder == Path("runs") / "quick_003_lite0"
    assert "trial 003_lite0 of the study quick" in job.describe()
    other = make_job(config, threads=2, data=str(tmp_path), out=tmp_path / "mine")
    assert (other.threads, other.plan.data, other.folder) == (2, str(tmp_path), tmp_path / "mine")
    elsewhere = make_job(write(tmp_path / "copied.yaml", config.read_text()))
    assert (elsewhere.threads, elsewhere.source) == (available_cores(), None)
    assert elsewhere.folder == Path("runs") / "copied"


def test_a_study_that_wrote_less_beside_its_winner(tmp_path: Path) -> None:
    config = study_config(tmp_path)
    write(config.with_name("source.json"), '{"trial": "003_lite0", "images_seen": 64}')
    source = source_of(config)
    assert source == Source(study="quick", trial="003_lite0")
    assert make_job(config).threads == available_cores()


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"trial": 3}', '{"trial": "a", "threads": "x"}']
)
def test_a_damaged_source_is_told(tmp_path: Path, text: str) -> None:
    config = study_config(tmp_path)
    write(config.with_name("source.json"), text)
    with pytest.raises(CheckpointError, match=r"source\.json: cannot be read"):
        make_job(config)


MACHINE: dict[str, Any] = {
    "threads": 3,
    "on_gpu": False,
    "processor": "P",
    "torch": "2.14",
    "fingerprint": "abc",
}


@pytest.mark.parametrize(
    ("machine", "source", "said"),
    [
        ({}, {}, []),
        ({"threads": 2}, {}, ["threads: 2; the study's trial had 3"]),
        ({}, {"threads": [2, 3]}, ["threads: 3; the study's trial had 2 and 3, one by one"]),
        ({}, {"threads": []}, ["threads: 3; nothing tells how many the study's trial had"]),
        ({"on_gpu": True}, {}, ["device: a GPU; the study's trial had no GPU"]),
        ({}, {"gpus": 0.5}, ["device: no GPU; the study's trial had a GPU"]),
        ({"processor": "Q"}, {}, ["processor: Q; the study's trial had P"]),
        ({"torch": "3"}, {}, ["torch: 3; the study's trial had 2.14"]),
        ({"fingerprint": "d"}, {}, ["data: another data set than the study's"]),
        ({}, {"gpus": None, "processor": None, "torch": None, "fingerprint": None}, []),
    ],
)
def test_what_keeps_the_bits_from_coming_again_is_said(
    machine: dict[str, Any], source: dict[str, Any], said: list[str]
) -> None:
    told = differences_from(
        Source.model_validate({**SOURCE, **source}), Machine(**{**MACHINE, **machine})
    )
    assert told == said
