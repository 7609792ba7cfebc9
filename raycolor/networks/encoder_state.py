"""Files of weights, read as the state of an encoder that sees one channel.

Axis letters: b batch, h height, w width.
"""

import io
import pickle
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from torch import Tensor

from raycolor.backbones import ENCODERS, Encoder
from raycolor.errors import WeightsError
from raycolor.problems import listed
from raycolor.weights import find_weights, lite0_name, weights_key

Contents = Mapping[str, bytes | np.ndarray]
"""Files of weights by their `weights_key`."""
_WRAPPERS = ("state_dict", "model")
"""Under which training scripts keep a network's state beside other things."""
_FIRST = (("conv1.0", "conv1.1"), ("conv1", "bn1"), ("conv_stem", "bn1"), ("stem.conv", "stem.bn"))
"""Where encoders have their first convolution and the batch norm after it."""
_COUNTER = "num_batches_tracked"
"""Of batch norm, which has no use for it here; older files lack it."""


def encoder_state(
    backbone: str, weights: str, contents: Contents | None = None
) -> dict[str, Tensor]:
    """Read the weights that an encoder starts with.

    The first layers are adapted to one channel, so that the encoder answers to a grey picture as
    the classifier did to the same picture in three.

    Args:
        backbone: name of an encoder.
        weights: `imagenet`, or the path of a file.
        contents: files that the driver has found; if it is not there, it is looked for.

    Returns:
        A state dict for timm's network with `features_only` and one input channel.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    key = weights_key(backbone, weights)
    content = (contents or {}).get(key)
    if content is None:
        content = find_weights([(backbone, weights)])[key].read_bytes()
    where = f"generator.weights: {weights} for generator.backbone: {backbone}"
    encoder = ENCODERS[backbone]
    expected, known = _layout(encoder.architecture)
    state = one_channel(_as_timm(_read(content, where)), encoder)
    return _fitted(state, expected, known, where)


def one_channel(state: Mapping[str, Tensor], encoder: Encoder) -> dict[str, Tensor]:
    """Adapt an encoder's first convolution, and the batch norm after it, to one channel.

    A grey pixel v came to channel c as (v - mean_c) / deviation_c. It now comes once, as
    x = (v - mean) / deviation with the averages over the channels, so v = mean + deviation x:

        sum_c W_c * (v - mean_c) / deviation_c
            = (sum_c W_c deviation / deviation_c) * x + sum_c W_c * (mean - mean_c) / deviation_c

    The new kernel is the bracket: the sum over R, G and B where all have one deviation. The last
    term does not depend on the picture, so batch norm's mean takes it up. Only where a kernel
    reaches over the picture's edge does anything differ.

    Args:
        state: of a network that sees RGB; one that sees one channel already stays as it is.
        encoder: which network it is.
    """
    adapted = dict(state)
    for convolution, norm in _FIRST:
        kernel, mean_name = state.get(f"{convolution}.weight"), f"{norm}.running_mean"
        if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 3 or mean_name not in state:
            continue
        mean, deviation = encoder.gray_range
        means, deviations = (
            torch.tensor(values, dtype=torch.float64)
            for values in (encoder.mean, encoder.deviation)
        )
        ratios = (deviation / deviations).to(kernel.dtype).view(1, 3, 1, 1)
        shifts = ((mean - means) / deviations).to(kernel.dtype).view(1, 3, 1, 1)
        adapted[f"{convolution}.weight"] = (kernel * ratios).sum(dim=1, keepdim=True)
        adapted[mean_name] = state[mean_name] - (kernel * shifts).sum(dim=(1, 2, 3))
        break
    return adapted


def _read(content: bytes | np.ndarray, where: str) -> dict[str, Tensor]:
    """Read a file of tensors; nothing in it is run.

    Raises:
        WeightsError: it is none.
    """
    data = bytes(content)
    tree: Any
    try:
        if data[8:9] == b"{":
            tree = safetensors.torch.load(data)
        else:
            tree = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (
        AttributeError,
        EOFError,
        KeyError,
        OSError,
        RuntimeError,
        SafetensorError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{where}: cannot be read as weights ({said}); give a file that torch.save or "
            "safetensors wrote, with tensors alone"
        ) from error
    for name in _WRAPPERS:
        if isinstance(tree, Mapping) and isinstance(tree.get(name), Mapping):
            tree = tree[name]
    if not isinstance(tree, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tree.items()
    ):
        raise WeightsError(f"{where}: holds no tensors by name; save a network's state_dict()")
    return {name.removeprefix("module."): tensor for name, tensor in tree.items()}


def _as_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give parameters timm's names, where a file has those of another library."""
    if "_conv_stem.weight" in state:
        return {lite0_name(name): tensor for name, tensor in state.items()}
    if any(name.startswith("trunk_output.") for name in state):
        return {_regnet_name(name): tensor for name, tensor in state.items()}
    return state


