"""The floor of the adversarial step, layer by layer.

    python benchmarks/layers.py [--backbone scratch] [--precision bfloat16] [--batch 16]
                                [--rounds 3] [--threads 2] [--out layers.json] [--quick]

For each convolution and norm of both networks: products and sums of all its passes in one step,
forwards and backwards; the bytes that these have to move if each input, output, weight and gradient
is read or written once; the seconds that it took inside a step of 256 pixels; and its floor, the
longer of two times: that of the products at the machine's measured matrix rate, and that of the
bytes at its measured rate of copies (Williams et al. 2009). Norms are given no products: theirs are
few, and no matrix unit takes them. Two layers that are fused move less than their floors together.

Plain steps, observed steps, matrix products and copies take turns. A layer's backward pass is the
node of the graph that its output came from. The output is a table of the dearest layers with the
sum of all, and JSON with every layer, hardware and versions.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from cases import SPACES, configuration
from device import Limits, about_device, device_of_steps, prepare_cuda, timed, wait
from told import tell
from torch import Tensor, nn

from raycolor.environment import describe_environment
from raycolor.networks.build import fast_dtype
from raycolor.steps import Networks, adversarial_step, build_networks, set_determinism

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)
SHOWN = 15
"""Layers of the table."""
WHOLE, REST = "all of them", "the rest of the step"
Mark = float | torch.cuda.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass of a layer has to do at least."""

    flop: int
    moved: int
    """Bytes."""

    def floor(self, flop_per_second: float, bytes_per_second: float) -> float:
        """Return the seconds that it takes at best."""
        return max(self.flop / flop_per_second, self.moved / bytes_per_second)


@dataclass(slots=True, kw_only=True)
class Call:
    """A layer's part of one step: a pass forwards, and perhaps one backwards."""

    layer: str
    forward: Pass
    backward: Pass
    marks: list[Mark] = field(default_factory=list)
    """Begin and end of the pass forwards, then of that backwards."""

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of both passes; the device has to be done with them."""
        both = [between(*self.marks[at : at + 2]) for at in range(0, len(self.marks), 2)]
        return both[0], sum(both[1:])


def passes(module: nn.Module, seen: Tensor, output: Tensor) -> tuple[Pass, Pass]:
    """Tell what a layer's pass forwards and its pass backwards have to do.

    Args:
        module: a convolution, a dense layer or a norm.
        seen: its input, as it asks for a gradient or does not.
        output: its output, in whose type pictures are counted; weights are in their own.
    """
    weights = list(module.parameters())
    learns = any(weight.requires_grad for weight in weights)
    asks = seen.requires_grad
    before, after = (one.numel() * output.element_size() for one in (seen, output))
    kept = sum(weight.nbytes for weight in weights)
    flop = 2 * products(module, seen, output)
    # The gradient of the output; what gradients of weights need and give; the same of the input.
    back = (asks or learns) * after + learns * (before + kept) + asks * (before + kept)
    if isinstance(module, NORMS):
        # Its gradient needs the input in any case, once.
        back = (asks or learns) * (after + before + kept) + asks * before + learns * kept
    return (
        Pass(flop=flop, moved=before + after + kept),
        Pass(flop=flop * (asks + learns), moved=back),
    )


def products(module: nn.Module, seen: Tensor, output: Tensor) -> int:
    """Count the products of a pass forwards; each goes with a sum."""
    match module:
        case nn.Conv2d():
            each = module.in_channels // module.groups
            return output.numel() * each * module.kernel_size[0] * module.kernel_size[1]
        case nn.ConvTranspose2d():
            each = module.out_channels // module.groups
            return seen.numel() * each * module.kernel_size[0] * module.kernel_size[1]
        case nn.Linear():
            return output.numel() * module.in_features
        case _:
            return 0


def mark() -> Mark:
    """Return now, as the device counts."""
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def between(begin: Mark, end: Mark) -> float:
    """Return the seconds between two marks that the device has passed."""
    if isinstance(begin, float) and isinstance(end, float):
        return end - begin
    assert not isinstance(begin, float)
    assert not isinstance(end, float)
    return float(begin.elapsed_time(end)) / 1e3


def observe(networks: Networks) -> tuple[list[Call], Callable[[], None]]:
    """Watch the layers of both networks.

    Returns:
        A list that grows by each pass forwards, and what ends it.
    """
    calls: list[Call] = []
    handles = []
    for part, network in (
        ("generator", networks.generator),
        ("discriminator", networks.discriminator),
    ):
        for name, module in network.named_modules():
            if isinstance(module, CONVOLUTIONS + NORMS):
                begun: list[Mark] = []
                handles += _watched(f"{part}.{name}", module, begun, calls)

    def end() -> None:
        for handle in handles:
            handle.remove()

    return calls, end


def _watched(layer: str, module: nn.Module, begun: list[Mark], calls: list[Call]) -> list[Any]:
    def before(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        begun.append(mark())

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        forward, backward = passes(module, inputs[0], output)
        call = Call(layer=layer, forward=forward, backward=backward, marks=[begun.pop(), mark()])
        calls.append(call)
        if output.grad_fn is not None:
            output.grad_fn.register_prehook(lambda _: call.marks.append(mark()))
            output.grad_fn.register_hook(lambda _, __: call.marks.append(mark()))

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def rows_of(
    calls: list[Call], flop_per_second: float, bytes_per_second: float
) -> dict[str, dict[str, Any]]:
    """Add up the calls of one step by layer."""
    found: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"passes": 0, "flop": 0, "bytes": 0, "forward": 0.0, "backward": 0.0, "floor": 0.0}
    )
    for call in calls:
        row = found[call.layer]
        forward, backward = call.seconds()
        row["passes"] += 1
        row["forward"] += forward
        row["backward"] += backward
        for one in (call.forward, call.backward):
            row["flop"] += one.flop
            row["bytes"] += one.moved
            row["floor"] += one.floor(flop_per_second, bytes_per_second)
    return found


def medians(rounds: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Take the median of all rounds by layer; the dearest come first."""
    rows = []
    for layer in rounds[0]:
        row = {
            key: statistics.median(one[layer][key] for one in rounds) for key in rounds[0][layer]
        }
        rows.append({"layer": layer, **row, "seconds": row["forward"] + row["backward"]})
    return sorted(rows, key=lambda row: -row["seconds"])


