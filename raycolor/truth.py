"""What all runs on a machine know of the true pictures: computed once, kept in the cache folder.

A file is named by all that determines what it holds, the versions, the device and the number of
threads included: a run finds exactly the bits that it would have computed itself. A file that is
damaged is computed again. Any of them may be deleted at any time.
"""

import hashlib
import json
import platform
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raycolor.cache import cache_folder
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.errors import CheckpointError
from raycolor.storage import Patience, StorageError

Known = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and plain values."""

_PACKAGES = ("timm", "torchvision", "torchmetrics", "kornia")
"""Beside torch, those whose code has a part in it."""


def truth_folder() -> Path:
    """Name the folder of this machine where the truth is kept."""
    return cache_folder() / "truth"


def known(
    folder: Path | None, key: Mapping[str, Any], device: torch.device, compute: Callable[[], Known]
) -> Known:
    """Read what is kept under a key, or compute and keep it.

    What cannot be kept, as on a full disk, is computed all the same, with a warning.

    Args:
        folder: where files lie; None keeps nothing.
        key: what determines the content beside the machine; JSON can hold it.
        device: where it is computed.
        compute: gives the content.
    """
    if folder is None:
        return compute()
    about = json.dumps({**key, **_machine(device)}, sort_keys=True)
    path = folder / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.safetensors"
    if path.is_file():
        try:
            tensors, told = load_tensors(path)
        except CheckpointError:
            pass  # damaged: replaced below
        else:
            if told["key"] == about:
                return tensors, told["values"]
    tensors, values = compute()
    try:
        save_tensors(path, tensors, {"key": about, "values": values}, patience=Patience(()))
    except StorageError as error:
        warnings.warn(f"{error}; until then it is computed for every trial", stacklevel=2)
    return tensors, values


def _machine(device: torch.device) -> dict[str, Any]:
    """Name what changes the last bits of features."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": device.type,
        "gpu": gpu,
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "threads": torch.get_num_threads(),
        "exact": torch.are_deterministic_algorithms_enabled(),
        "torch": torch.__version__,
        "packages": {name: version(name) for name in _PACKAGES},
    }
