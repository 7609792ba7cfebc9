"""One configuration trained without a study."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from ruamel.yaml import YAML
from torch import Tensor

from raycolor import colorize, train, trial
from raycolor.checkpoint import load_tensors
from raycolor.coloring.generators import find_generator
from raycolor.config import TrialConfig, nested
from raycolor.data import PreparedData
from raycolor.environment import available_cores
from raycolor.errors import CheckpointError, ConfigError, RaycolorError
from raycolor.steps import Networks, StepLosses, adversarial_step
from raycolor.training.config_file import read_config
from raycolor.training.job import RUN, Job, make_job
from raycolor.training.reports import FILE, Row, heading, read_rows, result, told, write_rows
from raycolor.training.run import train_alone
from raycolor.training.source import Machine, Source, differences_from, source_of
from raycolor.trial import train as trial_reports
from tests.toy import TINY, tiny_config


def write(path: Path, content: Any) -> Path:
    """Write a file: text as it is, other values as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)
    return path


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


# --- runs


@pytest.fixture
def job_of(tmp_path: Path, prepared: PreparedData) -> Callable[..., Job]:
    """Makes a job of the smallest trial; keywords are paths with `__` for dots."""

    def make(**changed: Any) -> Job:
        names = [name for name in ("threads", "data", "out") if name in changed]
        flags = {name: changed.pop(name) for name in names}
        overrides = {path.replace("__", "."): value for path, value in changed.items()}
        path = write(tmp_path / "tiny.yaml", TINY)
        defaults: dict[str, Any] = {
            "out": tmp_path / "run",
            "data": str(prepared.path),
            "threads": 1,
        }
        return make_job(path, **(defaults | flags), overrides=overrides)

    return make


def run(job: Job) -> str:
    """Train, and return what was printed."""
    text = io.StringIO()
    train_alone(job, Console(file=text, width=200, highlight=False))
    return text.getvalue()


def without_times(metrics: dict[str, float]) -> dict[str, float]:
    measured = ("_seconds", "_per_second")
    return {name: metrics[name] for name in sorted(metrics) if not name.endswith(measured)}


def essence(rows: list[Row]) -> list[Any]:
    """What is the same in all runs of a configuration, to the last bit."""
    return [
        (row.images_seen, row.stage, row.gray, repr(without_times(row.metrics))) for row in rows
    ]


def test_a_run_has_the_reports_of_the_trial(
    job_of: Callable[..., Job], prepared: PreparedData, tmp_path: Path
) -> None:
    job = job_of(pretraining__images=32)
    text = run(job)
    rows = read_rows(job.folder)
    expected = [
        Row(
            images_seen=report.images_seen,
            stage=report.stage,
            metrics=report.metrics,
            gray=report.references["gray"][job.config.fid_key],
        )
        for report in trial_reports(job.config, prepared)
    ]
    assert [row.images_seen for row in rows] == [32, 64]
    assert essence(rows) == essence(expected)
    about = json.loads((job.folder / RUN).read_text())
    assert (about["threads"], about["fingerprint"]) == (1, prepared.fingerprint)
    assert about["environment"]["weights"]
    assert read_config(job.folder / "config.yaml").config({}) == job.config
    best = min(rows, key=lambda row: row.metrics[job.config.fid_key]).images_seen
    assert find_generator(str(job.folder)).name == f"best_{best}.safetensors"
    assert (job.folder / "samples_64.png").is_file()
    assert (
        f"Best: fd_efficientnet_lite0 {rows[-1].metrics['fd_efficientnet_lite0_best']:.2f}" in text
    )
    assert not list(job.folder.glob(".*.part"))


def test_a_finished_run_tells_its_result_and_writes_nothing(job_of: Callable[..., Job]) -> None:
    first = run(job_of())
    folder = job_of().folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = run(job_of())
    assert "finished" in again
    assert again.splitlines()[-4:] == first.splitlines()[-4:]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


