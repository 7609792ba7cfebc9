"""Strips of pictures from the sheets of trials."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raycolor.plan import Plan
from raycolor.study.naming import trial_name
from raycolor.study.page.pictures import LARGEST, strips
from raycolor.study.state import TrialState
from tests.unit.study.fakes import make
from tests.unit.study.page.studies import ROWS, SIDE, write_sheet
from tests.unit.study.told import Told


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path)


@pytest.fixture
def trial() -> TrialState:
    told = Told()
    told.report(told.ask(), 16, 70.0).report(0, 32, 60.0)
    return told.state.trials[0]


def sheet_path(plan: Plan, trial: TrialState) -> Path:
    name = trial_name(trial.number, trial.chosen)
    return plan.folder / "checkpoints" / name / "best_32.png"


def decoded(uri: str) -> np.ndarray:
    start, _, text = uri.partition(",")
    assert start == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def test_each_column_becomes_a_strip_without_loss(plan: Plan, trial: TrialState) -> None:
    write_sheet(sheet_path(plan, trial), 77)
    found = strips(trial, plan)
    assert found is not None
    assert (found.number, found.images_seen) == (ROWS, 32)
    for uri, color in (
        (found.grey, (128, 128, 128)),
        (found.predicted, (77, 80, 40)),
        (found.truth, (200, 20, 20)),
    ):
        pixels = decoded(uri)
        assert pixels.shape == (SIDE, ROWS * SIDE, 3)
        assert (pixels == color).all()


def test_large_pictures_are_made_smaller(plan: Plan, trial: TrialState) -> None:
    path = sheet_path(plan, trial)
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((256, 3 * 258 - 2, 3), np.uint8)).save(path)
    found = strips(trial, plan)
    assert found is not None
    assert decoded(found.grey).shape == (LARGEST, LARGEST, 3)


def test_a_sheet_that_is_not_there_or_damaged(plan: Plan, trial: TrialState) -> None:
    assert strips(trial, plan) is None
    path = sheet_path(plan, trial)
    write_sheet(path, 1)
    path.write_bytes(path.read_bytes()[:60])
    assert strips(trial, plan) is None
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(path)
    assert strips(trial, plan) is None


def test_a_trial_without_a_score_has_no_pictures(plan: Plan) -> None:
    told = Told()
    told.ask()
    assert strips(told.state.trials[0], plan) is None
