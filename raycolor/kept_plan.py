"""What a journal keeps of a plan: made again, and compared with another one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from raycolor.config import default_settings, flattened
from raycolor.errors import ConfigError
from raycolor.plan import Plan
from raycolor.spaces.domains import Domain, ordered
from raycolor.spaces.space import Space, StudySettings


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name each value that differs between the identities of two plans.

    A setting that the former does not name had its default: it came with a later raycolor.
    """
    old, new = flattened(before), flattened(now)
    if "fixed" in before:
        for path, value in default_settings().items():
            if path not in before["search"]:
                old.setdefault(f"fixed.{path}", value)
    if "study" in before:
        for path, value in flattened(StudySettings().model_dump(mode="json")).items():
            if f"study.{path}" in new:
                old.setdefault(f"study.{path}", value)
    lines = []
    for path in sorted(old.keys() | new.keys()):
        if json.dumps(old.get(path)) != json.dumps(new.get(path)):
            lines.append(f"{path}: was {old.get(path)!r}, is now {new.get(path)!r}")
    return lines


def _as_of_old(study: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the settings of a study that began before some of them existed."""
    return {
        **study,
        "searcher": {"repeats": True, **study["searcher"]},
        "scheduler": {"compare_in_pretraining": True, **study["scheduler"]},
    }


def restored_plan(
    tree: Mapping[str, Any], folder: Path, *, remote: str | None = None, seen: Path | None = None
) -> Plan:
    """Make a study's plan again from what its journal keeps, wherever the folder lies now.

    Args:
        tree: as `Plan.as_tree` gave it.
        folder: the study's on this machine.
        remote: address of the folder of studies on shared storage; None where it lies in `folder`.
        seen: folder of the study on this machine, where `folder` is for looking at it only.

    Raises:
        ConfigError: the plan holds settings that this raycolor does not know.
    """
    try:
        study = {key: tree[key] for key in ("trials", "resources")}
        study["concurrent"] = tree["concurrent"] or "auto"
        space = Space(
            name=tree["space"],
            study=StudySettings.model_validate({**_as_of_old(tree["study"]), **study}),
            fixed=tree["fixed"],
            search=ordered(TypeAdapter(dict[str, Domain]).validate_python(tree["search"])),
            baseline=tree["baseline"],
        )
        plan = Plan(
            space=space,
            study=folder.name,
            out=folder.parent,
            remote=remote,
            seen=seen,
            data=tree["data"],
            trials=tree["trials"],
            concurrent=tree["concurrent"],
            address=tree["address"],
            time_budget_s=tree["time_budget_s"],
            gpu_hours=tree.get("gpu_hours"),
            max_cost=tree.get("max_cost"),
            seed=tree["seed"],
        )
        # A property that builds a configuration: one that cannot be built is noticed here.
        assert plan.base
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{folder}/journal: the study's plan is not one of this raycolor ({error}); use the "
            "raycolor that began the study"
        ) from error
    return plan
