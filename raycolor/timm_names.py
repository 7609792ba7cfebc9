"""The names of timm's networks, found without importing timm, which would import torch.

timm marks each function that builds a network; its sources are read, which takes 0.05 s. So a name
that is mistyped is told with the plan, and the list is always that of the timm that is installed.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_MARKED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_TAG = re.compile(r"[A-Za-z0-9_]+")


@cache
def timm_names() -> frozenset[str]:
    """List timm's networks, as `timm.list_models()` does; none if timm is not installed."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    sources = sorted((Path(spec.origin).parent / "models").glob("*.py"))
    return frozenset(
        name for path in sources for name in _MARKED.findall(path.read_text(encoding="utf-8"))
    )


def is_timm_name(name: str) -> bool:
    """Tell whether timm has a network of a name.

    Args:
        name: as `resnet50`, or with the tag of one of its weights, as `resnet50.a1_in1k`. Whether
            there are weights of that tag is not checked.
    """
    network, dot, tag = name.partition(".")
    return network in timm_names() and (not dot or _TAG.fullmatch(tag) is not None)
