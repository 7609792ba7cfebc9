"""The training loop reads nothing back from the device, for which it would wait."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from raycolor.crops import nearest_to
from raycolor.data import PreparedData
from raycolor.run_folder import Progress
from raycolor.steps import build_networks
from raycolor.trial import Run
from tests.toy import TinyConfig

CPU = torch.device("cpu")
METHODS = ("tolist", "numpy", "cpu", "__array__")
"""By which a whole tensor comes to Python."""
OPERATORS = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "is_nonzero")
"""Of torch, whose results are numbers of Python or have a shape that depends on values."""
STAGES: Mapping[str, Mapping[str, Any]] = {
    "pretraining and game": {"pretraining.images": 16},
    "frozen encoder": {
        "generator.backbone": "efficientnet_lite0",
        "generator.decoder_width": 8,
        "pretraining.images": 16,
        "pretraining.frozen_images": 8,
    },
    "classes": {"losses.kind": "classification_gan"},
    "rgb": {"generator.predicts": "rgb"},
    "penalty": {"losses.adversarial": "wgan_gp", "discriminator.norm": "instance"},
    "alone": {"losses.kind": "l1"},
    "several steps": {"discriminator.steps": 2, "optimizers.generator.schedule": "cosine"},
}


class Watched(TorchDispatchMode):
    """Notes operators for which a GPU is waited for."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name == "index" and any(
            mask is not None and mask.dtype == torch.bool for mask in args[1]
        )
        if name in OPERATORS or masked:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note how tensors are read while a test runs."""
    found: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def read(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            found.append(name)
            return real(tensor, *args, **kwargs)

        return read

    for name in METHODS:
        monkeypatch.setattr(Tensor, name, watched(name, getattr(Tensor, name)))
    with Watched(found):
        yield found


def run_of(
    tiny_config: TinyConfig, prepared: PreparedData, stage: str, device: torch.device
) -> Run:
    config = tiny_config(STAGES[stage])
    weights = torch.ones(313) if "classification" in config.losses.kind else None
    networks = build_networks(config, device, None, weights)
    source = nearest_to(device, prepared.pictures("train"))
    return Run(config, networks, Progress(), source, device)


def take_steps(run: Run, number: int = 3) -> None:
    sums: dict[str, Tensor] = {}
    for _ in range(number):
        run.advance(sums)


@pytest.mark.usefixtures("_no_shape_checks")
@pytest.mark.parametrize("stage", STAGES)
def test_no_step_reads_from_the_device(
    tiny_config: TinyConfig, prepared: PreparedData, reads: list[str], stage: str
) -> None:
    run = run_of(tiny_config, prepared, stage, CPU)
    take_steps(run, 1)  # what is prepared once, as the bins' centres, may wait
    reads.clear()
    take_steps(run)
    assert reads == []


@pytest.mark.usefixtures("_no_shape_checks")
def test_a_bound_of_accuracy_is_what_it_waits_for(
    tiny_config: TinyConfig, prepared: PreparedData, reads: list[str]
) -> None:
    run = run_of(tiny_config, prepared, "several steps", CPU)
    run.config = tiny_config({"discriminator.steps": 2, "discriminator.enough_accuracy": 1.0})
    reads.clear()
    take_steps(run, 1)
    assert reads == ["_local_scalar_dense"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("stage", STAGES)
def test_a_gpu_is_never_waited_for(
    tiny_config: TinyConfig, prepared: PreparedData, stage: str
) -> None:
    run = run_of(tiny_config, prepared, stage, torch.device("cuda"))
    take_steps(run)  # what is prepared once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        take_steps(run)
    finally:
        torch.cuda.set_sync_debug_mode("default")
