"""Tensors and a description in one file, written whole and checked when read.

A file is safetensors, so reading it runs no code. Its header holds a JSON description and the
SHA-256 of that description and of names, shapes and bytes of all tensors.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from raycolor import storage
from raycolor.errors import CheckpointError
from raycolor.files import replacing


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    *,
    patience: storage.Patience | None = None,
) -> None:
    """Write tensors and their description, complete or not at all.

    Args:
        path: where to; an older file is replaced only by a complete one.
        tensors: by name; they are copied to the CPU.
        about: a description that JSON can hold.
        patience: how often a write is tried; None for this process's own.

    Raises:
        StorageError: the storage refuses, and went on refusing.
    """
    # Copies, since safetensors refuses tensors that share memory.
    contents = {
        name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for name, tensor in tensors.items()
    }
    description = json.dumps(dict(about))
    metadata = {"about": description, "sha256": _digest(description, contents)}

    def attempt() -> None:
        try:
            with replacing(path) as beside:
                save_file(contents, beside, metadata=metadata)
        except SafetensorError as error:
            # It wraps what the system said; the tensors themselves are of kinds that it takes.
            code = re.search(r"os error (\d+)", str(error))
            raise (
                OSError(int(code[1]), os.strerror(int(code[1]))) if code else OSError(str(error))
            ) from error

    (patience or storage.PATIENCE).write(path, attempt)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and their description.

    Returns:
        The tensors, on the CPU, and the description.

    Raises:
        CheckpointError: missing, truncated or altered.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no iterator)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error})") from error
    description = metadata.get("about", "")
    if metadata.get("sha256") != _digest(description, tensors):
        raise CheckpointError(f"{path}: its contents do not match its SHA-256; it was altered")
    return tensors, json.loads(description)


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and bytes of tensors, in hex; whatever their device."""
    return _digest(
        "", {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    )


def _digest(description: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(f"{description}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
