"""What determines the state and the reports of a pretraining stage up to an image count.

Everything counts that `settings` does not name as left out: a setting that a later raycolor brings
makes other prefixes until somebody shows that it does not act.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import raycolor
from raycolor.checkpoint import fingerprint_of
from raycolor.config import TrialConfig, classifies, flattened
from raycolor.data import PreparedData
from raycolor.environment import processor_instructions
from raycolor.metrics.weights import fingerprint
from raycolor.networks.pretrained import PretrainedUNet
from raycolor.stages.settings import LEFT_OUT
from raycolor.steps import Networks
from raycolor.truth import machine_of

FORMAT = 1
"""Raised when what an entry holds changes in a way that its code's own hash does not tell."""
_PACKAGES = ("numpy", "segmentation_models_pytorch")
"""Beside those that `truth.machine_of` names, whose code has a part in training."""
_VARIABLES = (
    *("ATEN_", "CUBLAS_", "CUDNN_", "DISABLE_ADDMM_CUDA_LT", "DNNL_", "MKL_", "NVIDIA_TF32"),
    *("ONEDNN_", "OPENBLAS_", "TORCH_BLAS_", "TORCH_CUDNN_", "TORCH_LINALG_", "TORCH_MKLDNN_"),
)
"""Beginnings of the environment variables by which libraries choose other kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A prefix of a pretraining up to one image count."""

    name: str
    """Of its files, without their ending; those of one pretraining begin alike."""
    key: str
    """All that determines it, as JSON."""
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """All that determines a pretraining but for its length."""

    tree: Mapping[str, Any]
    frozen_images: int
    """Images from the start in which the encoder learns nothing."""

    @property
    def name(self) -> str:
        """Of all that counts whatever the image count."""
        return _hash(_text(self.tree))

    def point(self, images: int) -> Point:
        """Name the prefix up to an image count."""
        frozen = min(self.frozen_images, images)
        key = _text({**self.tree, "frozen_images": frozen, "images": images})
        name = f"{self.name[:16]}-{images:012}-{_hash(key)[:32]}"
        return Point(name=name, key=key, images=images)


def pretraining_of(
    config: TrialConfig, networks: Networks, prepared: PreparedData, device: torch.device
) -> Pretraining:
    """Collect what determines the pretraining of a run.

    Args:
        config: of the run.
        networks: as they were built, before any step and before a checkpoint was read.
        prepared: the data set.
        device: where it trains.

    Raises:
        WeightsError: the extractor's weights are missing or damaged.
    """
    settings = flattened(config.model_dump(mode="json"))
    has_encoder = isinstance(networks.generator, PretrainedUNet)
    weights = networks.class_weights
    tree = {
        "format": FORMAT,
        "settings": {path: value for path, value in settings.items() if path not in LEFT_OUT},
        "classifies": classifies(config),
        "class_weights": None if weights is None else fingerprint_of({"weights": weights}),
        # Of the seed, of pretrained weights and of the code that reads them.
        "start": fingerprint_of(networks.generator.state_dict()),
        "dtype": str(networks.dtype),
        "data": prepared.fingerprint,
        "extractor": fingerprint(config.evaluation),
        "machine": _machine(device),
    }
    frozen_images = config.pretraining.frozen_images if has_encoder else 0
    return Pretraining(tree=tree, frozen_images=frozen_images)


def _machine(device: torch.device) -> dict[str, Any]:
    """Name what changes the last bits of a training step."""
    cuda = device.type == "cuda"
    return {
        **machine_of(device),
        "capability": torch.cuda.get_device_capability(device) if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "float32": torch.get_float32_matmul_precision(),
        "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
        "benchmark": torch.backends.cudnn.benchmark,
        "instructions": processor_instructions(),
        "system": platform.system(),
        "libraries": {name: version(name) for name in _PACKAGES},
        "variables": {
            name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)
        },
        "code": code_fingerprint(),
    }


@cache
def code_fingerprint() -> str:
    """Return the SHA-256 of this package's source: other code may train other bits."""
    root = Path(raycolor.__file__).parent
    digest = hashlib.sha256(raycolor.__version__.encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, sort_keys=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
