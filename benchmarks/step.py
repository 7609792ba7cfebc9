"""Images a second of the training steps, alone or beside another code's.

    python benchmarks/step.py [--threads 2] [--seconds 3] [--out step.json] [--quick]
    python benchmarks/step.py --reference ~/Deep-Learning [--rounds 3] [--determinism exact fast]

Sizes, backbones and precisions are measured side by side in one run, round after round, so that a
noisy machine disturbs all alike; the ratios are what counts.

With `--reference` the step of the baseline of pix2pix_256.yaml, 256 pixels and batches of 16, takes
turns with that of the tutorial "Image Colorization with U-Net and GAN", which has the same
networks. Its code is read from a checkout of github.com/moein-shariatnia/Deep-Learning and run as
it is. Each round measures the rate of matrix products too, the floor of a step; where a GPU's
convolutions take TF32, so do they. Besides the clock there is the processor's time: with one thread
it stays comparable where others use the same cores.

Ours runs with the kernels that trials take: the same in every run (`exact`, their default), the
fastest (`fast`), or both beside each other.

The output is a table, and JSON with hardware and versions.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cases import gigaflops_an_image
from device import SIDE, about_device, as_convolutions, device_of_steps, prepare_cuda, timed
from reference import CheckoutError, reference_step
from told import tell

from raycolor import color
from raycolor.config import TrialConfig, nested
from raycolor.crops import training_batch
from raycolor.data import PHOTOS, open_prepared
from raycolor.environment import describe_environment
from raycolor.spaces.file import find_space, load_space
from raycolor.steps import (
    Networks,
    adversarial_step,
    build_networks,
    pretraining_step,
    set_determinism,
)

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
REFERENCE = "tutorial, float32"
PRODUCTS = {name: f"matrix products, {name}" for name in ("float32", "bfloat16")}


def no_preparation() -> None:
    """Leave torch as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What takes turns with others."""

    run: Callable[[int], object]
    """Takes the number of its call."""
    prepare: Callable[[], None] = no_preparation
    """Called before each block of calls."""
    precision: str = "float32"

    def measure(self, seconds: float) -> tuple[float, float]:
        """Return seconds of one call, by the clock and of the processor."""
        self.prepare()
        return timed(self.run, seconds)


def own_name(precision: str, determinism: str) -> str:
    """Name a step of ours."""
    return f"raycolor, {precision}" + ("" if determinism == "exact" else f", {determinism}")


def measure(case: dict[str, int | str], seconds: float) -> dict[str, float]:
    """Measure the input pipeline and both steps of one case."""
    config = TrialConfig.model_validate(nested({**SHARED, **case}))
    device = device_of_steps()
    pictures = open_prepared(PHOTOS).pictures("train")
    set_determinism(config)
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
    speeds = {}
    for name, work in works.items():
        work(0)  # the first call allocates
        speeds[name] = batch / timed(work, seconds)[0]
    return speeds


def own_cases(rounds: int, seconds: float, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure cases in rounds and return medians."""
    found: list[list[dict[str, float]]] = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        found.append([measure(case, seconds) for case in cases])
    results = []
    for index, case in enumerate(cases):
        names = found[0][index]
        medians = {n: round(statistics.median(r[index][n] for r in found), 1) for n in names}
        results.append({**case, "images_per_second": medians})
    return results


def pix2pix(precision: str, determinism: str, *, quick: bool) -> TrialConfig:
    """Return the baseline of pix2pix_256.yaml; a quick one has narrow networks."""
    space = load_space(find_space("pix2pix_256"))
    chosen = {**space.baseline, "precision": precision, "determinism": determinism}
    if quick:
        chosen |= {"generator.width": 4, "discriminator.width": 4}
    return space.config(chosen)


def turns(path: Path, batch: int, determinisms: list[str], *, quick: bool) -> dict[str, Work]:
    """Return what takes turns: the tutorial's step, ours, and matrix products."""
    device = device_of_steps()
    size = pix2pix("float32", "exact", quick=quick).data.size
    generator = torch.Generator().manual_seed(0)
    rgb_u8 = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    rgb_u8 = rgb_u8.to(device)
    theirs = reference_step(path)
    # Its data set converts colours outside the step; ours does it inside.
    unit = color.rgb_to_unit(rgb_u8)
    works = {REFERENCE: Work(run=lambda _: theirs(*unit), prepare=as_torch_is)}
    for name, products in PRODUCTS.items():
        for determinism in determinisms:
            config = pix2pix(name, determinism, quick=quick)
            works[own_name(name, determinism)] = Work(
                run=partial(own_step, build_networks(config, device), config, rgb_u8),
                prepare=partial(set_determinism, config),
                precision=name,
            )
        matrix = torch.randn(SIDE[device.type], SIDE[device.type], device=device)
        works[products] = Work(run=partial(squared, matrix.to(getattr(torch, name))))
    return works


