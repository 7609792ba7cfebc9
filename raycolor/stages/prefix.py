"""The pretraining of one run, as far as others have trained it already."""

from dataclasses import dataclass
from time import perf_counter

import torch

from raycolor.config import TrialConfig
from raycolor.data import PreparedData
from raycolor.evaluation import Evaluation
from raycolor.network_state import restore, tensors_of
from raycolor.run_folder import Progress
from raycolor.stages.key import Point, pretraining_of
from raycolor.stages.store import StageStore
from raycolor.steps import Networks

PARTS = ("generator", "average", "pretraining_adam")
"""What pretraining changes; the rest of a run is as it was built."""
SHOWN = "shown"
"""Name of the pictures for people among the tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What a run has to know of a report beside the state."""

    sums: dict[str, float]
    steps: int
    scores: dict[str, float]
    seconds: float
    """Of training and evaluation since the report before."""


class Prefix:
    """Takes over and publishes the pretraining of one run, from report to report."""

    def __init__(
        self,
        store: StageStore,
        config: TrialConfig,
        networks: Networks,
        prepared: PreparedData,
        device: torch.device,
    ) -> None:
        """Find out what the run's pretraining is named.

        Args:
            store: where prefixes are.
            config: of the run.
            networks: as they were built, before any step and before a checkpoint was read.
            prepared: the data set.
            device: where it trains.

        Raises:
            WeightsError: the extractor's weights are missing or damaged.
        """
        self._store = store
        self._end = config.pretraining.images
        self._every = config.budget.report_every
        self._pretraining = None
        if self._end >= self._every:
            self._pretraining = pretraining_of(config, networks, prepared, device)

    def name_of(self, progress: Progress) -> str:
        """Name the pretraining that a run's state is one of, when it begins or is taken up again.

        Args:
            progress: of the run.

        Returns:
            What `Progress.pretrained_as` is from here on: nothing where its images were trained as
            another machine, or another raycolor, trains them.
        """
        name = "" if self._pretraining is None else self._pretraining.name
        return name if progress.pretrained_as == name or not progress.images_seen else ""

    def is_there(self, progress: Progress) -> bool:
        """Tell whether the next report seems to be there."""
        point = self._next(progress)
        return point is not None and self._store.has(point)

    def take(self, networks: Networks, progress: Progress) -> Evaluation | None:
        """Go to the next report without training, if another run was there.

        Args:
            networks: of the run; theirs is the state at that report then.
            progress: of the run; it is as if the run had trained and not reported yet.

        Returns:
            The evaluation at that report, which took no time; None, and nothing is changed, if the
            run has to train on.
        """
        started = perf_counter()
        point = self._next(progress)
        if self._pretraining is None or point is None:
            return None
        if (found := self._store.read(point)) is None:
            return None
        tensors, about = found
        report = _Report(**about["report"])
        restore(networks, tensors, PARTS)
        progress.pretrained_as = self._pretraining.name
        inherited = point.images - progress.images_seen
        progress.images_inherited += inherited
        progress.seconds_inherited += report.seconds * inherited / self._every
        progress.images_seen = point.images
        progress.sums, progress.steps = dict(report.sums), report.steps
        progress.saving_seconds += perf_counter() - started
        return Evaluation(scores=dict(report.scores), shown=tensors[SHOWN], seconds=0.0)

    def publish(self, networks: Networks, progress: Progress, evaluation: Evaluation) -> None:
        """Publish the state at a report, before it is noted in the progress.

        Not of a run that went on from a checkpoint of another machine or another raycolor: its
        state is none of this pretraining's, until it has taken one over.

        Args:
            networks: of the run.
            progress: of the run; nothing is published beyond its pretraining.
            evaluation: at this image count.
        """
        if self._pretraining is None or progress.images_seen > self._end:
            return
        if progress.pretrained_as != self._pretraining.name:
            return
        started = perf_counter()
        seconds = progress.train_seconds - progress.reported_seconds + evaluation.seconds
        report = {
            "sums": progress.sums,
            "steps": progress.steps,
            "scores": evaluation.scores,
            "seconds": seconds,
        }
        self._store.write(
            self._pretraining.point(progress.images_seen),
            {**tensors_of(networks, PARTS), SHOWN: evaluation.shown},
            {"report": report},
            seconds,
        )
        progress.saving_seconds += perf_counter() - started

    def _next(self, progress: Progress) -> Point | None:
        """Name the next report of the pretraining; None beyond it."""
        images = (progress.images_seen // self._every + 1) * self._every
        if self._pretraining is None or images > self._end:
            return None
        return self._pretraining.point(images)
