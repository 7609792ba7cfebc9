"""Each benchmark runs, small, and writes what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
TUTORIAL = """
import torch
from torch import nn, optim


class UnetBlock(nn.Conv2d):
    pass


class Unet(nn.Sequential):
    def __init__(self):
        super().__init__(UnetBlock(1, 2, 3, padding=1), nn.Tanh())


class PatchDiscriminator(nn.Conv2d):
    pass


class GANLoss(nn.BCEWithLogitsLoss):
    pass


def init_weights(net):
    print("drawn")
    return net


def init_model(model):
    return init_weights(model)


class MainModel:
    def __init__(self):
        self.net = init_model(Unet())
        self.optimizer = optim.Adam(self.net.parameters())

    def setup_input(self, data):
        self.L, self.ab = data["L"], data["ab"]

    def optimize(self):
        self.optimizer.zero_grad()
        (self.net(self.L) - self.ab).abs().mean().backward()
        self.optimizer.step()
"""
"""What the benchmark needs of the tutorial's code, in small."""


def run(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"benchmarks/{script}", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def results(script: str, out: Path, *flags: str) -> dict[str, Any]:
    ended = run(script, "--quick", "--out", str(out), *flags)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("| ")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert found["environment"]["packages"]["torch"]
    assert found["results"]
    return found


@pytest.mark.slow
def test_data(tmp_path: Path) -> None:
    decoding, *ours = results("data.py", tmp_path / "data.json")["results"]
    assert decoding["times_decoding"] == 1
    # The goal is a hundred; a tenth of it holds on any machine, however busy.
    assert ours[0]["times_decoding"] > 10


@pytest.mark.slow
def test_step(tmp_path: Path) -> None:
    found = results("step.py", tmp_path / "step.json", "--determinism", "fast")
    (case,) = found["results"]
    assert case["determinism"] == "fast"
    assert found["tf32"] <= torch.cuda.is_available()
    assert set(case["images_per_second"]) == {"input", "pretraining_step", "adversarial_step"}
    assert min(case["images_per_second"].values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sources", "notebook"])
def test_step_beside_a_checkout(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "Image Colorization Tutorial"
    folder.mkdir()
    if form == "sources":
        (folder / "models.py").write_text(TUTORIAL, encoding="utf-8")
    else:
        cells = [
            {"cell_type": "markdown", "source": ["class Unet"]},
            {"cell_type": "code", "source": ["!pip install something"]},
            {"cell_type": "code", "source": TUTORIAL.splitlines(keepends=True)},
        ]
        notebook = json.dumps({"cells": cells})
        (folder / "tutorial.ipynb").write_text(notebook, encoding="utf-8")
    found = results("step.py", tmp_path / "step.json", "--reference", str(tmp_path))
    assert found["gigaflops_an_image"] > 0
    theirs, *ours = found["results"]
    assert theirs["times_tutorial_by_seconds"] == 1
    # One convolution against two networks.
    assert all(row["times_tutorial_by_processor_seconds"] < 1 for row in ours)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("class Unet: ...\n", encoding="utf-8")
    ended = run("step.py", "--reference", str(tmp_path))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}: it defines no UnetBlock, PatchDiscriminator")
    assert "takes a checkout of github.com/moein-shariatnia/Deep-Learning" in line
