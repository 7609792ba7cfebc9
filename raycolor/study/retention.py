"""What a trial's folder no longer needs once the trial has ended.

`raycolor.run_folder` states the whole rule. The worker cannot keep this part of it: it does not
hear that its trial has ended.
"""

from pathlib import Path

from raycolor.study.naming import trial_name
from raycolor.study.state import StudyState, TrialState

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint_previous.safetensors"
"""As in `raycolor.run_folder`, which takes torch to import."""


def tidy(folder: Path, state: StudyState) -> None:
    """Remove the last but one checkpoint of every trial that has ended.

    Args:
        folder: the study's.
        state: of the study.

    Raises:
        OSError: the storage refuses.
    """
    for trial in state.trials:
        if trial.status != "open":
            tidy_trial(folder, trial)


def tidy_trial(folder: Path, trial: TrialState) -> None:
    """Remove the last but one checkpoint of a trial that has ended, unless it is the only one.

    Raises:
        OSError: the storage refuses.
    """
    kept = folder / "checkpoints" / trial_name(trial.number, trial.chosen)
    if (kept / CHECKPOINT).is_file():
        (kept / PREVIOUS).unlink(missing_ok=True)