def as_torch_is() -> None:
    """Let torch take the kernels that it takes where nobody says anything, as the tutorial."""
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def own_step(networks: Networks, config: TrialConfig, rgb_u8: torch.Tensor, _call: int) -> None:
    """Take a step of ours."""
    adversarial_step(networks, config, rgb_u8)


def squared(matrix: torch.Tensor, _call: int) -> torch.Tensor:
    """Multiply a matrix with itself, in float32 as exactly as a step's convolutions do."""
    with as_convolutions():
        return matrix @ matrix


def beside_reference(
    path: Path, *, rounds: int, seconds: float, determinisms: list[str], quick: bool
) -> dict[str, Any]:
    """Let the steps take turns and return medians, ratios and shares of the matrix rate."""
    batch = 2 if quick else 16
    works = turns(path, batch, determinisms, quick=quick)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr)
        for name, work in works.items():
            times = work.measure(0.0 if number == 0 else seconds)
            if number:  # the first round allocates
                found[name].append(times)
    config = pix2pix("float32", "exact", quick=quick)
    networks = build_networks(config, torch.device("cpu"))
    gigaflops = gigaflops_an_image(adversarial_step, networks, config)
    product = 2 * SIDE[device_of_steps().type] ** 3 / 1e9
    results = []
    for name in (name for name in works if name not in PRODUCTS.values()):
        row: dict[str, Any] = {"step": name}
        for clock, label in enumerate(("seconds", "processor_seconds")):
            mine, theirs, best = (
                [times[clock] for times in found[key]]
                for key in (name, REFERENCE, PRODUCTS[works[name].precision])
            )
            rates = zip(mine, best, strict=True)
            row[label] = round(statistics.median(mine), 3)
            row[f"times_tutorial_by_{label}"] = round(
                statistics.median(b / a for a, b in zip(mine, theirs, strict=True)), 2
            )
            row[f"share_of_matrix_rate_by_{label}"] = round(
                statistics.median(gigaflops * batch / a / (product / b) for a, b in rates), 3
            )
        results.append(row)
    return {
        "gigaflops_an_image": round(gigaflops, 1),
        "matrix_gigaflops_per_second": {
            name: round(product / statistics.median(times[0] for times in found[key]), 1)
            for name, key in PRODUCTS.items()
        },
        "batch_size": batch,
        "results": results,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Write the results as Markdown."""
    rows = [{**row, **row.get("images_per_second", {})} for row in results]
    for row in rows:
        row.pop("images_per_second", None)
    lines = ["| " + " | ".join(name.replace("_", " ") for name in rows[0]) + " |"]
    lines.append("| " + " | ".join("---" for _ in rows[0]) + " |")
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Measure in rounds and write medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="about, for each measurement")
    parser.add_argument("--reference", type=Path, help="checkout of the tutorial's repository")
    parser.add_argument(
        "--determinism", nargs="+", default=["exact"], choices=("exact", "fast"), help="kernels"
    )
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    prepare_cuda()
    rounds, seconds = (1, 0.0) if flags.quick else (flags.rounds, flags.seconds)
    about: dict[str, Any]
    if flags.reference:
        try:
            about = beside_reference(
                flags.reference,
                rounds=rounds,
                seconds=seconds,
                determinisms=flags.determinism,
                quick=flags.quick,
            )
        except CheckoutError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from error
    else:
        cases = [
            {**case, "determinism": determinism}
            for case in (CASES[:1] if flags.quick else CASES)
            for determinism in flags.determinism
        ]
        about = {"shared": SHARED, "results": own_cases(rounds, seconds, cases)}
    found = {
        "environment": describe_environment(),
        **about_device(),
        "rounds": rounds,
        "quick": flags.quick,
        **about,
    }
    tell(found, table(about["results"]), flags.out)


if __name__ == "__main__":
    main()
