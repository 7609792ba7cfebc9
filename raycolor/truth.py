"""What all runs on a machine know of the true pictures: computed once, kept in the cache folder.

A file is named by all that determines what it holds, the versions, the device and the number of
threads included: a run finds exactly the bits that it would have computed itself. A file that is
damaged is computed again. Any of them may be deleted at any time; together they take no more than
`MOST_BYTES`, and the least recently used go first.
"""

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raycolor.cache import cache_folder
from raycolor.checkpoint import load_tensors, save_tensors
from raycolor.errors import CheckpointError
from raycolor.files import is_there
from raycolor.storage import Patience, StorageError

Known = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and plain values."""

MOST_BYTES = 4 * 10**9
"""Of all files; one has up to some hundred megabytes."""
_PACKAGES = ("timm", "torchvision", "kornia")
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
    about = json.dumps({**key, **machine_of(device)}, sort_keys=True)
    path = folder / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.safetensors"
    if is_there(path):
        try:
            tensors, told = load_tensors(path)
        except CheckpointError:
            pass  # damaged: replaced below
        else:
            if told["key"] == about:
                # Another process may have made room meanwhile; or the file is somebody else's.
                with suppress(OSError):
                    os.utime(path)
                return tensors, told["values"]
    tensors, values = compute()
    try:
        save_tensors(path, tensors, {"key": about, "values": values}, patience=Patience(()))
    except StorageError as error:
        warnings.warn(f"{error}; until then it is computed for every trial", stacklevel=2)
    else:
        _make_room(path)
    return tensors, values


def _make_room(newest: Path) -> None:
    """Remove the least recently used files until those that are left are few enough bytes.

    Args:
        newest: which stays in any case.
    """
    found = []
    for path in newest.parent.glob("*.safetensors"):
        with suppress(OSError):
            about = path.stat()
            found.append((about.st_mtime_ns, about.st_size, path))
    over = sum(size for _, size, _ in found) - MOST_BYTES
    for _, size, path in sorted(found):
        if over <= 0:
            return
        if path != newest:
            # Whoever reads it now goes on reading, or computes it.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            over -= size


def machine_of(device: torch.device) -> dict[str, Any]:
    """Name what changes the last bits of what networks compute."""
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
