"""The command that trains one configuration without a study."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raycolor import colorize, train
from raycolor.data import PreparedData
from raycolor.training.reports import FILE, read_rows
from tests.toy import TINY
from tests.unit.config_files import write


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
