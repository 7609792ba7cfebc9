"""The state of a run's networks and optimisers as tensors by name, and back."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from torch.optim import Adam

from raycolor.steps import Networks


def tensors_of(networks: Networks, parts: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return the tensors of networks and optimisers, by `part/name`; they are not copied.

    Args:
        networks: of the run.
        parts: which of `generator`, `average`, `discriminator`, `pretraining_adam`,
            `generator_adam`, `discriminator_adam`; None for all that the run has.
    """
    tensors: dict[str, Tensor] = {}
    for part, network in _parts(networks).items():
        if parts is None or part in parts:
            tensors |= {f"{part}/{name}": value for name, value in network.state_dict().items()}
    for part, adam in _adams(networks).items():
        if parts is None or part in parts:
            for index, state in adam.state_dict()["state"].items():
                tensors |= {f"{part}/{index}/{name}": value for name, value in state.items()}
    return tensors


def restore(
    networks: Networks, tensors: Mapping[str, Tensor], parts: Collection[str] | None = None
) -> None:
    """Put tensors back into networks and optimisers.

    Args:
        networks: changed in place.
        tensors: as `tensors_of` gave them for the same parts.
        parts: which; None for all that the run has.
    """
    for part, network in _parts(networks).items():
        if parts is None or part in parts:
            network.load_state_dict(_below(tensors, part))
    for part, adam in _adams(networks).items():
        if parts is None or part in parts:
            _restore_adam(adam, _below(tensors, part))


def _restore_adam(adam: Adam, tensors: Mapping[str, Tensor]) -> None:
    (group,) = adam.param_groups
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        # Fused Adam goes through memory, not through indices: a moment must be laid out as its
        # parameter is (channels last), or it meets the wrong weights.
        laid_out = torch.empty_like(group["params"][int(index)]) if value.ndim else value
        states.setdefault(int(index), {})[name] = laid_out.copy_(value)
    adam.load_state_dict({"state": states, "param_groups": adam.state_dict()["param_groups"]})


def _below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}/"
    return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}


def _parts(networks: Networks) -> dict[str, torch.nn.Module]:
    parts = {"generator": networks.generator}
    if networks.opponent is not None:
        parts["discriminator"] = networks.opponent.discriminator
    if networks.average is not None:
        parts["average"] = networks.average.network
    return parts


def _adams(networks: Networks) -> dict[str, Adam]:
    adams = {
        "pretraining_adam": networks.pretraining_adam,
        "generator_adam": networks.generator_adam,
    }
    if networks.opponent is not None:
        adams["discriminator_adam"] = networks.opponent.adam
    return adams
