"""Generators for the tests of colouring: built in milliseconds, and with visible colours."""

from pathlib import Path

import torch
from torch import Tensor, nn

from raycolor.checkpoint import save_tensors
from raycolor.config import TrialConfig
from raycolor.networks.build import build_generator
from tests.toy import tiny_config


class Wash(nn.Module):
    """A generator whose colours are known: a* and b* follow lightness and place."""

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength
        self.seen: list[Tensor] = []
        """What it was given."""

    def forward(self, l_unit: Tensor) -> Tensor:
        self.seen.append(l_unit.clone())
        across = torch.linspace(-1, 1, l_unit.shape[-1]).expand_as(l_unit)
        down = torch.linspace(-1, 1, l_unit.shape[-2])[:, None].expand_as(l_unit)
        return torch.cat([across - l_unit, down + l_unit], dim=1) * self.strength / 2


def keep_generator(path: Path, config: TrialConfig | None = None) -> Path:
    """Write the file that a trial keeps, of a generator with random but strong colours."""
    chosen = config or tiny_config()
    torch.manual_seed(0)  # initialisers of layers take the global generator
    network = build_generator(chosen)
    state = network.state_dict()
    about = {"images_seen": 64, "config": chosen.model_dump(mode="json")}
    save_tensors(path, state, about)
    return path
