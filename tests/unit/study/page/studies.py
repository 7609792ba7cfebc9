"""Studies for a page: journals told by hand or run with known curves, with pictures beside them."""

from pathlib import Path

import numpy as np
from PIL import Image

from raycolor.plan import Plan
from raycolor.sheet import GAP
from raycolor.study.findings import findings
from raycolor.study.naming import trial_name
from raycolor.study.page.write import render
from raycolor.study.state import StudyState, fold
from tests.unit.study.fakes import OBJECTIVE, Workers, make, run, sick_curve

ROWS, SIDE = 4, 16


def write_sheet(path: Path, shade: int) -> None:
    """Write a sheet of ROWS photographs: grey, predicted in a shade, truth in red."""
    sheet = np.full((ROWS * (SIDE + GAP) - GAP, 3 * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for row in range(ROWS):
        top = row * (SIDE + GAP)
        for column, color in enumerate(((128, 128, 128), (shade, 80, 40), (200, 20, 20))):
            left = column * (SIDE + GAP)
            sheet[top : top + SIDE, left : left + SIDE] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def with_pictures(state: StudyState, plan: Plan) -> StudyState:
    """Write the sheet of the best generator of each trial that has one."""
    for trial in state.trials:
        if (images := trial.best_images(OBJECTIVE)) is not None:
            folder = plan.folder / "checkpoints" / trial_name(trial.number, trial.chosen)
            write_sheet(folder / f"best_{images}.png", 10 * trial.number)
    return state


def sick_study(folder: Path, trials: int = 14) -> tuple[StudyState, Plan]:
    """A finished study with pruned, diverged, failed and completed trials, and pictures."""
    plan = make(folder, trials=trials)
    workers = Workers(curve=sick_curve, in_flight=2)
    return with_pictures(fold(run(plan, workers)), plan), plan


def page_of(state: StudyState, plan: Plan) -> str:
    return render(findings(state, plan), state, plan)