def _regnet_name(name: str) -> str:
    """Translate a parameter's name in torchvision's RegNet into timm's."""
    for pattern, replacement in (
        (r"^stem\.0\.", "stem.conv."),
        (r"^stem\.1\.", "stem.bn."),
        (r"^trunk_output\.block(\d)\.block\d-(\d+)\.", r"s\1.b\2."),
        (r"^fc\.", "head.fc."),
        (r"\.proj\.0\.", ".downsample.conv."),
        (r"\.proj\.1\.", ".downsample.bn."),
        (r"\.f\.se\.", ".se."),
    ):
        name = re.sub(pattern, replacement, name)
    if block := re.match(r"(s\d\.b)(\d+)(\..+)", name):
        name = f"{block[1]}{int(block[2]) + 1}{block[3]}"
    if layer := re.match(r"(.+)\.f\.([abc])(?:\.([01]))?\.(.+)", name):
        number = "abc".index(layer[2]) + 1
        part = "bn" if layer[3] == "1" else "conv"
        name = f"{layer[1]}.conv{number}.{part}.{layer[4]}"
    return name


@cache
def _layout(architecture: str) -> tuple[dict[str, torch.Size], frozenset[str]]:
    """Return the shapes of an encoder's parameters, and the names of the whole classifier's."""
    # Who asks first must not draw other numbers than who asks later.
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        encoder = timm.create_model(architecture, features_only=True, in_chans=1)
        classifier = timm.create_model(architecture)
    shapes = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    return shapes, frozenset(map(_flat, classifier.state_dict()))


def _flat(name: str) -> str:
    """Name a parameter as an encoder does: timm takes some classifiers' stages apart."""
    return re.sub(r"^stages\.", "stages_", name)


def _fitted(
    state: dict[str, Tensor], expected: dict[str, torch.Size], known: frozenset[str], where: str
) -> dict[str, Tensor]:
    """Take an encoder's parameters out of a classifier's.

    Raises:
        WeightsError: they are not those of this network.
    """
    names = {_flat(name) if _flat(name) in expected else name: name for name in state}
    strange = sorted(name for name in names if _flat(name) not in known and name not in expected)
    missing = sorted(n for n in expected if n not in names and not n.endswith(_COUNTER))
    fitted: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, shape in expected.items():
        if name not in names:
            continue
        tensor = state[names[name]]
        if tensor.shape != shape:
            wrong.append(f"{name} {tuple(tensor.shape)} instead of {tuple(shape)}")
        fitted[name] = tensor
    said = [
        f"{len(names)} {text} ({listed(names, most=2)})"
        for names, text in (
            (missing, "of its parameters missing"),
            (strange, "unknown to it"),
            (wrong, "of other shape"),
        )
        if names
    ]
    if said:
        raise WeightsError(
            f"{where}: is of another network: {listed(said, last='and')}; give weights of timm's "
            "network of that name, imagenet or none"
        )
    return fitted
