"""TensorBoard events of all trials, written by the driver alone.

    results/<study>/tensorboard/events.out.tfevents.*            columns of the HParams tab
    results/<study>/tensorboard/<trial>/events.out.tfevents.*    one run a trial

Every trial is a run with the same tags, step = images seen, and its hyperparameters from its first
moment, so that running and pruned trials stand in the HParams tab too. The events are a view: from
the journal, a new session writes what is missing of them, and anew what is not of this journal.

A file grows in place, also after a restart: a TensorBoard that follows it would show the points of
a second file beside those of the first.
"""

import math
import time
from contextlib import suppress
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from tensorboard.compat.proto.event_pb2 import Event as EventProto
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata

from raycolor.plan import Plan
from raycolor.study import hparams
from raycolor.study.event_file import EventFile, OldEvents, read_events
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
        self._written: dict[int, int] = {}
        """Reports of each trial that are in its events."""

    def rebuild(self, state: StudyState) -> None:
        """Go on where an earlier session stopped; what it wrote of another journal goes."""
        self._describe()
        self.catch_up(state)

    def catch_up(self, state: StudyState) -> None:
        """Write what is missing of the trials' events, whatever was written before.

        Raises:
            OSError, StorageError: the storage refuses; the next time goes on from there.
        """
        try:
            for trial in state.trials:
                self._catch_up(trial)
        except OSError:
            # A file may end in half an event, which goes when it is opened again.
            self.close()
            raise

    def _catch_up(self, trial: TrialState) -> None:
        written = self._written.get(trial.number)
        if written is None:
            written = self._take_up(trial)
        if self._is_over(trial.number) and (trial.status == "open" or written < len(trial.reports)):
            # Taken up again: TensorBoard would keep the end that it was told first.
            self._remove(trial)
            written = self._begin(trial)
        for report in trial.reports[written:]:
            self._add(trial, report)
        if trial.status != "open" and not self._is_over(trial.number):
            self._end(trial)

    def _is_over(self, number: int) -> bool:
        """Tell whether the events of a trial, which have begun, have their end."""
        return number not in self._writers

    def _take_up(self, trial: TrialState) -> int:
        """Open a trial's events, and count the reports in them."""
        run = self._run(trial)
        found = sorted(run.glob("events.out.tfevents.*"))
        if len(found) == 1:
            old = read_events(found[0])
            reports, over = _reports_in(old, trial)
            if reports is not None:
                if not over:
                    self._writers[trial.number] = EventFile(run, old=old)
                self._written[trial.number] = reports
                return reports
        self._remove(trial)
        return self._begin(trial)

    def _remove(self, trial: TrialState) -> None:
        for path in self._run(trial).glob("events.out.tfevents.*"):
            path.unlink()

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
        self._written = {}

    def _run(self, trial: TrialState) -> Path:
        return self._folder / "tensorboard" / trial_name(trial.number, trial.chosen)

    def _begin(self, trial: TrialState) -> int:
        """Begin a trial's events; return how many reports are in them, which is none."""
        run = self._run(trial)
        writer = EventFile(run)
        _write(writer, hparams.session_start(run.name, trial.chosen), step=0)
        self._writers[trial.number], self._written[trial.number] = writer, 0
        return 0

    def _add(self, trial: TrialState, report: Reported) -> None:
        writer = self._writers[trial.number]
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in report.metrics.items()
            # TensorBoard draws a curve's last finite value; a gap says more than a zero.
            if math.isfinite(value) and tag not in hparams.CONSTANT
        ]
        summary = Summary(value=values)
        if report.images_seen in self._plan.rungs:
            name = trial_name(trial.number, trial.chosen)
            picture = self._plan.files.fetch(f"checkpoints/{name}/samples_{report.images_seen}.png")
            if picture.is_file():
                # One that is damaged is missing, and must not keep the other views behind.
                with suppress(UnidentifiedImageError):
                    summary.value.append(_image(picture))
        _write(writer, summary, step=report.images_seen, at=report.time)
        self._written[trial.number] += 1

    def _end(self, trial: TrialState) -> None:
        writer = self._writers[trial.number]
        _write(writer, hparams.session_end(trial.status), step=trial.images_seen)
        del self._writers[trial.number]
        writer.close()


def _reports_in(old: OldEvents, trial: TrialState) -> tuple[int | None, bool]:
    """Count the reports in a file of a trial's events.

    Returns:
        How many of the trial's there are, from the first on, or None if the file holds anything
        else; and whether it has its end.
    """
    if len(old.events) < 2 or not old.events[0].file_version:
        return None, False
    _, start, *events = old.events
    if [value.tag for value in start.summary.value] != [metadata.SESSION_START_INFO_TAG]:
        return None, False
    over = bool(events) and metadata.SESSION_END_INFO_TAG in {
        value.tag for value in events[-1].summary.value
    }
    if over and old.size < old.path.stat().st_size:
        return None, False
    found = [(event.step, event.wall_time) for event in (events[:-1] if over else events)]
    told = [(report.images_seen, report.time) for report in trial.reports]
    return (len(found) if found == told[: len(found)] else None), over


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
