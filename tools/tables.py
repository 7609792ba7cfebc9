"""Write the README's tables of models, losses and metrics anew, made from the code.

python tools/tables.py

What stands in them: numbers of parameters and receptive fields, counted on the networks; formulas
and sources, from the docstrings of losses and networks; choices, from the manual of settings; the
spaces that use a generator; and what `raycolor.metric_names` says of a report's numbers.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import BaseModel
from torch import nn

from raycolor.backbones import ENCODERS, Backbone
from raycolor.bins import NUM_BINS
from raycolor.config import (
    CLASSIFYING,
    WITH_GAME,
    AdversarialName,
    DiscriminatorKind,
    GeneratorKind,
    LossConfig,
    LossKind,
    TrialConfig,
    nested,
)
from raycolor.losses import adversarial_loss
from raycolor.metric_names import MEANINGS
from raycolor.networks.build import build_discriminator, build_generator
from raycolor.spaces.file import load_space
from raycolor.spaces.samples import possible_values

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SIZE = 256
"""Side in pixels for which networks are counted, but for what is made for another one."""
OWN_SIZES: dict[str, int] = {"gan_32": 32}
WHOLE = "the whole picture"


def generators() -> str:
    """Every generator that a shipped space names."""
    used: dict[tuple[str, str], list[str]] = {}
    for path in sorted((ROOT / "search_spaces").glob("*.yaml")):
        space = load_space(path, {})
        for kind in possible_values(space, "generator.kind"):
            backbones = possible_values(space, "generator.backbone") if kind == "unet" else [""]
            for backbone in backbones:
                used.setdefault((str(kind), str(backbone)), []).append(path.stem)
    kinds, names = get_args(GeneratorKind), ["", *get_args(Backbone)]
    rows = []
    for kind, backbone in sorted(used, key=lambda one: (kinds.index(one[0]), names.index(one[1]))):
        settings = {"generator.kind": kind, "data.size": SIZE, "generator.weights": "none"}
        settings |= {"generator.backbone": backbone} if backbone else {}
        with torch.device("meta"):
            network = build_generator(_config(settings))
        encoder = ENCODERS.get(backbone)
        what = f"U-Net on timm's `{encoder.network}`" if encoder else _summary(network)
        what += "" if encoder else f" {_source(network)}."
        spaces = ", ".join(f"`{name}`" for name in used[kind, backbone])
        name = f"`{kind}`" + (f" on `{backbone}`" if backbone else "")
        rows.append([name, _parameters(network, kind), what, spaces])
    return _table(["generator", "parameters", "what it is", "spaces"], rows)


def discriminators() -> str:
    """Every kind of discriminator; that of patches with each number of halvings."""
    rows = []
    for kind in get_args(DiscriminatorKind):
        for downs in range(1, 6) if kind == "patch" else [None]:
            size = OWN_SIZES.get(kind, SIZE)
            settings = {"discriminator.kind": kind, "data.size": size}
            settings |= {"discriminator.downs": downs} if downs else {}
            with torch.device("meta"):
                network = build_discriminator(_config(settings)).eval()
                outputs = network(torch.zeros(1, 1, size, size), torch.zeros(1, 2, size, size))
            side = outputs.shape[-1]
            field = _receptive_field(network) if side > 1 else None
            name = f"`{kind}`" + (f", `downs: {downs}`" if downs else "")
            sees = WHOLE if field is None else f"{field} x {field}"
            # Of patches it is the same in all rows.
            texts = [_summary(network), _source(network)] if downs in (None, 1) else ["", ""]
            rows.append([name, _parameters(network, kind), sees, f"{side} x {side}", *texts])
    header = ["discriminator", "parameters", "an output sees", "outputs", "what it does", "source"]
    return _table(header, rows)


def adversarial_losses() -> str:
    """Formula, threshold of the accuracy and source of every adversarial loss."""
    rows = []
    for name in get_args(AdversarialName):
        loss = adversarial_loss(LossConfig(adversarial=name))
        text = _plain(loss)
        found = re.search(r"Discriminator: (.*?); generator: (.*?)\. ", text)
        assert found is not None, name
        formulas = [_formula(found[1]), _formula(found[2])]
        says = "none" if loss.threshold is None else f"above {loss.threshold:g}"
        rows.append([f"`{name}`", *formulas, says, _source(loss)])
    header = ["`losses.adversarial`", "discriminator", "generator", "an output says real", "source"]
    return _table(header, rows)


def loss_kinds() -> str:
    """What each kind of losses is, from the manual."""
    texts = _choices(LossConfig, "kind")
    rows = []
    for kind in get_args(LossKind):
        answer = f"{NUM_BINS} bins of colours" if kind in CLASSIFYING else "a and b, or RGB"
        stage = "`adversarial`" if kind in WITH_GAME else "`alone`"
        rows.append([f"`{kind}`", texts[kind], answer, stage])
    return _table(["`losses.kind`", "what is learned", "generator answers", "stage"], rows)


def metrics() -> str:
    """What a report's numbers mean."""
    rows = []
    for group, meaning in MEANINGS.items():
        first, *others = group
        names = [first, *(name.removeprefix(first) for name in others)]
        rows.append([", ".join(f"`{name}`" for name in names), meaning])
    return _table(["name", "meaning"], rows)


