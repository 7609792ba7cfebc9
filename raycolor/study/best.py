"""`best/`: the winner's generator, its configuration and its pictures, ready for use.

`source.json` beside them says where they came from, and what it takes to train the same bits again.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from raycolor.files import replacing, write_text
from raycolor.intact import is_intact
from raycolor.plan import Plan
from raycolor.remote.mirror import is_copy
from raycolor.study.configs import config_of
from raycolor.study.confirmation import winner
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

GENERATOR = "generator.safetensors"
CONFIG = "config.yaml"
SAMPLES = "samples.png"
SOURCE = "source.json"


def write_best(state: StudyState, plan: Plan) -> None:
    """Copy the best generator so far from its trial's checkpoints.

    Nothing is done before the first report, or while `best/` holds that generator already. A file
    that was truncated or altered is set aside as `*.damaged`, and the trial's best one before it is
    taken.

    Args:
        state: of the study.
        plan: of the study.

    Raises:
        OSError, StorageError: the storage refuses.
    """
    trial = winner(state, plan)
    if trial is None:
        return
    target = plan.folder / "best"
    kept = Path("checkpoints") / trial_name(trial.number, trial.chosen)
    mark = target / SOURCE
    complete = all((target / part).is_file() for part in (GENERATOR, SAMPLES, CONFIG, mark.name))
    held = mark.read_text(encoding="utf-8") if complete else None
    if held is not None and held == _origin(trial, state, plan, trial.best_images(plan.objective)):
        return
    for images in _generators(plan, kept, trial.best_images(plan.objective)):
        origin = _origin(trial, state, plan, images)
        if held == origin:
            return
        source = plan.files.fetch(str(kept / f"best_{images}.safetensors"))
        if is_intact(source):
            break
        source.replace(source.with_name(f"{source.name}.damaged"))
    else:
        return
    mark.unlink(missing_ok=True)
    _copy(source, target / GENERATOR)
    _copy(plan.files.fetch(str(kept / f"best_{images}.png")), target / SAMPLES)
    config = config_of(trial, plan)
    with replacing(target / CONFIG) as beside, beside.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(config.model_dump(mode="json"), file)
    # Last, so that a torn copy is made again.
    write_text(mark, origin)


def origin_of(trial: TrialState, state: StudyState, plan: Plan) -> dict[str, Any]:
    """Say where a trial's best generator came from.

    Args:
        trial: with at least one report.
        state: of the study.
        plan: of the study.

    Returns:
        Study, trial and image count; and what else determines the bits: the data set with its
        fingerprint, the numbers of threads that the trial had (one, unless sessions gave it
        different ones), and versions and hardware of the last session that it reported in.
    """
    session = state.sessions[trial.sessions[-1]]
    environment = session.environment
    given = [state.resources[index] for index in trial.sessions if index in state.resources]
    return {
        "study": plan.study,
        "trial": trial_name(trial.number, trial.chosen),
        "images_seen": trial.best_images(plan.objective),
        "data": plan.data,
        "fingerprint": session.identity["fingerprint"],
        "threads": sorted({resources.cpus for resources in given}),
        "gpus": given[-1].gpus if given else None,
        "processor": environment.get("processor"),
        "torch": environment.get("packages", {}).get("torch"),
        "raycolor": environment.get("raycolor"),
        "commit": environment.get("commit"),
    }


def _origin(trial: TrialState, state: StudyState, plan: Plan, images: int | None) -> str:
    tree = origin_of(trial, state, plan) | {"images_seen": images}
    return json.dumps(tree, indent=2) + "\n"


def _generators(plan: Plan, kept: Path, best: int | None) -> Iterator[int]:
    """Yield the image counts of a trial's generators: its best one, then those before it."""
    if best is None:
        return
    name = f"best_{best}.safetensors"
    there = {Path(path).name for path in plan.files.files(str(kept))}
    damaged = plan.folder / kept / f"{name}.damaged"
    bucket = plan.files.bucket
    known = bucket is not None and is_copy(damaged, bucket, str(kept / name))
    if name in there and not known:
        yield best
    # An earlier one stands in for a damaged one only: one that is not there yet may still come.
    if not damaged.is_file():
        return
    found = (re.fullmatch(r"best_(\d+)\.safetensors", path) for path in there)
    yield from sorted((int(m[1]) for m in found if m and int(m[1]) < best), reverse=True)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as beside:
        shutil.copyfile(source, beside)
