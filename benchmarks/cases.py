"""Configurations whose speed is measured: those of the space files for 256 pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from raycolor.config import TrialConfig
from raycolor.spaces.domains import Scalar
from raycolor.spaces.file import find_space, load_space
from raycolor.steps import Networks, StepLosses

Step = Callable[[Networks, TrialConfig, Tensor], StepLosses]
SPACES = {"scratch": "pix2pix_256", "resnet18": "resnet18_256"}
"""The space file of each backbone."""
NARROW: dict[str, Scalar] = {"generator.width": 4, "discriminator.width": 4}
"""Of a quick run."""


def configuration(
    backbone: str,
    *,
    size: int,
    batch_size: int,
    precision: str = "auto",
    determinism: str = "exact",
    quick: bool = False,
) -> TrialConfig:
    """Return the baseline of a backbone's space file at another size and batch.

    Weights are drawn at random: a step with pretrained ones takes as long. The lengths of the
    stages, on which the speed of a step does not depend, fit the batch.
    """
    space = load_space(find_space(SPACES[backbone]))
    chosen: dict[str, Scalar] = {
        **space.baseline,
        "data.size": size,
        "generator.weights": "none",
        "pretraining.frozen_images": 0,
        "pretraining.images": 0,
        "budget.batch_size": batch_size,
        "budget.report_every": batch_size,
        "budget.images": batch_size,
        "precision": precision,
        "determinism": determinism,
    }
    if backbone == "scratch":
        del chosen["generator.weights"]
    if quick:
        chosen |= NARROW
        chosen |= {"evaluation.extractor": "efficientnet_lite0", "evaluation.extractor_size": 32}
        chosen["evaluation.images"] = 4
    return space.config(chosen)


def gigaflops_an_image(step: Step, networks: Networks, config: TrialConfig) -> float:
    """Count products and sums of the convolutions of a step, forwards and backwards, in 1e9.

    Args:
        step: that is counted.
        networks: of the configuration, on the CPU.
        config: whose size counts.
    """
    batch = 2  # batch norm at a single place needs two
    rgb_u8 = torch.zeros(batch, 3, config.data.size, config.data.size, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        step(networks, config, rgb_u8)
    total: int = counter.get_total_flops()
    return total / batch / 1e9
