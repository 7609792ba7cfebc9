"""A process that says how fast it trains: several at once show how trials share a machine.

    python -m raycolor.pace < questions

The first line of its input is a configuration and a data set as JSON; it answers `ready` when its
networks stand. Each further line asks for steps with so many threads and that share of a GPU, for
so many seconds; the answer tells how many images they took. The steps are a trial's own, so that a
GPU has no gaps that a trial would not leave it. It ends with its input.
"""

import gc
import json
import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from raycolor.config import TrialConfig, classifies
from raycolor.crops import Residents
from raycolor.networks.encoder_state import Contents
from raycolor.rebalancing import bins_folder, class_weights
from raycolor.remote.data_sets import open_data_set
from raycolor.run_folder import Progress
from raycolor.steps import build_networks, set_determinism
from raycolor.trial import Run

READY = "ready"


def paces(lines: Iterable[str], *, contents: Contents | None = None) -> Iterator[str]:
    """Answer questions, one a line.

    Args:
        lines: `{"config": ..., "data": ...}`, then `{"threads": ..., "seconds": ..., "gpus": ...}`
            each.
        contents: files of an encoder's weights; what is missing is looked for.

    Yields:
        `ready`, then `{"images": ..., "seconds": ..., "gpu_share": ...}` each, the last the largest
        part of the GPU's memory that was taken meanwhile.
    """
    questions = iter(lines)
    torch.set_num_threads(1)  # others begin beside it
    pace = _Pace(json.loads(next(questions)), contents)
    pace.train(0.0)  # what a first step prepares is no part of the pace
    yield READY
    for line in questions:
        asked = json.loads(line)
        torch.set_num_threads(asked["threads"])
        pace.keep_to(asked["gpus"])
        images, seconds = pace.train(asked["seconds"])
        yield json.dumps({"images": images, "seconds": seconds, "gpu_share": _gpu_share()})


class _Pace:
    """A trial, after its pretraining, that reports nothing and keeps nothing."""

    def __init__(self, asked: dict[str, Any], contents: Contents | None) -> None:
        config = TrialConfig.model_validate(asked["config"])
        self._prepared = open_data_set(asked["data"])
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        set_determinism(config)
        rarity = None
        if classifies(config):
            rarity = class_weights(self._prepared, config, bins_folder())
        networks = build_networks(config, self._device, contents, rarity)
        self._residents = Residents()
        source = self._residents.of(self._prepared, "train", self._device)
        self._run = Run(config, networks, Progress(), source, self._device)
        self._sums: dict[str, Tensor] = {}

    def keep_to(self, gpus: float) -> None:
        """Take no more of the GPU's memory than a trial that has a share of it.

        Args:
            gpus: the share; 0 changes nothing, as no GPU does.
        """
        if self._device.type != "cuda" or not gpus:
            return
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
        # The last one must not be held while the next one is asked for.
        self._run.source = self._prepared.pictures("train")
        self._run.source = self._residents.of(self._prepared, "train", self._device)
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def train(self, seconds: float) -> tuple[int, float]:
        """Take steps for so long, one at least; return their images, and the seconds they took."""
        config, progress = self._run.config, self._run.progress
        end = config.budget.images
        # A run may be nothing but pretraining.
        begin = config.pretraining.images if config.pretraining.images < end else 0
        self._wait()
        started, images = perf_counter(), 0
        while images == 0 or perf_counter() - started < seconds:
            if not begin <= progress.images_seen < end:
                # Learning rates are those of the budget.
                progress.images_seen = begin
            self._run.advance(self._sums)
            images += config.budget.batch_size
        self._wait()
        return images, perf_counter() - started

    def _wait(self) -> None:
        """Wait for the GPU, which is behind this process."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def _gpu_share() -> float:
    """Return the largest part of the GPU's memory that this process has held; 0 without one."""
    if not torch.cuda.is_available():
        return 0.0
    _, total = torch.cuda.mem_get_info()
    return torch.cuda.max_memory_reserved() / total


def main() -> None:
    """Answer the questions of the standard input."""
    for answer in paces(sys.stdin):
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
