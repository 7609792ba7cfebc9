"""Old and new colorizers on the same photographs, each as its space file's first trial has it.

    python benchmarks/systems.py [--images 1024] [--seeds 3] [--processes 2] [--out results/tables]

A row a system, a run a seed; all see the same number of images in crops of the same size, and are
measured alike. What a system's space file says of size, evaluation and budget is replaced; the part
of its budget that it pretrains is kept. A run that is recorded stays: the same command goes on with
those that are missing, prints a table, and of the whole comparison writes `systems.csv`, a row a
report, and `systems.json`, the machine and the versions.
"""

import argparse
import csv
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raycolor.config import TrialConfig
from raycolor.environment import describe_environment
from raycolor.files import write_text
from raycolor.spaces.domains import Scalar
from raycolor.spaces.file import find_space, load_space

OUT = Path(__file__).parents[1] / "results" / "tables"
REPORTS = 4
SIZE, BATCH, IMAGES, SEEDS = 64, 16, 1024, 3
COLUMNS = (
    "system",
    "parameters: generator, discriminator",
    "lowest distance, by seed",
    "mean",
    "standard deviation",
    "images a second and core",
)
KEPT = ("psnr", "ssim", "colorfulness", "discriminator_accuracy", "images_per_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One colorizer."""

    space: str
    """Whose baseline it is."""
    changed: Mapping[str, Scalar]
    """What it has otherwise."""


SYSTEMS = {
    "EfficientNet-Lite0 U-Net, L1 then GAN": System(space="quickstart", changed={}),
    "ResNet18 U-Net without weights, L1 then GAN": System(
        space="resnet18_256", changed={"generator.weights": "none"}
    ),
    "pix2pix": System(space="pix2pix_256", changed={}),
    "GAN_Colorizer, 32 pixels": System(space="gan_32", changed={}),
    "GAN_Colorizer, 32 pixels, with L1": System(space="gan_32", changed={"losses.l1_lambda": 100}),
    "GAN_Colorizer, 256 pixels": System(space="gan_256", changed={}),
    "GAN_Colorizer, 256 pixels, with L1": System(
        space="gan_256", changed={"losses.l1_lambda": 100}
    ),
}


def configuration(name: str, images: int, seed: int) -> TrialConfig:
    """Return the settings of one run.

    Args:
        name: of the system.
        images: that it sees.
        seed: of both stages.
    """
    system = SYSTEMS[name]
    path = find_space(system.space)
    plain = load_space(path)
    whole = plain.config(plain.baseline)
    share = whole.pretraining.images / whole.budget.images
    steps = round(images * share / BATCH)
    space = load_space(
        path,
        {
            "data.size": SIZE,
            "data.smallest_crop": 0.5,
            "evaluation.images": 54,
            "evaluation.extractor": "efficientnet_lite0",
            "evaluation.extractor_size": 224,
            "budget.images": images,
            "budget.report_every": images // REPORTS,
            "budget.batch_size": BATCH,
            "pretraining.images": steps * BATCH,
            "study.scheduler.kind": "none",
            **system.changed,
        },
    )
    chosen = {path: value for path, value in space.baseline.items() if path not in space.fixed}
    return space.config(chosen, seed=seed, pretraining_seed=seed)


def record(name: str, images: int, seed: int, out: Path) -> str:
    """Train one run to its end and write what it reported; returns a line about it."""
    # Here, since every process begins anew.
    import torch

    from raycolor.data import PHOTOS, open_prepared
    from raycolor.steps import build_networks
    from raycolor.trial import train

    os.nice(5)
    torch.set_num_threads(1)
    config = configuration(name, images, seed)
    networks = build_networks(config, torch.device("cpu"))
    sizes = {
        "generator_parameters": _parameters(networks.generator),
        "discriminator_parameters": _parameters(networks.discriminator),
    }
    rows = []
    for report in train(config, open_prepared(PHOTOS), cache=out / "parts"):
        row: dict[str, Any] = {"system": name, "seed": seed, **sizes, "images": report.images_seen}
        row["stage"] = report.stage
        row["distance"] = report.metrics[config.fid_key]
        row["lowest"] = report.metrics[f"{config.fid_key}_best"]
        row["gray"] = report.references["gray"][config.fid_key]
        rows.append(row | {metric: report.metrics.get(metric) for metric in KEPT})
    found = {"environment": describe_environment(), "rows": rows}
    write_text(part(out, name, images, seed), json.dumps(found))
    return f"{name}, seed {seed}: {rows[-1]['lowest']:.1f}"


def _parameters(network: Any) -> int:
    return 0 if network is None else sum(p.numel() for p in network.parameters())


def part(out: Path, name: str, images: int, seed: int) -> Path:
    """Name the file of one run."""
    slug = "".join(letter if letter.isalnum() else "_" for letter in name)
    return out / "parts" / f"{slug}-{images}-{seed}.json"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a row a system as Markdown, best first."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    found = []
    for name in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == name]
        last = {row["seed"]: row["lowest"] for row in own}
        speed = statistics.median(row["images_per_second"] for row in own)
        mean = statistics.fmean(last.values())
        spread = statistics.stdev(last.values()) if len(last) > 1 else 0.0
        sizes = f"{own[0]['generator_parameters']:,}, {own[0]['discriminator_parameters']:,}"
        seeds = ", ".join(f"{value:.1f}" for _, value in sorted(last.items()))
        line = f"| {name} | {sizes} | {seeds} | {mean:.1f} | {spread:.1f} | {speed:.1f} |"
        found.append((mean, line))
    return "\n".join([*lines, *(line for _, line in sorted(found))])


def main() -> None:
    """Record what is missing, and write the table when nothing is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES, help="of a run; a multiple of 64")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT, help="folder")
    parser.add_argument("--only", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    flags = parser.parse_args()
    if flags.images <= 0 or flags.images % (REPORTS * BATCH):
        parser.error(
            f"--images {flags.images}: there are {REPORTS} reports of whole batches; give a "
            f"multiple of {REPORTS * BATCH}"
        )
    (flags.out / "parts").mkdir(parents=True, exist_ok=True)
    wanted = [(name, flags.images, seed) for seed in range(flags.seeds) for name in flags.only]
    missing = [run for run in wanted if not part(flags.out, *run).exists()]
    context = multiprocessing.get_context("spawn")
    with context.Pool(flags.processes, maxtasksperchild=1) as pool:
        for job in [pool.apply_async(record, (*run, flags.out)) for run in missing]:
            print(job.get(), file=sys.stderr, flush=True)
    parts = [json.loads(part(flags.out, *run).read_text("utf-8")) for run in wanted]
    rows = [row for found in parts for row in found["rows"]]
    print(table(rows))
    if (flags.images, flags.seeds, flags.only) != (IMAGES, SEEDS, list(SYSTEMS)):
        print("not the whole comparison: systems.csv is left as it is", file=sys.stderr)
        return
    environments = {json.dumps(found["environment"]) for found in parts}
    if len(environments) > 1:
        parser.error(
            f"{flags.out / 'parts'}: its runs are of different code or machines; remove those of "
            "before, and give the command again"
        )
    with (flags.out / "systems.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_text(flags.out / "systems.json", environments.pop() + "\n")


if __name__ == "__main__":
    main()
