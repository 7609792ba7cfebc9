"""Where a step's time goes: a trace to look at, and its dearest operations by name."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from device import wait
from torch.profiler import ProfilerActivity, profile

LONGEST_NAME = 100
"""Letters; the names of kernels spell out their templates."""


def dearest(costs: Iterable[tuple[str, float]], *, number: int = 3) -> list[dict[str, Any]]:
    """Rank what costs most.

    Args:
        costs: names and times; those of one name are added up.
        number: how many are told.

    Returns:
        The dearest first, with its share of all times.
    """
    sums: Counter[str] = Counter()
    for name, cost in costs:
        sums[name] += cost  # type: ignore[assignment]  # a Counter of times
    whole = sum(sums.values())
    return [
        {"name": name[:LONGEST_NAME], "milliseconds": cost / 1e3, "share": cost / whole}
        for name, cost in sums.most_common(number)
        if cost > 0
    ]


def traced(step: Callable[[], object], *, steps: int, path: Path | None) -> dict[str, Any]:
    """Trace some steps.

    Args:
        step: takes one; it has run before.
        steps: how many.
        path: file for the trace, in the format of Chrome's `about:tracing` and of Perfetto; None
            writes none.

    Returns:
        The dearest operations of torch, and on a GPU its dearest kernels, by the device's time.
    """
    wait()
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            step()
        wait()
    if path is not None:
        profiler.export_chrome_trace(str(path))
    operations, kernels = [], []
    for event in profiler.key_averages():
        if event.device_type.name == "CPU":
            time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            operations.append((event.key, float(time)))
        elif not event.is_user_annotation:
            kernels.append((event.key, float(event.self_device_time_total)))
    return {
        "steps": steps,
        "trace": None if path is None else path.name,
        "by": "device time" if on_gpu else "processor time",
        "operations": dearest(operations),
        "kernels": dearest(kernels),
    }
