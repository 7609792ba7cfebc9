"""Images a second of a training step and of the input pipeline.

    python benchmarks/step.py [--threads 2] [--seconds 3] [--out step.json]

Sizes, backbones and precisions are measured side by side in one run, round after round, so that a
noisy machine disturbs all alike; the ratios are what counts. The output is JSON with hardware and
versions.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from raycolor.config import TrialConfig, nested
from raycolor.crops import training_batch
from raycolor.data import PHOTOS, open_prepared
from raycolor.environment import describe_environment
from raycolor.steps import adversarial_step, build_networks, pretraining_step

ROUNDS = 3
CASES = [
    {"data.size": size, "generator.backbone": backbone, "precision": precision}
    for size in (32, 64, 96)
    for backbone in ("scratch", "efficientnet_lite0")
    for precision in ("float32", "bfloat16")
]
SHARED = {
    "generator.width": 32,
    "generator.decoder_width": 64,
    "discriminator.width": 32,
    "discriminator.downs": 2,
    "budget.batch_size": 16,
    "budget.report_every": 512,
    "budget.images": 512,
}


def speed(work: Callable[[int], None], images: int, seconds: float) -> float:
    """Images a second of `work`, which takes the number of its call."""
    work(0)  # the first call allocates
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        calls += 1
        work(calls)
    return images * calls / (time.perf_counter() - started)


def measure(case: dict[str, int | str], seconds: float) -> dict[str, float]:
    """Measure the input pipeline and both steps of one case."""
    config = TrialConfig.model_validate(nested({**SHARED, **case}))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = open_prepared(PHOTOS).pictures("train")
    networks = build_networks(config, device)
    batch = config.budget.batch_size

    def load(call: int) -> torch.Tensor:
        return training_batch(
            pictures, config.data, seed=0, images_seen=call * batch, batch_size=batch
        )

    rgb_u8 = load(0).to(device)
    works: dict[str, Callable[[int], object]] = {
        "input": load,
        "pretraining_step": lambda _: pretraining_step(networks, config, rgb_u8),
        "adversarial_step": lambda _: adversarial_step(networks, config, rgb_u8),
    }

    def waiting(work: Callable[[int], object]) -> Callable[[int], None]:
        def run(call: int) -> None:
            work(call)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    return {name: speed(waiting(work), batch, seconds) for name, work in works.items()}


def main() -> None:
    """Measure all cases in rounds and write medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    rounds: list[list[dict[str, float]]] = []
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
        rounds.append([measure(case, flags.seconds) for case in CASES])
    results = []
    for index, case in enumerate(CASES):
        names = rounds[0][index]
        medians = {n: round(statistics.median(r[index][n] for r in rounds), 1) for n in names}
        results.append({**case, "images_per_second": medians})
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    text = json.dumps(
        {
            "environment": describe_environment(),
            "gpu": gpu,
            "threads": flags.threads,
            "shared": SHARED,
            "results": results,
        },
        indent=2,
    )
    if flags.out:
        flags.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
