"""One training run: a generator of reports.

    for report in train(config, prepared):
        print(report.images_seen, report.metrics)

No Ray, no study: it runs the same in a test, a notebook or a debugger. First the pretraining stage
(generator alone, L1 or classification), then the adversarial stage (discriminator step, generator
step), or, for losses without one, the generator alone with the settings of that stage. Every step
is seeded from (seed, images seen) and a checkpoint holds all state, so an interrupted run that goes
on gives the same bits as one that never stopped, and one that takes pretraining over from another
(`raycolor.stages`) the same as one that trains it.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from raycolor import run_folder
from raycolor.config import TrialConfig, classifies, has_game
from raycolor.crops import ResidentPictures, Residents, check_size, sent, training_batch
from raycolor.data import Pictures, PreparedData
from raycolor.errors import Diverged
from raycolor.evaluation import Evaluation, Evaluators
from raycolor.networks.answers import Painter
from raycolor.networks.encoder_state import Contents
from raycolor.rebalancing import bins_folder, class_weights
from raycolor.run_folder import Progress
from raycolor.stages.prefix import Prefix
from raycolor.stages.store import StageStore
from raycolor.steps import (
    STEP,
    Networks,
    adversarial_step,
    build_networks,
    lone_step,
    lone_weight,
    prepare_generator,
    pretraining_step,
    seed_draws,
    set_determinism,
    set_learning_rates,
)

Stage = Literal["pretraining", "adversarial", "alone"]
"""`alone`: the generator after pretraining, in a run without an adversarial stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run says of itself at one image count."""

    images_seen: int
    """Training images consumed so far, pretraining included."""
    stage: Stage
    metrics: dict[str, float]
    """Losses, accuracies, scores and costs by name; `metric_names` says what each means."""
    references: dict[str, dict[str, float]]
    """Scores of `gray` and `truth` under the same names."""


def train(
    config: TrialConfig,
    prepared: PreparedData,
    *,
    folder: Path | None = None,
    cache: Path | None = None,
    device: torch.device | None = None,
    pictures_at: Collection[int] = (),
    saved: Callable[[], None] | None = None,
    weights: Contents | None = None,
    evaluators: Evaluators | None = None,
    residents: Residents | None = None,
    stages: StageStore | None = None,
) -> Iterator[Report]:
    """Train one configuration and yield a report every `budget.report_every` images.

    Args:
        config: all settings of the run.
        prepared: the data set.
        folder: where checkpoints, the best generator and pictures go. A run that finds its own
            checkpoint there goes on from it, and first repeats the report of that point. None
            keeps nothing.
        cache: folder for what is known of the truth, which runs share (`truth.truth_folder()` is
            this machine's); None keeps nothing, in this machine's cache folder neither.
        device: where to train; the first GPU if there is one, else the CPU.
        pictures_at: image counts at which `samples_<images>.png` is written, and a checkpoint even
            where the next report can be taken over: rungs, at which a run may be stopped and later
            be taken up again.
        saved: called after each checkpoint, when all that it speaks of lies in the folder; its time
            counts as the checkpoint's.
        weights: files of an encoder's weights that the driver has found; what is missing is looked
            for, and fetched if need be.
        evaluators: what earlier runs of this process left to be used again.
        residents: the pictures that they left on the GPU.
        stages: pretraining that other runs published: what is there is taken over and not trained
            again, and what is trained is published. None trains all.

    Yields:
        Reports at multiples of `budget.report_every`, the last at `budget.images`.

    Raises:
        Diverged: losses are no longer finite.
        DataError: crops are larger than the stored pictures.
        CheckpointError: the folder cannot be written, or holds another run's checkpoint.
        WeightsError: pretrained weights are missing, damaged, or of another network.
    """
    check_size(config.data, prepared)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    set_determinism(config)
    rarity = None
    if classifies(config):
        rarity = class_weights(prepared, config, None if cache is None else bins_folder())
    networks = build_networks(config, device, weights, rarity)
    prefix = Prefix(stages, config, networks, prepared, device) if stages else None
    owner = run_folder.identity(config, prepared.fingerprint)
    progress = (run_folder.resume(folder, networks, owner) if folder else None) or Progress()
    source = (residents or Residents()).of(prepared, "train", device)
    run = Run(config, networks, progress, source, device)
    evaluators = evaluators or Evaluators()
    evaluator = evaluators.of(config, prepared, device=device, cache=cache)
    progress.pretrained_as = prefix.name_of(progress) if prefix else ""

    def save(*, checkpoint: bool = True) -> None:
        if folder is not None:
            if checkpoint:
                run_folder.save(folder, networks, progress, owner)
            if saved is not None:
                started = perf_counter()
                saved()
                progress.saving_seconds += perf_counter() - started

    def report() -> Report:
        assert progress.report is not None
        return Report(
            images_seen=progress.images_seen, references=evaluator.references, **progress.report
        )

    if progress.report is not None:
        yield report()
    while progress.images_seen < config.budget.images:
        evaluation = prefix.take(networks, progress) if prefix else None
        inherited = evaluation is not None
        if evaluation is None:
            run.train_until(_next_report(config, progress.images_seen), save)
            evaluation = evaluator.evaluate(run.colorize)
            if prefix:
                prefix.publish(networks, progress, evaluation)
        improved = run.note(evaluation, inherited=inherited)
        if folder is not None:
            sheet = run_folder.sheet_of(evaluator, evaluation)
            if improved:
                run_folder.write_best(folder, config, networks, progress, sheet)
                run_folder.remove_superseded(folder, progress)
            if progress.images_seen in pictures_at:
                run_folder.write_samples(folder, progress, sheet)
        # What can be taken over again needs no checkpoint, unless the run goes on from there. The
        # store may have made room by the time at which a run that was stopped is taken up again.
        passes = inherited and progress.images_seen not in pictures_at
        save(checkpoint=not (passes and prefix is not None and prefix.is_there(progress)))
        yield report()


def best_key(config: TrialConfig) -> str:
    """Name of the objective in reports: the lowest Fréchet distance so far."""
    return f"{config.fid_key}_best"


def _next_report(config: TrialConfig, images_seen: int) -> int:
    every = config.budget.report_every
    return (images_seen // every + 1) * every


class Run:
    """The training loop over networks and progress, both changed in place."""

    def __init__(
        self,
        config: TrialConfig,
        networks: Networks,
        progress: Progress,
        source: Pictures | ResidentPictures,
        device: torch.device,
    ) -> None:
        self.config = config
        self.networks = networks
        self.progress = progress
        self.source = source
        self.device = device

    def train_until(self, images: int, save: Callable[[], None]) -> None:
        """Take steps up to an image count, saving at least every `checkpoint_seconds`.

        Raises:
            Diverged: losses are no longer finite.
        """
        progress, budget = self.progress, self.config.budget
        progress.report = None
        # Losses stay on the device until the end: reading one waits for the device.
        sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in progress.sums.items()
        }
        started = saved = perf_counter()

        def settle() -> None:
            nonlocal started
            progress.sums = {name: float(value) for name, value in sums.items()}
            progress.train_seconds += perf_counter() - started
            started = perf_counter()

        while progress.images_seen < images:
            if progress.images_seen == self.config.pretraining.images:
                # Means never mix the stages: they are of different quantities.
                sums = {}
                progress.steps = 0
            self.advance(sums)
            # The last checkpoint of an interval is the report's: one without it would skip it.
            due = perf_counter() - saved > budget.checkpoint_seconds
            if due and progress.images_seen < images:
                settle()
                save()
                saved = started = perf_counter()
        settle()
        if not all(math.isfinite(value) for value in progress.sums.values()):
            raise Diverged(progress.images_seen, progress.means(lone_weight(self.config)))

    def advance(self, sums: dict[str, Tensor]) -> None:
        """Take one step; nothing waits for the device.

        Args:
            sums: of the losses by name, on the device, to which this step's are added.
        """
        for name, value in self._step().items():
            sums[name] = sums.get(name, 0.0) + value.double()
        self.progress.steps += 1
        self.progress.images_seen += self.config.budget.batch_size

    def _step(self) -> dict[str, Tensor]:
        """Train on the next batch and return the losses that this stage has."""
        config, seen = self.config, self.progress.images_seen
        pretraining = seen < config.pretraining.images
        seed = config.pretraining.seed if pretraining else config.seed
        batch = training_batch(
            self.source,
            config.data,
            seed=seed,
            images_seen=seen,
            batch_size=config.budget.batch_size,
        )
        rgb_u8 = sent(batch, self.device)
        seed_draws(seed, STEP, seen)
        prepare_generator(self.networks, config, seen)
        if not pretraining:
            set_learning_rates(self.networks, config, seen)
        step = adversarial_step if has_game(config) else lone_step
        result = (pretraining_step if pretraining else step)(self.networks, config, rgb_u8)
        if self.networks.average:
            self.networks.average.update(self.networks.generator, seen // config.budget.batch_size)
        values = {item.name: getattr(result, item.name) for item in dataclasses.fields(result)}
        if result.content_loss is not None:
            del values["generator_loss"]  # follows from it when it is told
        return {name: value for name, value in values.items() if value is not None}

    @torch.no_grad()
    def colorize(self, l_unit: Tensor) -> Tensor:
        """Predict `ab_unit` with the generator that is judged; always in float32."""
        ab_unit: Tensor = Painter(self.networks.judged, self.config).eval()(l_unit)
        return ab_unit

    def note(self, evaluation: Evaluation, *, inherited: bool = False) -> bool:
        """Make the report of this image count; return whether the score is the best so far.

        Args:
            evaluation: at this image count.
            inherited: whether another run trained it, so that there is no speed to tell.
        """
        progress, config = self.progress, self.config
        progress.evaluate_seconds += evaluation.seconds
        score = evaluation.scores[config.fid_key]
        improved = score < progress.best
        if improved:
            progress.former_best_images = progress.best_images
            progress.best, progress.best_images = score, progress.images_seen
        means = progress.means(lone_weight(config))
        if "discriminator_accuracy_real" in means:
            means["discriminator_accuracy"] = (
                means["discriminator_accuracy_real"] + means["discriminator_accuracy_fake"]
            ) / 2
        seconds = progress.train_seconds - progress.reported_seconds
        images = progress.images_seen - progress.reported_images
        metrics = {
            **means,
            **evaluation.scores,
            best_key(config): progress.best,
            **({} if inherited else {"images_per_second": images / seconds}),
            "images_inherited": float(progress.images_inherited),
            "seconds_inherited": progress.seconds_inherited,
            "train_seconds": progress.train_seconds,
            "evaluate_seconds": progress.evaluate_seconds,
            "checkpoint_seconds": progress.saving_seconds,
        }
        if self.device.type == "cuda":
            metrics["peak_gpu_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        pretraining = progress.images_seen <= config.pretraining.images
        stage: Stage = "adversarial" if has_game(config) else "alone"
        stage = "pretraining" if pretraining else stage
        progress.report = {"stage": stage, "metrics": metrics}
        progress.sums, progress.steps = {}, 0
        progress.reported_images = progress.images_seen
        progress.reported_seconds = progress.train_seconds
        return improved
