"""Batch normalisation taken into the convolutions before it, for networks that are only asked.

In evaluation it multiplies and shifts each channel by constants, as a convolution's own weights and
bias can: the same function to the last few bits, and one pass over the memory less a layer.
"""

import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batch_norms(network: nn.Module) -> int:
    """Fold each batch normalisation that follows a convolution, and nothing else, into it.

    What an activation joined to it does is kept.

    Args:
        network: in evaluation; changed in place. Its code does not depend on what it is given.

    Returns:
        How many were folded.

    Raises:
        TraceError: its code depends on what it is given.
    """
    assert not network.training
    modules = dict(network.named_modules())
    nodes = _Tracer().trace(network).nodes
    called = [str(node.target) for node in nodes if node.op == "call_module"]
    folded = 0
    for node in nodes:
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, torch.fx.Node):
            continue
        if before.op != "call_module":
            continue
        name = str(node.target)
        # What is used twice, or whose plain answer is used elsewhere too, stays as it is.
        uses = (called.count(str(before.target)), called.count(name), len(before.users))
        alone = uses == (1, 1, 1)
        convolution, norm = modules[str(before.target)], modules[name]
        if alone and isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            network.set_submodule(name, fold_pair(convolution, norm))
            folded += 1
    return folded


class _Tracer(torch.fx.Tracer):
    """Follows a network down to convolutions and normalisations, those of timm included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, nn.Conv2d | nn.BatchNorm2d):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def fold_pair(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Module:
    """Fold a normalisation into the convolution before it.

    Returns:
        What stays in the place of the normalisation: the activation that timm joins to it, or
        nothing.
    """
    assert not norm.training
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    convolution.weight = nn.Parameter(weight.detach(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return _rest(norm)


def _rest(norm: nn.Module) -> nn.Module:
    """Return what timm joins to a normalisation: dropout and activation."""
    joined = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    rest = [module for module in joined if not isinstance(module, nn.Identity)]
    return rest[0] if len(rest) == 1 else nn.Sequential(*rest)
