"""A study's winner, trained once more without Ray, has the bits that it had in the study."""

import json
import sys
from pathlib import Path

import pytest

from raycolor.checkpoint import load_tensors
from raycolor.spaces.domains import Scalar
from raycolor.study.best import CONFIG, GENERATOR, SOURCE
from raycolor.study.journal import read_journal
from raycolor.study.records import Resources
from raycolor.study.state import StudyState, TrialState, fold
from raycolor.training.reports import read_rows
from raycolor.weights import weights_fingerprints
from tests.ray.test_search import TINY, run

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SETTINGS: dict[str, Scalar] = {**TINY, "budget.images": 160}
MEASURED = ("_seconds", "_per_second", "_gib", "_inherited")
"""Endings of metrics that differ from run to run."""
OBJECTIVE = "fd_efficientnet_lite0_best"


@pytest.fixture(scope="module")
def study(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two trials at once, each with one of the cores."""
    out = tmp_path_factory.mktemp("results")
    words = [sys.executable, "-m", "raycolor.search", "--study", "tiny", "--out", str(out)]
    words += ["--trials", "2", "--concurrent", "2"]
    words += [word for path, value in SETTINGS.items() for word in ("--set", f"{path}={value}")]
    code, text = run(home, words)
    assert code == 0, text
    return out / "tiny"


@pytest.fixture(scope="module")
def again(home: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The winner, trained once more with no flag but the folder."""
    out = tmp_path_factory.mktemp("runs") / "again"
    words = [sys.executable, "-m", "raycolor.train", str(study / "best" / CONFIG)]
    code, text = run(home, [*words, "--out", str(out)])
    assert code == 0, text
    assert "may differ from the study's" not in text
    return out


def winner(study: Path) -> tuple[StudyState, TrialState]:
    state = fold(read_journal(study / "journal"))
    best = state.best_trial(OBJECTIVE)
    assert best is not None
    return state, best


def test_all_reports_are_the_study_s_to_the_last_bit(study: Path, again: Path) -> None:
    state, trial = winner(study)
    rows = read_rows(again)
    assert [row.images_seen for row in rows] == list(range(32, 161, 32))
    assert len(trial.reports) >= 1
    for report, row in zip(trial.reports, rows, strict=False):
        assert (report.images_seen, report.stage) == (row.images_seen, row.stage)
        then, now = (
            {name: repr(value) for name, value in metrics.items() if not name.endswith(MEASURED)}
            for metrics in (report.metrics, row.metrics)
        )
        assert then == now
        assert row.gray == state.references["gray"]["fd_efficientnet_lite0"]


def test_the_generator_is_the_study_s_to_the_last_bit(study: Path, again: Path) -> None:
    _, trial = winner(study)
    theirs, _ = load_tensors(study / "best" / GENERATOR)
    ours, about = load_tensors(again / f"best_{trial.best_images(OBJECTIVE)}.safetensors")
    assert about["images_seen"] == trial.best_images(OBJECTIVE)
    assert theirs.keys() == ours.keys()
    for name, tensor in theirs.items():
        assert tensor.dtype == ours[name].dtype
        assert tensor.numpy().tobytes() == ours[name].numpy().tobytes(), name


def test_the_threads_of_the_trial_are_written_down_and_taken(study: Path, again: Path) -> None:
    source = json.loads((study / "best" / SOURCE).read_text())
    assert source["threads"] == [SETTINGS["study.resources.cpus"]]
    assert json.loads((again / "run.json").read_text())["threads"] == source["threads"][0]


def test_where_a_study_s_results_came_from(study: Path) -> None:
    state, _ = winner(study)
    environment = json.loads((study / "environment.json").read_text())
    records = read_journal(study / "journal")
    (resources,) = [record for record in records if isinstance(record, Resources)]
    assert environment["resources"] == {
        "cpus": resources.cpus,
        "threads": 1,
        "gpus": resources.gpus,
        "concurrent": 2,
        "machines": 1,
    }
    assert environment["weights"] == weights_fingerprints()
    assert environment["extractor"]["sha256"] == weights_fingerprints()["efficientnet_lite0"]
    assert environment["data_fingerprint"] == state.sessions[-1].identity["fingerprint"]
    assert (environment["study_seed"], environment["determinism"]) == (0, "exact")
    # But for the command as it was given.
    text = json.dumps({**environment, "command": ""})
    assert str(study.parent) not in text
    assert str(Path(sys.executable).parent) not in text
