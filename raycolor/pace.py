"""A process that says how fast it trains: several at once show how trials share a machine.

    python -m raycolor.pace < questions

The first line of its input is a configuration and a data set as JSON; it answers `ready` when its
networks stand. Each further line asks for steps with so many threads, for so many seconds; the
answer tells how many images they took. It ends with its input.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

import torch

from raycolor.config import TrialConfig, classifies, has_game
from raycolor.crops import training_batch
from raycolor.networks.encoder_state import Contents
from raycolor.rebalancing import bins_folder, class_weights
from raycolor.remote.data_sets import open_data_set
from raycolor.steps import adversarial_step, build_networks, lone_step, set_determinism

READY = "ready"


def paces(lines: Iterable[str], *, contents: Contents | None = None) -> Iterator[str]:
    """Answer questions, one a line.

    Args:
        lines: `{"config": ..., "data": ...}`, then `{"threads": ..., "seconds": ...}` each.
        contents: files of an encoder's weights; what is missing is looked for.

    Yields:
        `ready`, then `{"images": ..., "seconds": ..., "gpu_share": ...}` each, the last the largest
        part of the GPU's memory that was taken so far.
    """
    questions = iter(lines)
    torch.set_num_threads(1)  # others begin beside it
    step, batch_size = _stepper(json.loads(next(questions)), contents)
    step()  # what a first step prepares is no part of the pace
    yield READY
    for line in questions:
        asked = json.loads(line)
        torch.set_num_threads(asked["threads"])
        started, images = perf_counter(), 0
        while images == 0 or perf_counter() - started < asked["seconds"]:
            step()
            images += batch_size
        seconds = perf_counter() - started
        yield json.dumps({"images": images, "seconds": seconds, "gpu_share": _gpu_share()})


def _stepper(asked: dict[str, Any], contents: Contents | None) -> tuple[Callable[[], None], int]:
    """Build the networks of a configuration; return what trains them on a batch, and its size."""
    config = TrialConfig.model_validate(asked["config"])
    prepared = open_data_set(asked["data"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    set_determinism(config)
    rarity = class_weights(prepared, config, bins_folder()) if classifies(config) else None
    networks = build_networks(config, device, contents, rarity)
    pictures, batch_size = prepared.pictures("train"), config.budget.batch_size
    train = adversarial_step if has_game(config) else lone_step
    seen = 0

    def step() -> None:
        nonlocal seen
        rgb_u8 = training_batch(
            pictures, config.data, seed=config.seed, images_seen=seen, batch_size=batch_size
        )
        train(networks, config, rgb_u8.to(device))
        seen += batch_size
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step, batch_size


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
