"""Everything that is to be known of a GPU, by one command.

    python benchmarks/gpu.py --out gpu.json [--compile] [--size 256] [--batches 4 16 32 64]
                             [--rounds 3] [--without packing evaluation trace]

- Images a second of the pretraining and of the adversarial step by batch, backbone, precision and
  kernels, in interleaved rounds, with the share of the card's matrix rate measured between them,
  and the peak of its memory. `--compile` adds compiled networks beside the plain ones.
- Trials an hour of 1, 2, 4 and 8 processes side by side on the card.
- A trace of some steps (`gpu.scratch.trace.json`; open it in Perfetto), and what costs most.
- Seconds of an evaluation of the space file's `evaluation.images`.
- From these the GPU hours of 64 trials of 100 epochs of 8,000 images under ASHA.

What cannot be measured is a sentence in its place, and the rest goes on. It needs torch and no Ray.
The output is a table, and JSON with card, driver and versions; parts that were measured before a
kill are kept beside the JSON, and the same command goes on. `--quick` runs small, on a CPU too.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import SPACES, configuration
from device import Limits, about_device, device_of_steps, prepare_cuda
from gpu_hours import Speeds, estimate, plan_of
from gpu_steps import DETERMINISMS, PRECISIONS, Bench, Case, cases_of, measured, sentence
from PIL import Image
from told import Kept, tell
from traced import traced

from raycolor.config import TrialConfig
from raycolor.data import PHOTOS, PreparedData, SplitName, open_prepared, write_prepared
from raycolor.environment import available_cores, describe_environment
from raycolor.errors import WeightsError
from raycolor.evaluation import Evaluator
from raycolor.metrics.weights import fetch
from raycolor.steps import build_networks, set_determinism
from raycolor.tuning.memory import release
from raycolor.tuning.pacers import OutOfTime, Pacers

PARTS = ("packing", "evaluation", "trace")
TRIALS, EPOCHS, PICTURES = 64, 100, 8000
"""Of the study whose GPU hours are estimated."""
MOST_SECONDS = 240.0
"""Of the processes of all packings, in one round."""
STEPS_OF_TRACE = 5


def main() -> None:
    """Measure all parts and write them down."""
    flags = parsed()
    if not torch.cuda.is_available() and not flags.quick:
        print(
            f"error: benchmarks/gpu.py measures a GPU, and torch {torch.__version__} finds none "
            "here; run it on a machine with one, or with --quick to see that it works",
            file=sys.stderr,
        )
        raise SystemExit(2)
    prepare_cuda()
    kept = Kept(flags.out, sorted((name, str(value)) for name, value in vars(flags).items()))
    with tempfile.TemporaryDirectory() as folder:
        data = enlarged(Path(folder), flags)
        # First, while this process holds nothing on the card.
        packed = kept.measure("packing", lambda: packings(data, flags))
        evaluations = kept.measure("evaluation", lambda: evaluation(data, flags))
    found = kept.measure("steps", lambda: steps(flags))
    traces = kept.measure("traces", lambda: traces_of(flags))
    rows = [estimated(backbone, found, packed, evaluations) for backbone in flags.backbones]
    told = {
        "environment": describe_environment(),
        **about_device(),
        "quick": flags.quick,
        "size": flags.size,
        "rounds": flags.rounds,
        "packing": packed,
        "evaluation": evaluations,
        **{name: value for name, value in found.items() if name != "cases"},
        "traces": traces,
        "estimates": rows,
        "results": found["cases"],
    }
    tell(told, table(told), flags.out)
    kept.close()


def parsed() -> argparse.Namespace:
    """Read the flags; a quick run has its own sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16, 32, 64])
    parser.add_argument("--backbones", nargs="+", choices=tuple(SPACES), default=list(SPACES))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument(
        "--determinisms", nargs="+", choices=DETERMINISMS, default=list(DETERMINISMS)
    )
    parser.add_argument("--compile", action="store_true", help="compiled networks too")
    parser.add_argument("--packing", type=int, nargs="+", default=[1, 2, 4, 8], help="processes")
    parser.add_argument("--without", nargs="+", choices=PARTS, default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="about, for each measurement")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    if flags.quick:
        flags.size, flags.batches, flags.backbones = 32, [2], ["scratch"]
        flags.packing, flags.rounds, flags.seconds = [1], 1, 0.0
    return flags


def own(backbone: str, flags: argparse.Namespace) -> TrialConfig:
    """Return what a trial has by itself: `auto` for the precision, and the exact kernels."""
    return configuration(backbone, size=flags.size, batch_size=usual(flags), quick=flags.quick)


def usual(flags: argparse.Namespace) -> int:
    """Return the batch for which there is one answer: that of the space files if it is measured."""
    batches: list[int] = flags.batches
    return 16 if 16 in batches else batches[0]


