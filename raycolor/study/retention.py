"""What a trial's folder no longer needs once the trial has ended.

`raycolor.run_folder` states the whole rule. The worker cannot keep this part of it: it does not
hear that its trial has ended.
"""

from raycolor.remote.mirror import Mirror
from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint_previous.safetensors"
"""As in `raycolor.run_folder`, which takes torch to import."""


def tidy(files: Mirror, state: StudyState) -> None:
    """Remove the last but one checkpoint of every trial that has ended.

    Args:
        files: of the study.
        state: of the study.

    Raises:
        OSError, StorageError: the storage refuses.
    """
    there = set(files.files("checkpoints"))
    for trial in state.trials:
        if trial.status != "open":
            _tidy(files, trial, there)


def tidy_trial(files: Mirror, trial: TrialState) -> None:
    """Remove the last but one checkpoint of a trial that has ended, unless it is the only one.

    Raises:
        OSError, StorageError: the storage refuses.
    """
    _tidy(files, trial, set(files.files(_folder(trial))))


def _tidy(files: Mirror, trial: TrialState, there: set[str]) -> None:
    newest, before = (f"{_folder(trial)}/{name}" for name in (CHECKPOINT, PREVIOUS))
    if newest in there and before in there:
        files.remove(before)


def _folder(trial: TrialState) -> str:
    return f"checkpoints/{trial_name(trial.number, trial.chosen)}"
