"""TensorBoard events of all trials, written by the driver alone.

    results/<study>/tensorboard/events.out.tfevents.*            columns of the HParams tab
    results/<study>/tensorboard/<trial>/events.out.tfevents.*    one run a trial

Every trial is a run with the same tags, step = images seen, and its hyperparameters from its first
moment, so that running and pruned trials stand in the HParams tab too. The events are a view: a new
session writes those of unfinished trials anew from the journal.
"""

import math
import struct
import time
from contextlib import suppress
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from tensorboard.compat.proto.event_pb2 import Event as EventProto
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata

from raycolor.plan import Plan
from raycolor.study import hparams
from raycolor.study.event_file import EventFile
from raycolor.study.naming import trial_name
from raycolor.study.records import Ask, Fault, Record, Reported
from raycolor.study.state import StudyState, TrialState

PICTURES = "validation/grey, predicted, truth"


class TensorBoardView:
    """Event files of a study."""

    def __init__(self, plan: Plan) -> None:
        """Prepare to write in the study's folder.

        Args:
            plan: of the study.
        """
        self._folder = plan.folder
        self._plan = plan
        self._writers: dict[int, EventFile] = {}

    def rebuild(self, state: StudyState) -> None:
        """Write what an earlier session left: anew unless it was written to the trial's end."""
        self._describe()
        for trial in state.trials:
            run = self._run(trial)
            old = list(run.glob("events.out.tfevents.*"))
            if trial.status != "open" and any(_ended(path) for path in old):
                continue
            for path in old:
                path.unlink()
            self._begin(trial)
            for report in trial.reports:
                self._add(trial, report)
            if trial.status != "open":
                self._end(trial)

    def _describe(self) -> None:
        """Write the study's columns of the HParams tab, in a run of their own."""
        folder = self._folder / "tensorboard"
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        writer = EventFile(folder)
        _write(writer, hparams.experiment(self._plan), step=0)
        writer.close()

    def take(self, record: Record, state: StudyState) -> None:
        """Write the events of one new record."""
        match record:
            case Ask():
                self._begin(state.trials[record.number])
            case Reported():
                trial = state.trials[record.number]
                self._add(trial, record)
                if trial.status != "open":
                    self._end(trial)
            case Fault(final=True):
                self._end(state.trials[record.number])
            case _:
                pass

    def close(self) -> None:
        """Write all out."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _run(self, trial: TrialState) -> Path:
        return self._folder / "tensorboard" / trial_name(trial.number, trial.chosen)

    def _begin(self, trial: TrialState) -> None:
        run = self._run(trial)
        writer = EventFile(run)
        self._writers[trial.number] = writer
        _write(writer, hparams.session_start(run.name, trial.chosen), step=0)

    def _add(self, trial: TrialState, report: Reported) -> None:
        writer = self._writers[trial.number]
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in report.metrics.items()
            # TensorBoard draws a curve's last finite value; a gap says more than a zero.
            if math.isfinite(value) and tag not in hparams.CONSTANT
        ]
        summary = Summary(value=values)
        if report.decision.rung is not None:
            name = trial_name(trial.number, trial.chosen)
            picture = self._plan.files.fetch(f"checkpoints/{name}/samples_{report.images_seen}.png")
            if picture.is_file():
                # One that is damaged is missing, and must not keep the other views behind.
                with suppress(UnidentifiedImageError):
                    summary.value.append(_image(picture))
        _write(writer, summary, step=report.images_seen, at=report.time)

    def _end(self, trial: TrialState) -> None:
        writer = self._writers.pop(trial.number)
        _write(writer, hparams.session_end(trial.status), step=trial.images_seen)
        writer.close()


def _ended(path: Path) -> bool:
    """Tell whether an event file is complete: a trial's end is its last event.

    An event is a length of 8 bytes, their checksum of 4, that many bytes, and their checksum.
    """
    content = path.read_bytes()
    place, last = 0, b""
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        last = content[place + 12 : place + 12 + length]
        place += 12 + length + 4
    return place == len(content) and metadata.SESSION_END_INFO_TAG.encode() in last


def _write(writer: EventFile, summary: Summary, *, step: int, at: float | None = None) -> None:
    wall_time = time.time() if at is None else at
    writer.add_event(EventProto(step=step, wall_time=wall_time, summary=summary))


def _image(path: Path) -> Summary.Value:
    with Image.open(path) as picture:
        width, height = picture.size
    image = Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
    )
    return Summary.Value(tag=PICTURES, image=image)
