"""The generator that `--from` names: of a study, of its best folder, or of one of its trials."""

import re
from collections.abc import Iterable
from pathlib import Path

from raycolor.errors import CheckpointError
from raycolor.remote.address import check_address, is_address, mirror_of
from raycolor.remote.bucket import Bucket
from raycolor.remote.mirror import Mirror
from raycolor.study.best import GENERATOR
from raycolor.study.journal import FILE, read_journal
from raycolor.study.naming import trial_name
from raycolor.study.opening import read_records, studies_in
from raycolor.study.state import StudyState, fold

MOST_NAMES = 12
"""Trials that a message lists."""
KEPT = re.compile(r"best_(\d+)\.safetensors")
"""Generators that a trial keeps, by images seen; the last is the best."""


def find_generator(named: str) -> Path:
    """Find the file of a generator.

    Args:
        named: a study's folder, its `best/`, a trial's folder, a trial as `STUDY:7`, `STUDY:007` or
            `STUDY:007_lite0_lambda84`, or the file itself. What exists is taken as it is named,
            even with a colon in it. STUDY may be an address on shared storage, as
            `s3://bucket/studies/a`; the file is fetched then.

    Raises:
        CheckpointError: there is none; the message says what there is.
    """
    if is_address(named):
        return _of_address(named)
    path = Path(named)
    if path.is_file():
        return path
    if path.is_dir():
        return _of_folder(path)
    study, colon, trial = named.rpartition(":")
    if colon and Path(study).is_dir():
        return _of_trial(Path(study), trial)
    missing = Path(study) if colon else path
    near = _studies(missing.parent)
    hint = f"studies there: {_listed(near)}" if near else "name a study, as results/quickstart"
    raise CheckpointError(f"--from {named}: there is no such folder; {hint}")


def _of_address(named: str) -> Path:
    """Fetch a generator from shared storage."""
    check_address("--from", named)
    base, trial = _study_and_trial(named)
    files = Mirror(mirror_of(base), base)
    state = fold(read_records(files.folder, base))
    if not state.trials:
        there = studies_in(files.folder, base)
        hint = f"studies there: {_listed(there)}" if there else "name a study"
        raise CheckpointError(f"--from {named}: no study there; {hint}")
    if trial is None:
        try:
            # Anew each time: a search may have found a better one. Not into best/, which a search
            # on this machine may be writing.
            path = files.folder / ".colorize" / GENERATOR
            Bucket(base).download(f"best/{GENERATOR}", path)
            return path
        except FileNotFoundError as error:
            raise CheckpointError(
                f"--from {named}: the study has no generator yet; wait for its first report"
            ) from error
    names = [trial_name(trial.number, trial.chosen) for trial in state.trials]
    name = _named(names, trial)
    if name is None:
        raise CheckpointError(
            f"--from {named}: there is no such trial; the study has {_listed(names)}"
        )
    kept = [Path(path).name for path in files.files(f"checkpoints/{name}")]
    counts = {int(match[1]) for file in kept if (match := KEPT.fullmatch(file))}
    if not counts:
        raise CheckpointError(
            f"--from {named}: {name} has no generator: it has not reported, or its checkpoints "
            "were removed"
        )
    reported = _best_images(state, name)
    images = reported if reported in counts else max(counts)
    return files.fetch(f"checkpoints/{name}/best_{images}.safetensors")


def _study_and_trial(named: str) -> tuple[str, str | None]:
    """Split `s3://bucket/studies/a:7`; neither a port nor the scheme's colon begins a trial."""
    place, mark, options = named.partition("?")
    study, colon, trial = place.rpartition(":")
    if not colon or "/" in trial or not trial:
        return named, None
    return f"{study}{mark}{options}", trial


def _named(names: list[str], wanted: str) -> str | None:
    """Find a trial by its number or its name."""
    number = int(wanted) if re.fullmatch(r"[0-9]{1,9}", wanted) else None
    return next((name for name in names if wanted == name or number == _number(name)), None)


def _of_folder(folder: Path) -> Path:
    for place in (folder / "best", folder):
        if (place / GENERATOR).is_file():
            return place / GENERATOR
    if kept := _kept(folder):
        return kept[max(kept)]
    if able := _able(folder):
        raise CheckpointError(
            f"--from {folder}: no best/{GENERATOR} in it; give the search's command again, which "
            f"writes it, or name a trial, as {folder}:{able[0]}"
        )
    if (folder / "journal" / FILE).is_file():
        raise CheckpointError(
            f"--from {folder}: the study has no generator yet; wait for its first report"
        )
    inside = _studies(folder)
    hint = f"studies in it: {_listed(inside)}" if inside else "name one, as results/quickstart"
    raise CheckpointError(f"--from {folder}: is no study, and has no {GENERATOR}; {hint}")


def _studies(folder: Path) -> list[str]:
    """Name the studies in a folder."""
    return sorted(str(journal.parent.parent) for journal in folder.glob(f"*/journal/{FILE}"))


def _of_trial(study: Path, wanted: str) -> Path:
    state = fold(read_journal(study / "journal"))
    names = _names(study, state)
    name = _named(names, wanted)
    if not names:
        raise CheckpointError(f"--from {study}:{wanted}: there is no trial in {study}")
    if name is None:
        raise CheckpointError(
            f"--from {study}:{wanted}: there is no such trial; the study has {_listed(names)}"
        )
    kept = _kept(study / "checkpoints" / name)
    if not kept:
        able = _able(study)
        others = f"; trials that have one: {_listed(able)}" if able else ""
        raise CheckpointError(
            f"--from {study}:{wanted}: {name} has no generator: it has not reported, or its "
            f"checkpoints were removed{others}"
        )
    # The journal is the truth; a generator that it has not heard of yet is the next best answer.
    reported = _best_images(state, name)
    return kept[reported if reported in kept else max(kept)]


def _best_images(state: StudyState, name: str) -> int | None:
    """Return the image count of a trial's best report."""
    trials = {trial_name(trial.number, trial.chosen): trial for trial in state.trials}
    if name not in trials or not state.sessions:
        return None
    return trials[name].best_images(state.sessions[-1].plan["objective"])


def _names(study: Path, state: StudyState) -> list[str]:
    """Name the trials of a study, from its journal or, without one, from their folders."""
    if state.trials:
        return [trial_name(trial.number, trial.chosen) for trial in state.trials]
    return [
        folder.name
        for folder in sorted((study / "checkpoints").glob("*"))
        if folder.is_dir() and _number(folder.name) is not None
    ]


def _number(name: str) -> int | None:
    """Read the number of a trial from its name."""
    match = re.match(r"([0-9]{3,})(_|$)", name)
    return int(match[1]) if match else None


def _able(study: Path) -> list[str]:
    """Name the trials that have a generator."""
    folders = sorted((study / "checkpoints").glob("*"))
    return [folder.name for folder in folders if _kept(folder)]


def _kept(folder: Path) -> dict[int, Path]:
    """Find the generators in a trial's folder, by images seen."""
    return {
        int(match[1]): path
        for path in folder.glob("best_*.safetensors")
        if (match := KEPT.fullmatch(path.name))
    }


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MOST_NAMES
    return ", ".join(listed[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