class _Interrupting(io.StringIO):
    """A terminal at which somebody presses Ctrl-C when a report appears."""

    def write(self, text: str) -> int:
        if text.lstrip().startswith("32 "):
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_run_goes_on_as_if_never_interrupted(
    job_of: Callable[..., Job], tmp_path: Path, damaged: bool
) -> None:
    whole = job_of(out=tmp_path / "whole", budget__images=96)
    run(whole)
    job = job_of(budget__images=96)
    with pytest.raises(KeyboardInterrupt):
        train_alone(job, Console(file=_Interrupting(), width=200, highlight=False))
    assert [row.images_seen for row in read_rows(job.folder)] == [32]
    if damaged:
        for path in job.folder.glob("checkpoint*.safetensors"):
            path.write_bytes(b"")
    text = run(job_of(budget__images=96, threads=None))
    assert len([line for line in text.splitlines() if " GAN " in line]) == 3
    assert essence(read_rows(job.folder)) == essence(read_rows(whole.folder))
    ours, theirs = (load_tensors(find_generator(str(j.folder))) for j in (job, whole))
    assert ours[1] == theirs[1]
    assert all(tensor.equal(theirs[0][name]) for name, tensor in ours[0].items())


def test_a_run_with_a_schedule_cannot_be_made_longer(job_of: Callable[..., Job]) -> None:
    run(job_of(optimizers__generator__schedule="cosine"))
    with pytest.raises(ConfigError, match=r"budget\.images: was 64, is now 96; a learning rate's"):
        job_of(optimizers__generator__schedule="cosine", budget__images=96)


def test_a_longer_run_goes_on_and_a_shorter_one_is_refused(job_of: Callable[..., Job]) -> None:
    run(job_of())
    run(job_of(budget__images=96))
    assert [row.images_seen for row in read_rows(job_of(budget__images=96).folder)] == [32, 64, 96]
    with pytest.raises(ConfigError, match=r"budget\.images: was 96, is now 64; it can only grow"):
        job_of()


def test_another_configuration_is_refused_with_what_differs(
    job_of: Callable[..., Job], prepared_large: PreparedData
) -> None:
    run(job_of())
    with pytest.raises(ConfigError) as caught:
        job_of(losses__l1_lambda=7, seed=4, threads=2)
    assert str(caught.value).splitlines()[1:] == [
        "  losses.l1_lambda: was 100.0, is now 7.0",
        "  seed: was 0, is now 4",
        "  threads: was 1, is now 2",
    ]
    for images in (64, 96):
        job = job_of(data=str(prepared_large.path), budget__images=images)
        with pytest.raises(ConfigError, match=rf"data: was .*, is now {prepared_large.path} "):
            run(job)


def test_a_folder_with_something_else_in_it_is_left_alone(
    job_of: Callable[..., Job], tmp_path: Path
) -> None:
    mine = write(tmp_path / "run" / "letters.txt", "my letters")
    with pytest.raises(
        ConfigError, match=r"is not empty and holds no run \(such as letters\.txt\)"
    ):
        job_of()
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        job_of(out=mine)
    assert [path.name for path in mine.parent.iterdir()] == ["letters.txt"]


@pytest.mark.parametrize("name", [RUN, "config.yaml", FILE])
def test_damage_is_told(job_of: Callable[..., Job], name: str) -> None:
    run(job_of())
    write(job_of().folder / name, "]")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(job_of())


def test_two_do_not_train_in_one_folder(job_of: Callable[..., Job]) -> None:
    job = job_of()

    class Second(io.StringIO):
        def write(self, text: str) -> int:
            if text.lstrip().startswith("32 "):
                with pytest.raises(CheckpointError, match="another training works in it"):
                    run(job)
                said.append(True)
            return super().write(text)

    said: list[bool] = []
    train_alone(job, Console(file=Second(), width=200, highlight=False))
    assert said


def test_a_run_that_diverges_says_what_to_do(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job_of())
    good = find_generator(str(job_of().folder)).read_bytes()

    def poisoned(networks: Networks, config: TrialConfig, rgb_u8: Tensor) -> StepLosses:
        with torch.no_grad():
            next(networks.generator.parameters()).fill_(math.nan)
        return adversarial_step(networks, config, rgb_u8)

    monkeypatch.setattr(trial, "adversarial_step", poisoned)
    with pytest.raises(RaycolorError, match=r"run: diverged after 96 images: .*Take smaller"):
        run(job_of(budget__images=96))
    assert find_generator(str(job_of(budget__images=96).folder)).read_bytes() == good