def enlarged(folder: Path, flags: argparse.Namespace) -> PreparedData:
    """Write a data set of the size: the built-in photographs, enlarged and repeated with noise.

    Pictures that are alike would have a Fréchet distance of their own cost.
    """
    pixels = open_prepared(PHOTOS).pictures("train").pixels
    squares = [
        np.asarray(Image.fromarray(one).resize((flags.size,) * 2, Image.Resampling.BICUBIC))
        for one in pixels[: 8 if flags.quick else None]
    ]
    number = len(squares) if flags.quick else 1000
    rng = np.random.default_rng(0)
    rows = []
    for index in range(number):
        square = squares[index % len(squares)]
        noisy = square + rng.integers(-8, 9, square.shape)
        rows.append((f"{index}.jpg", noisy.clip(0, 255).astype(np.uint8)))
    splits: dict[SplitName, list[tuple[str, np.ndarray]]]
    splits = {"train": rows, "validation": rows, "test": rows[:1]}
    return write_prepared(folder, splits, name="speed", source="enlarged")


def packings(data: PreparedData, flags: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure so many processes on one card, by backbone; the fewest first."""
    if "packing" in flags.without:
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for backbone in flags.backbones:
        config = own(backbone, flags)
        speeds: dict[int, list[float]] = {number: [] for number in sorted(flags.packing)}
        failed: dict[int, str] = {}
        for _ in range(1 if flags.quick else 2):
            with Pacers(config, str(data.path), most_seconds=MOST_SECONDS) as running:
                for number, so_far in speeds.items():
                    gpus = 1 / number if torch.cuda.is_available() else 0.0
                    try:
                        speed = running.speed(number, max(1, available_cores() // number), gpus)
                    except OutOfTime:
                        if not so_far:
                            failed[number] = f"not known after {MOST_SECONDS:.0f} s"
                        continue
                    if speed is None:
                        failed[number] = running.trouble
                    else:
                        so_far.append(speed)
        found[backbone] = []
        for number, so_far in speeds.items():
            row: dict[str, Any] = {"processes": number, "images_per_second": None, "failed": None}
            if number in failed:
                row["failed"] = failed[number]
            else:
                row["images_per_second"] = statistics.median(so_far)
            found[backbone].append(row)
    return found


def evaluation(data: PreparedData, flags: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure one report's evaluation by backbone, the truth's features known."""
    found: dict[str, dict[str, Any]] = {}
    for backbone in [] if "evaluation" in flags.without else flags.backbones:
        config, note = own(backbone, flags), None
        try:
            fetch(config.evaluation)
        except WeightsError as error:
            note = f"Features of efficientnet_lite0, a smaller network: {error}"
            other = {"extractor": "efficientnet_lite0", "extractor_size": 128}
            other |= {"extractor_weights": None}
            changed = config.evaluation.model_copy(update=other)
            config = config.model_copy(update={"evaluation": changed})
        try:
            images, seconds = scored(config, data)
        except RuntimeError as error:
            images, seconds, note = 0, None, sentence(error, compiled=False)
        found[backbone] = {"images": images, "seconds": seconds, "note": note}
        release()
    return found


def scored(config: TrialConfig, data: PreparedData) -> tuple[int, float]:
    """Return how many pictures a report colours and scores, and the seconds of doing so."""
    set_determinism(config)
    device = device_of_steps()
    evaluator = Evaluator(config, data, device=device)
    generator = build_networks(config, device).generator.eval()
    # A generator's first pass chooses and loads its kernels.
    evaluator.evaluate(generator)
    return len(evaluator.truth), evaluator.evaluate(generator).seconds


def steps(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure all cases."""
    bench = Bench(flags.backbones, size=flags.size, quick=flags.quick)
    limits = Limits(device_of_steps(), quick=flags.quick)
    cases = cases_of(
        flags.backbones,
        flags.batches,
        flags.precisions,
        flags.determinisms,
        compiled=flags.compile,
    )
    return measured(bench, cases, limits, rounds=flags.rounds, seconds=flags.seconds)


def traces_of(flags: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Trace the steps of a trial by itself, by backbone."""
    found: dict[str, dict[str, Any]] = {}
    for backbone in [] if "trace" in flags.without else flags.backbones:
        case = Case(
            backbone=backbone,
            precision=flags.precisions[-1],
            determinism=flags.determinisms[0],
            batch_size=usual(flags),
        )
        path = flags.out and flags.out.with_name(f"{flags.out.stem}.{backbone}.trace.json")
        try:
            bench = Bench([backbone], size=flags.size, quick=flags.quick)
            step = bench.steps(case)["adversarial"]
            step()
            found[backbone] = traced(step, steps=STEPS_OF_TRACE, path=path)
        except RuntimeError as error:
            found[backbone] = {"failed": sentence(error, compiled=False)}
        release()
    return found


def estimated(
    backbone: str,
    found: dict[str, Any],
    packed: dict[str, list[dict[str, Any]]],
    evaluations: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Estimate GPU hours from the fastest case of a backbone with exact kernels, if there is one.

    Args:
        backbone: of all trials.
        found: what `steps` returned.
        packed: what `packings` returned.
        evaluations: what `evaluation` returned.
    """
    plan = plan_of(SPACES[backbone], trials=TRIALS, epochs=EPOCHS, pictures=PICTURES)
    own_cases = [
        row
        for row in found["cases"]
        # Trials never have compiled networks.
        if row["backbone"] == backbone and row["failed"] is None and not row["compiled"]
    ]
    own_cases = [row for row in own_cases if row["determinism"] == "exact"] or own_cases
    # The batch is the study's to choose, not the card's: the space files' own, if it was measured.
    own_cases = [row for row in own_cases if row["batch_size"] == 16] or own_cases
    if not own_cases:
        return {"backbone": backbone, "failed": "No step of it was measured."}
    best = max(own_cases, key=lambda row: float(row["adversarial_images_per_second"]))
    together = {
        row["processes"]: row["images_per_second"]
        for row in packed.get(backbone, [])
        if row["failed"] is None
    }
    gain = max(together.values()) / together[1] if 1 in together else 1.0
    speeds = Speeds(
        pretraining=best["pretraining_images_per_second"],
        adversarial=best["adversarial_images_per_second"],
        evaluation_seconds=evaluations.get(backbone, {}).get("seconds"),
        packing_gain=gain,
    )
    taken = {name: best[name] for name in ("precision", "determinism", "batch_size")}
    hours = estimate(plan, speeds)
    by_packing = {
        str(processes): TRIALS / hours["hours"] * images / together[1]
        for processes, images in together.items()
        if 1 in together
    }
    return {
        "backbone": backbone,
        "failed": None,
        **taken,
        **hours,
        "trials_per_hour": by_packing,
    }


def table(told: dict[str, Any]) -> str:
    """Write what counts as Markdown."""
    head = ["step", "precision", "kernels", "compiled", "batch", "pretraining, images/s"]
    head += ["adversarial", "share of matrix rate", "peak GiB", "note"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in told["results"]:
        cells = [row["backbone"], row["precision"], row["determinism"]]
        cells += ["yes" if row["compiled"] else "no", row["batch_size"]]
        cells += [
            number(row[f"{name}_images_per_second"]) for name in ("pretraining", "adversarial")
        ]
        cells += [number(row["adversarial_share"]), number(row["peak_gib"])]
        note = row["failed"] or ""
        if row["compile_seconds"] is not None:
            note = f"compiled in {row['compile_seconds']:.0f} s. {note}".strip()
        lines.append("| " + " | ".join(map(str, [*cells, note])) + " |")
    for precision, rate in told["matrix_flop_per_second"].items():
        lines.append(f"\nMatrix rate, {precision}: {rate / 1e12:.4g} TFLOP/s")
    rates = {row["backbone"]: row.get("trials_per_hour", {}) for row in told["estimates"]}
    for backbone, rows in told["packing"].items():
        for row in rows:
            an_hour = rates.get(backbone, {}).get(str(row["processes"]))
            said = row["failed"] or f"{row['images_per_second']:.0f} images/s"
            said += "" if an_hour is None else f", {an_hour:.3g} trials an hour under halving"
            lines.append(f"\nPacking, {backbone}, {row['processes']} at once: {said}")
    for backbone, one in told["evaluation"].items():
        said = one["note"] or ""
        if one["seconds"] is not None:
            said = f"{one['images']} images in {one['seconds']:.2f} s. {said}".strip()
        lines.append(f"\nEvaluation, {backbone}: {said}")
    for backbone, trace in told["traces"].items():
        if "failed" in trace:
            lines.append(f"\nDearest, {backbone}: {trace['failed']}")
            continue
        costs = ", ".join(f"{c['name']} {c['share']:.0%}" for c in trace["operations"])
        lines.append(f"\nDearest, {backbone}, by {trace['by']}: {costs}")
    for row in told["estimates"]:
        said = row["failed"] or (
            f"{row['hours']:.3g} GPU hours ({row['hours_packed']:.3g} packed, "
            f"{row['hours_without_halving']:.3g} without ASHA), "
            f"confirmation {row['hours_confirming']:.3g} more"
        )
        lines.append(
            f"\n{TRIALS} trials x {EPOCHS} epochs x {PICTURES:,}, {row['backbone']}: {said}"
        )
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Write a number with three digits; nothing for None."""
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main()
