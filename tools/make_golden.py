"""Write a study of this version for `tests/golden`, which all later versions have to open.

    python tools/make_golden.py tests/golden/study_v3

On shared storage, with all kinds of records that need no GPU: a worker is killed, a larger budget
and `--revive` reopen trials, the winner is confirmed and scored on the test split. A study that is
there already is never written anew.

    <name>.yaml  leaderboard.csv      its space, and a view of it
    journal/                          segments; the first has as many records as a segment holds
    checkpoints/<trial>/              one checkpoint, of a pruned trial
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from raycolor.remote.bucket import Bucket
from raycolor.study.naming import trial_name
from raycolor.study.records import Reported
from raycolor.study.segments import read_segments
from raycolor.study.state import TrialState, fold

STORAGE = Path(tempfile.gettempdir()) / "golden"
"""The address is in the journal, so it has to be anybody's."""
CHECKPOINT = "checkpoint.safetensors"
SPACE = """\
study:
  trials: 5
  concurrent: 1
  searcher: {kind: tpe, startup_trials: 2}
  scheduler: {kind: asha, first_rung: 16, reduction: 2}
  resources: {cpus: 1}
  confirm: {top: 1, seeds: 2}
fixed:
  data.size: 32
  generator.backbone: scratch
  generator.width: 4
  generator.depth: 2
  discriminator.width: 4
  discriminator.downs: 1
  evaluation.images: 8
  evaluation.extractor_size: 64
  budget.images: 512
  budget.report_every: 16
  budget.batch_size: 16
search:
  losses.l1_lambda: {kind: loguniform, low: 30, high: 300}
  optimizers.generator.learning_rate: {kind: loguniform, low: 1.0e-4, high: 1.0e-2}
  generator.dropout: {kind: choice, values: [0.0, 0.5]}
  pretraining.images: {kind: choice, values: [0, 32]}
  pretraining.learning_rate:
    {kind: loguniform, low: 3.0e-4, high: 3.0e-3, when: {pretraining.images: [32]}}
"""
LARGER = 544
"""Images of the budget in the second session."""


def main() -> None:
    """Search twice, and keep what tests need."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to be made")
    out: Path = parser.parse_args().out
    for folder in (out, STORAGE):
        if folder.exists():
            parser.error(f"{folder}: is there already, and is never written anew")
    STORAGE.mkdir()
    try:
        study = search(out.name)
        keep(study, out)
    finally:
        shutil.rmtree(STORAGE)


def search(name: str) -> Path:
    """Run the study's two sessions; return its folder."""
    (STORAGE / f"{name}.yaml").write_text(SPACE, encoding="utf-8")
    words = [sys.executable, "-m", "raycolor.search", "--space", f"{name}.yaml", "--seed", "2"]
    words += ["--out", f"file://{STORAGE}/studies"]
    place = Bucket(f"file://{STORAGE}/studies/{name}")
    with subprocess.Popen(words, cwd=STORAGE) as process:
        # In the midst of the first trial.
        while sum(isinstance(record, Reported) for record in read_segments(place)) < 8:
            time.sleep(0.02)
        worker_of(process).kill()
    trials = fold(read_segments(place)).trials
    revived = next(trial.number for trial in trials if trial.status == "pruned")
    more = ["--set", f"budget.images={LARGER}", "--revive", str(revived)]
    subprocess.run([*words, *more], cwd=STORAGE, check=True)
    return STORAGE / "studies" / name


def worker_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the process that trains; Ray writes what a worker does into its title."""
    family = psutil.Process(process.pid).children(recursive=True)
    return next(one for one in family if re.match(r"ray::\w*Trainable", " ".join(one.cmdline())))


def keep(study: Path, out: Path) -> None:
    """Copy what tests need of a study."""
    state = fold(read_segments(Bucket(f"file://{study}")))
    out.mkdir()
    shutil.copyfile(STORAGE / f"{out.name}.yaml", out / f"{out.name}.yaml")
    shutil.copyfile(study / "leaderboard.csv", out / "leaderboard.csv")
    shutil.copytree(study / "journal", out / "journal")

    def checkpoint(trial: TrialState) -> Path:
        return Path("checkpoints") / trial_name(trial.number, trial.chosen) / CHECKPOINT

    smallest = min(
        (checkpoint(trial) for trial in state.trials if trial.status == "pruned"),
        key=lambda path: (study / path).stat().st_size,
    )
    (out / smallest).parent.mkdir(parents=True)
    shutil.copyfile(study / smallest, out / smallest)


if __name__ == "__main__":
    main()
