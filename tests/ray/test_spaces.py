"""Every space that ships with raycolor, run to its end through the command line, made tiny."""

import sys
from pathlib import Path

import pytest

from raycolor.plan import restored_plan
from raycolor.study.journal import read_journal
from raycolor.study.rules import replay
from raycolor.study.state import fold
from tests.ray.test_search import run

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
TRIALS = 2
TINY = {
    "data.size": 32,
    "generator.width": 8,
    "generator.decoder_width": 16,
    # No network can be reached from a test; that they are fetched is tested elsewhere.
    "generator.weights": "none",
    "discriminator.width": 8,
    "evaluation.images": 8,
    "evaluation.extractor": "efficientnet_lite0",
    "evaluation.extractor_size": 64,
    "budget.images": 64,
    "budget.report_every": 32,
    "budget.batch_size": 16,
    "pretraining.images": 32,
    "study.resources.cpus": 1,
    "study.confirm.top": "null",
}
OF_SPACE: dict[str, dict[str, object]] = {
    # Four halvings need larger pictures, which a run of seconds has no time for.
    "losses": {"discriminator.downs": 2},
    "resnet18_256": {"pretraining.frozen_images": 16},
}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_runs_to_its_end(home: Path, tmp_path: Path, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    values = TINY | OF_SPACE.get(path.stem, {})
    if "first_rung" in text:
        values["study.scheduler.first_rung"] = 32
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    words = ["--space", path.stem, "--out", str(tmp_path), "--trials", str(TRIALS)]
    code, said = run(home, [sys.executable, "-m", "raycolor.search", *words, *sets])
    assert code == 0, said
    assert "Traceback" not in said
    records = read_journal(tmp_path / path.stem / "journal")
    state = fold(records)
    assert {trial.status for trial in state.trials} <= {"completed", "pruned"}
    assert len(state.trials) == TRIALS
    assert (tmp_path / path.stem / "best" / "generator.safetensors").is_file()
    plan = restored_plan(state.sessions[0].plan, tmp_path / path.stem)
    assert replay(plan, records) == []
