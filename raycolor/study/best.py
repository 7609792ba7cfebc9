"""`best/`: the winner's generator, its configuration and its pictures, ready for use."""

import json
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from raycolor.files import replacing, write_text
from raycolor.plan import Plan
from raycolor.study.configs import config_of
from raycolor.study.confirmation import winner
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState

GENERATOR = "generator.safetensors"
CONFIG = "config.yaml"
SAMPLES = "samples.png"


def write_best(folder: Path, state: StudyState, plan: Plan) -> None:
    """Copy the best generator so far from its trial's checkpoints.

    Nothing is done before the first report, or while `best/` holds that generator already.

    Args:
        folder: the study's.
        state: of the study.
        plan: of the study.
    """
    trial = winner(state, plan)
    if trial is None:
        return
    images = trial.best_images(plan.objective)
    target = folder / "best"
    name = trial_name(trial.number, trial.chosen)
    source = folder / "checkpoints" / name / f"best_{images}.safetensors"
    mark = target / "source.json"
    origin = json.dumps({"trial": name, "images_seen": images})
    complete = all((target / part).is_file() for part in (GENERATOR, SAMPLES, CONFIG, mark.name))
    if not source.is_file() or (complete and mark.read_text(encoding="utf-8") == origin):
        return
    mark.unlink(missing_ok=True)
    _copy(source, target / GENERATOR)
    _copy(source.with_suffix(".png"), target / SAMPLES)
    config = config_of(trial, plan)
    with replacing(target / CONFIG) as beside, beside.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(config.model_dump(mode="json"), file)
    # Last, so that a torn copy is made again.
    write_text(mark, origin)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as beside:
        shutil.copyfile(source, beside)
