"""What a study or a run ran on: versions, hardware, code."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from raycolor import __version__

PACKAGES = (
    "ray",
    "optuna",
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "kornia",
    "numpy",
    "pyarrow",
)


def describe_environment() -> dict[str, Any]:
    """Collect versions, code and hardware of this process's machine.

    None of the packages is imported, so that it takes a fraction of a second. What cannot be found
    out is None.

    Returns:
        Plain values for JSON, without any path of the machine.
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "raycolor": __version__,
        **_checkout(),
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
    }


def available_cores() -> int:
    """Count the cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checkout() -> dict[str, Any]:
    """Name the checkout's commit, and tell whether files of it were changed since."""
    root = Path(__file__).parent.parent
    nothing = {"commit": None, "changed": None}
    if not (root / ".git").exists():
        return nothing
    try:
        commit = _said("git", "-C", str(root), "rev-parse", "HEAD")
        changes = _said("git", "-C", str(root), "status", "--porcelain", "-uno")
    except (OSError, subprocess.SubprocessError):
        return nothing
    return {"commit": commit, "changed": bool(changes)}


def _memory_gib() -> float | None:
    """Measure the machine's memory in GiB."""
    try:
        pages = os.sysconf("SC_PHYS_PAGES")
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**30, 2)
    except (OSError, ValueError):
        return None


def _gpus() -> list[dict[str, Any]]:
    """Name NVIDIA's GPUs, their memory and driver, as its own tool tells them; none without it."""
    wanted = ("name", "memory.total", "driver_version")
    query = ("nvidia-smi", f"--query-gpu={','.join(wanted)}", "--format=csv,noheader,nounits")
    try:
        lines = _said(*query).splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    # A name may hold a comma; memory and driver do not.
    found = [line.rsplit(",", 2) for line in lines if line.count(",") >= 2]
    return [
        {"name": name.strip(), "memory_mib": memory.strip(), "driver": driver.strip()}
        for name, memory, driver in found
    ]


def _said(*words: str) -> str:
    """Run a command and return what it says."""
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def processor_instructions() -> str:
    """Name the processor and, in short, the instructions that it has for libraries to choose from.

    Two machines of a cloud with one name of a processor need not have the same.
    """
    told = {platform.machine(), _processor()}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                told.update(line.partition(":")[2].split())
                break
    except OSError:
        pass
    digest = hashlib.sha256(" ".join(sorted(told)).encode()).hexdigest()
    return f"{_processor()}, {digest[:16]}"
