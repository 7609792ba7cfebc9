"""The step of the tutorial "Image Colorization with U-Net and GAN", read from a checkout.

Nothing of it is part of this repository: the definitions that a step needs are taken from the
checkout's sources or its notebook when the benchmark starts, and run as they are.
"""

import ast
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from raycolor.errors import RaycolorError

FOLDER = "Image Colorization Tutorial"
NEEDED = (
    "UnetBlock",
    "Unet",
    "PatchDiscriminator",
    "GANLoss",
    "init_weights",
    "init_model",
    "MainModel",
)
"""Classes and functions of its step."""


class CheckoutError(RaycolorError):
    """A path is no checkout of the tutorial."""


def reference_step(path: Path) -> Callable[[Tensor, Tensor], None]:
    """Build the tutorial's networks and return its step, which takes `l_unit` and `ab_unit`.

    Args:
        path: a checkout of its repository, or the tutorial's folder in it.

    Raises:
        CheckoutError: what a step needs is not there.
    """
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    scope: dict[str, Any] = {"torch": torch, "nn": nn, "optim": optim}
    # What it prints is no result of ours.
    with contextlib.redirect_stdout(sys.stderr):
        for definition in _definitions(folder):
            exec(compile(ast.Module([definition], []), str(folder), "exec"), scope)
        model = scope["MainModel"]()

    def step(l_unit: Tensor, ab_unit: Tensor) -> None:
        model.setup_input({"L": l_unit, "ab": ab_unit})
        model.optimize()

    return step


def _definitions(folder: Path) -> list[ast.stmt]:
    """Find what a step needs, in one order whatever the files are called."""
    found: dict[str, ast.stmt] = {}
    for source in _sources(folder):
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            continue  # A notebook's cell with commands of the shell.
        for statement in statements:
            if isinstance(statement, ast.ClassDef | ast.FunctionDef):
                found.setdefault(statement.name, statement)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise CheckoutError(
            f"{folder}: it defines no {', '.join(missing)}, so it is not the tutorial; --reference "
            "takes a checkout of github.com/moein-shariatnia/Deep-Learning, or the folder "
            f"'{FOLDER}' in it"
        )
    return [found[name] for name in NEEDED]


def _sources(folder: Path) -> Iterator[str]:
    """Read all Python of a folder: its files first, then the cells of its notebooks."""
    for path in sorted(folder.glob("*.py")):
        yield path.read_text(encoding="utf-8")
    for path in sorted(folder.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])