TABLES = {
    "generators": generators,
    "discriminators": discriminators,
    "adversarial losses": adversarial_losses,
    "kinds of losses": loss_kinds,
    "metrics": metrics,
}
"""By the name between the README's markers."""


def place(name: str) -> re.Pattern[str]:
    """Match a table's place: its markers, and what stands between them."""
    begin = f"<!-- {name}: made by tools/tables.py -->\n\n"
    return re.compile(f"(?<={begin}).*?(?=\n\n<!-- end of {name} -->)", re.DOTALL)


def _config(settings: dict[str, Any]) -> TrialConfig:
    return TrialConfig.model_validate(nested(settings))


def _parameters(network: nn.Module, kind: str) -> str:
    """Count parameters; of the old systems what Keras counts too."""
    number = sum(parameter.numel() for parameter in network.parameters())
    if not kind.startswith("gan_"):
        return f"{number:,}"
    running = sum(v.numel() for k, v in network.named_buffers() if "running_" in k)
    return f"{number:,} (as Keras counts {number + running:,})"


def _receptive_field(network: nn.Module) -> int:
    """Side in pixels of what one output depends on, by the convolutions on its way."""
    field, jump = 1, 1
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            field += (layer.kernel_size[0] - 1) * jump
            jump *= layer.stride[0]
    return field


def _plain(thing: object) -> str:
    """Return a class's docstring as one line."""
    text = inspect.getdoc(type(thing))
    assert text is not None
    return " ".join(text.split())


def _sentences(text: str) -> Iterator[str]:
    """Yield sentences, without their full stops; `et al. 2016` ends none."""
    yield from re.split(r"\.(?: (?!\d{4})|$)", text)


def _summary(thing: object) -> str:
    return f"{next(_sentences(_plain(thing)))}."


def _source(thing: object) -> str:
    """Return whose a network or a loss is: names with what of them, and no remarks."""
    text = _plain(thing)
    found = next(_sentences(text[text.index("Source: ") + len("Source: ") :]))
    return "; ".join(part for part in found.split("; ") if part[0].isupper())


def _formula(text: str) -> str:
    formula, comma, rest = text.partition(", with ")
    return f"`{formula}`{comma}{rest}"


def _choices(model: type[BaseModel], name: str) -> dict[str, str]:
    """Take a field's docstring apart: what it says of each choice."""
    text = " ".join((model.model_fields[name].description or "").split())
    parts = re.findall(r"`(\w+)`: (.*?)(?=; `\w+`: |$)", text)
    return {choice: next(_sentences(meaning)) for choice, meaning in parts}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)


def main() -> None:
    """Write the tables between their markers."""
    text = README.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        (found,) = place(name).finditer(text)
        text = text[: found.start()] + make() + text[found.end() :]
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