def test_bad_data_is_told_before_anything_is_written(
    job_of: Callable[..., Job], tmp_path: Path
) -> None:
    job = job_of(data=str(tmp_path / "nowhere"))
    with pytest.raises(RaycolorError, match="there is no such folder"):
        run(job)
    assert [path.name for path in job.folder.iterdir()] == [".lock"]
    run(job_of())


def test_a_table_keeps_every_bit(tmp_path: Path) -> None:
    rows = [
        Row(images_seen=1, stage="pretraining", metrics={"a": 0.1 + 0.2}, gray=1 / 3),
        Row(images_seen=2, stage="adversarial", metrics={"a": math.inf, "b": -1e-300}, gray=0.0),
    ]
    write_rows(tmp_path, rows)
    assert read_rows(tmp_path) == rows
    assert read_rows(tmp_path / "nothing") == []


def test_lines_are_aligned_and_tell_what_is_left() -> None:
    metrics = {
        "generator_loss": 12.34,
        "generator_l1_loss": 0.0812,
        "fd": 81.5,
        "fd_best": 80.0,
        "images_per_second": 64.0,
        "evaluate_seconds": 6.0,
    }
    row = Row(images_seen=1024, stage="pretraining", metrics=metrics, gray=100.0)
    line = told(row, distance="fd", images=4096, every=512)
    head = heading("fd").splitlines()[1]
    assert len(line) == len(head)
    # 3,072 images at 64 a second, and 6 reports of 3 s.
    assert line.split()[-1] == "1:06"
    assert "20.0% under" in line
    assert line.split()[:4] == ["1,024", "pretrain", "12.3", "0.0812"]
    best = Row(images_seen=512, stage="pretraining", metrics={"fd": 80.0}, gray=100.0)
    end = "20.0% under the 100.00 of grey pictures."
    assert result([best, row], distance="fd") == f"Best: fd 80.00 at 512 images, {end}"
    assert result([row], distance="fd") == f"Best: fd 80.00, {end}"


# --- the command line


def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["raycolor-train", *map(str, words)])
    code = 0
    try:
        train.main()
    except SystemExit as ending:
        code = int(str(ending.code or 0))
    out, err = capsys.readouterr()
    return code, out, err


def test_problems_of_flags_and_file_come_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "my.yaml", "generator.widht: 3\n")
    words = (path, "--threads", 0, "--set", "foo", "--set", "data.size=x", "--dry-run")
    code, out, err = command(capsys, monkeypatch, *words)
    assert (code, out) == (2, "")
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "--set foo: give PATH=VALUE, as in --set losses.l1_lambda=100",
        "--threads 0: give a number from 1 to 4096",
        "--set data.size=x: 'x' is text",
        f"{path}:1: generator.widht: there is no such setting",
    ]


def test_a_dry_run_writes_nothing_and_imports_no_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "my.yaml", TINY)
    code = (
        "import sys; from raycolor.train import main; main(); "
        "print([n for n in ('torch', 'ray', 'optuna') if n in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(path), "--dry-run"]
    root = Path(train.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "  losses: {kind: l1_gan, adversarial: vanilla, l1_lambda: 100, " in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["my.yaml"]


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again_and_a_photograph(
    tmp_path: Path,
    prepared: PreparedData,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(tmp_path / "my.yaml", {**TINY, "budget.images": 1280})
    out = tmp_path / "run"
    words = [str(path), "--data", str(prepared.path), "--out", str(out), "--threads", "1"]
    root = Path(train.__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-m", "raycolor.train", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as process:
        deadline = time.monotonic() + 120
        while not (out / FILE).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        complaint.strip() == f"Interrupted; the same command goes on from the checkpoint in {out}."
    )
    assert "Traceback" not in printed + complaint
    assert read_rows(out)[-1].images_seen < 1280
    code, text, err = command(capsys, monkeypatch, *words)
    assert (code, err) == (0, "")
    assert "Best: " in text
    assert [row.images_seen for row in read_rows(out)] == list(range(32, 1281, 32))

    photo = tmp_path / "photo.png"
    ramp = np.linspace(0, 255, 40 * 30 * 3).reshape(30, 40, 3).astype(np.uint8)
    Image.fromarray(ramp).save(photo)
    colored = tmp_path / "colored"
    words = ["raycolor-colorize", str(photo), "--from", str(out), "--out", str(colored)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="0"):
        colorize.main()
    with Image.open(colored / "photo.png") as picture:
        assert picture.size == (40, 30)
