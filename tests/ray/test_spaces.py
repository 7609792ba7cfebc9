"""Every space that ships with raycolor, run to its end through the command line, made tiny."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raycolor.kept_plan import restored_plan
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


@dataclass(frozen=True, kw_only=True)
class Run:
    """How two trials of a space show what it is for."""

    sets: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    """One whose first suggestions are these."""
    shows: tuple[Mapping[str, object], ...] = ({}, {})
    """What the first two trials are: a part of what is suggested for each."""


# A grid would begin with the settings that other spaces run too.
RANDOM = {"study.searcher.kind": "random"}
RUNS = {
    # The encoders whose weights are downloaded.
    "backbones": Run(
        sets=RANDOM,
        seed=3,
        shows=(
            {"generator.backbone": "mobilenetv3_large_100"},
            {"generator.backbone": "resnet18"},
        ),
    ),
    "classification": Run(
        sets=RANDOM,
        seed=15,
        shows=(
            {"losses.kind": "l1_gan", "generator.predicts": "rgb"},
            {"losses.kind": "classification"},
        ),
    ),
    # The old system, and what it is compared with.
    **{
        name: Run(
            seed=9,
            shows=(
                {"generator.kind": name, "discriminator.kind": name, "losses.l1_lambda": 0},
                {"generator.kind": "unet", "discriminator.kind": "patch", "losses.l1_lambda": 100},
            ),
        )
        for name in ("gan_32", "gan_256")
    },
    # Four halvings need larger pictures, which a run of seconds has no time for.
    "losses": Run(
        sets={"discriminator.downs": 2},
        seed=26,
        shows=(
            {"losses.adversarial": "wgan_gp", "discriminator.kind": "image"},
            {"losses.label_smoothing": 0.1, "discriminator.kind": "pixel"},
        ),
    ),
    "resnet18_256": Run(sets={"pretraining.frozen_images": 16}),
}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_runs_to_its_end(home: Path, tmp_path: Path, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    wanted = RUNS.get(path.stem, Run())
    values = {**TINY, **wanted.sets}
    if "first_rung" in text:
        values["study.scheduler.first_rung"] = 32
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    words = ["--space", path.stem, "--out", str(tmp_path), "--trials", str(TRIALS)]
    words += ["--seed", str(wanted.seed)]
    code, said = run(home, [sys.executable, "-m", "raycolor.search", *words, *sets])
    assert code == 0, said
    assert "Traceback" not in said
    records = read_journal(tmp_path / path.stem / "journal")
    state = fold(records)
    assert {trial.status for trial in state.trials} <= {"completed", "pruned"}
    assert len(state.trials) == TRIALS
    for trial, shown in zip(state.trials, wanted.shows, strict=True):
        assert shown.items() <= trial.chosen.items(), "take another seed, which suggests these"
    assert (tmp_path / path.stem / "best" / "generator.safetensors").is_file()
    plan = restored_plan(state.sessions[0].plan, tmp_path / path.stem)
    assert replay(plan, records) == []