def summed(rows: list[dict[str, Any]], step_seconds: float) -> list[dict[str, Any]]:
    """Return the sum of all layers, and what is left of a plain step."""
    keys = [key for key in rows[0] if key != "layer"]
    whole = {"layer": WHOLE, **{key: sum(row[key] for row in rows) for key in keys}}
    return [whole, {"layer": REST, "seconds": step_seconds - whole["seconds"]}]


def table(rows: list[dict[str, Any]], last: list[dict[str, Any]]) -> str:
    """Write the dearest layers and the sum as Markdown."""
    lines = [
        "| layer | passes | GFLOP | MB | ms forwards | backwards | both | floor | times floor |",
        "| --- " * 9 + "|",
    ]
    for row in [*rows[:SHOWN], *last]:
        if "floor" not in row:
            lines.append(f"| {row['layer']} | | | | | | {row['seconds'] * 1e3:.2f} | | |")
            continue
        numbers = [row["flop"] / 1e9, row["bytes"] / 1e6]
        numbers += [row[key] * 1e3 for key in ("forward", "backward", "seconds", "floor")]
        numbers.append(row["seconds"] / row["floor"])
        told = " | ".join(f"{number:.2f}" for number in numbers)
        lines.append(f"| {row['layer']} | {row['passes']} | {told} |")
    return "\n".join(lines)


def measure(flags: argparse.Namespace) -> dict[str, Any]:
    """Let steps and limits take turns."""
    device = device_of_steps()
    size, batch = (32, 2) if flags.quick else (flags.size, flags.batch)
    config = configuration(
        flags.backbone,
        size=size,
        batch_size=batch,
        precision=flags.precision,
        determinism=flags.determinism,
        quick=flags.quick,
    )
    set_determinism(config)
    networks = build_networks(config, device)
    precision = str(fast_dtype(config, device)).removeprefix("torch.")
    rgb_u8 = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    limits = Limits(device, quick=flags.quick)
    seconds = 0.0 if flags.quick else flags.seconds
    found, steps, rates, copies = [], [], [], []
    adversarial_step(networks, config, rgb_u8)  # the first call allocates
    for number in range(1 if flags.quick else flags.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        rates.append(limits.flop_per_second(precision, seconds))
        copies.append(limits.bytes_per_second(seconds))
        steps.append(timed(lambda _: adversarial_step(networks, config, rgb_u8), seconds)[0])
        calls, end = observe(networks)
        adversarial_step(networks, config, rgb_u8)
        wait()
        end()
        found.append(rows_of(calls, rates[-1], copies[-1]))
    rows, step = medians(found), statistics.median(steps)
    return {
        "backbone": flags.backbone,
        "size": size,
        "batch_size": batch,
        "precision": precision,
        "determinism": flags.determinism,
        "step_seconds": step,
        "matrix_flop_per_second": statistics.median(rates),
        "copied_bytes_per_second": statistics.median(copies),
        "summary": summed(rows, step),
        "results": rows,
    }


def main() -> None:
    """Measure in rounds and write medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", choices=tuple(SPACES), default="scratch")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="auto")
    parser.add_argument("--determinism", choices=("exact", "fast"), default="exact")
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="about, for each measurement")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    prepare_cuda()
    about = measure(flags)
    found = {
        "environment": describe_environment(),
        **about_device(),
        "quick": flags.quick,
        **about,
    }
    tell(found, table(about["results"], about["summary"]), flags.out)


if __name__ == "__main__":
    main()
