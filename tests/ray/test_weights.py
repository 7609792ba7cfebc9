"""Weights that the driver found reach the workers through Ray, and nothing is looked for there."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from raycolor.study.journal import read_journal
from raycolor.study.records import Reported, Session

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

# The driver's own code, but for this: once it has read the file, the file is gone.
DRIVER = """
import sys
from pathlib import Path
from raycolor import preflight

found = preflight.find_pretrained

def find_and_remove(plan, tell=None):
    answer = found(plan, tell)
    Path({path!r}).unlink()
    return answer

preflight.find_pretrained = find_and_remove
from raycolor.search import main
main()
"""


def test_workers_read_no_file_of_weights(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    sets = {
        "generator.backbone": "mobilenetv3_small_050",
        "generator.weights": str(path),
        "generator.decoder_width": 8,
        "discriminator.width": 8,
        "evaluation.images": 8,
        "evaluation.extractor_size": 64,
        "budget.images": 64,
        "budget.report_every": 32,
        "study.scheduler.kind": "none",
        "pretraining.images": 32,
        "pretraining.frozen_images": 32,
        "study.resources.cpus": 1,
    }
    space = tmp_path / "tiny.yaml"
    space.write_text("search: {losses.l1_lambda: {kind: uniform, low: 50, high: 100}}\n")
    words = [sys.executable, "-c", DRIVER.format(path=str(path)), "--space", str(space)]
    words += ["--out", str(tmp_path), "--trials", "2", "--concurrent", "1"]
    words += [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    environment = {**os.environ, "HOME": str(home), "RAY_TMPDIR": str(home)}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not path.exists()
    records = read_journal(tmp_path / "tiny" / "journal")
    (session,) = [record for record in records if isinstance(record, Session)]
    assert session.environment["weights"][str(path)] == sha256
    # The second trial runs in the first one's process, and has them too.
    reports = [record for record in records if isinstance(record, Reported)]
    assert [(report.number, report.images_seen) for report in reports] == [
        (0, 32),
        (0, 64),
        (1, 32),
        (1, 64),
    ]
