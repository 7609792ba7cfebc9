"""Good space files, spoilt in ten thousand ways: each is read, or refused with a sentence.

The ways are those of people and of machines: keys mistyped, lost, doubled and moved, values of
other types, hostile numbers, and characters that fell out of the text or into it.
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from raycolor.errors import ConfigError
from raycolor.plan import make_plan
from raycolor.spaces.domains import edges, exists

GOOD = [
    """
study:
  trials: 8
  searcher: {kind: tpe, startup_trials: 4}
  scheduler: {first_rung: 512, reduction: 4}
fixed:
  budget.images: 3072
  budget.report_every: 512
""",
    """
fixed: {data.size: 64, generator.ema_decay: null}
search:
  losses.l1_lambda: {kind: loguniform, low: 30, high: 3e2}
  pretraining.images: {kind: choice, values: [0, 1024]}
baseline:
  losses.l1_lambda: 100
  pretraining.images: 1024
""",
    """
study: {searcher: {kind: grid}}
search:
  data.flip: {kind: choice, values: [true, false]}
  generator.width: {kind: int, low: 16, high: 48, step: 16, when: {data.flip: [true]}}
  budget.batch_size: {kind: choice, values: [16, 32]}
""",
    """
fixed: {generator.backbone: scratch, precision: float32}
search:
  generator.depth: {kind: choice, values: [null, 4, 5]}
  discriminator.downs: {kind: int, low: 1, high: 4}
  data.size: {kind: choice, values: [64, 96]}
""",
    """
study: {resources: {cpus: auto, gpus: 0.5}, concurrent: 2}
search:
  optimizers.generator.learning_rate: &rate {kind: loguniform, low: 1e-4, high: 1e-2}
  optimizers.discriminator.learning_rate: {<<: *rate, high: 1e-3}
""",
]
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 16, 31, 4096, 2**31, 2**63, 10**40, -(10**40)),
    *(0.0, -0.0, 0.5, 1e-320, 1e300, float("inf"), float("-inf"), float("nan"), 1.0, 64.0),
    *(
        "",
        " ",
        "a",
        "64",
        "1e-5",
        "yes",
        "null",
        "~",
        "auto",
        "grid",
        "scratch",
        ".inf",
        "\0",
        "\x1b[",
    ),
    *("data.size", "ключ", "\U0001f600", "a\nb", "x" * 300, "{", "*", "!!int", "2026-01-01"),
    *([], {}, [[]], [None], {"a": 1}, {"kind": "int"}, {"low": 1}, [1, 1], [True, 1, 1.0]),
    *(
        {"kind": "choice", "values": [1, "a", None]},
        {"when": {}},
        {"kind": "int", "low": 0, "high": 9**9},
    ),
]
NAMES = [
    *(
        "study",
        "fixed",
        "search",
        "baseline",
        "trials",
        "kind",
        "low",
        "high",
        "step",
        "values",
        "when",
    ),
    *(
        "data.size",
        "budget.batch_size",
        "generator",
        "optimizers.generator",
        "losses.l1_lambda",
        "seed",
    ),
    *("", ".", "..", "a.b.c.d", "<<", "null", "1", "[0]", "é"),
]
PIECES: list[str] = [
    *":{}[],&*!|>'\"%@`#-?.0\t\n\r \\~",
    "\ufeff",
    "\0",
    "\x85",
    "\u2028",
    "é",
    "---\n",
    "...\n",
]
PIECES += [
    "<<: ",
    "*rate",
    "&rate ",
    "!!python/name:os.system ",
    "- ",
    "1e999",
    "? ",
    "%YAML 1.1\n",
]
NUMBER = 10_000


def spots(tree: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree with each of its keys."""
    if isinstance(tree, dict):
        found = [(tree, key) for key in tree]
        return found + [spot for item in tree.values() for spot in spots(item)]
    if isinstance(tree, list):
        return [(tree, i) for i in range(len(tree))] + [s for item in tree for s in spots(item)]
    return []


def mistyped(rng: np.random.Generator, text: str) -> str:
    if not text:
        return "x"
    at = int(rng.integers(len(text)))
    letter = "abcdefghijklmnopqrstuvwxyz_."[int(rng.integers(28))]
    return [
        text[:at] + text[at + 1 :],
        text[:at] + letter + text[at:],
        text[:at] + letter + text[at + 1 :],
        text[:at] + text[at : at + 2][::-1] + text[at + 2 :],
        text.upper(),
        text.replace("_", "-"),
    ][int(rng.integers(6))]


def spoil(rng: np.random.Generator, tree: Any) -> None:
    """Spoil a tree in one place."""
    container, key = (found := spots(tree))[int(rng.integers(len(found)))]
    hostile = copied(HOSTILE[int(rng.integers(len(HOSTILE)))])
    name = NAMES[int(rng.integers(len(NAMES)))]
    match int(rng.integers(9)):
        case 0:
            del container[key]
        case 1 | 2:
            container[key] = hostile
        case 3 if isinstance(container, dict):
            container[mistyped(rng, str(key))] = container.pop(key)
        case 4 if isinstance(container, dict):
            container[name] = container.pop(key)
        case 5 if isinstance(container, dict):
            container[name] = hostile
        case 6:
            container[key] = {name: container[key]}
        case 7:
            container[key] = [container[key], hostile]
        case _:
            other, place = found[int(rng.integers(len(found)))]
            container[key] = copied(other[place])


def spoil_text(rng: np.random.Generator, text: str) -> str:
    """Spoil a text in one place."""
    at, end = sorted(int(place) for place in rng.integers(len(text) + 1, size=2))
    end = min(end, at + int(rng.integers(1, 12)))
    piece = PIECES[int(rng.integers(len(PIECES)))]
    lines = text.splitlines(keepends=True)
    line = int(rng.integers(len(lines))) if lines else 0
    match int(rng.integers(7)):
        case 0:
            return text[:at] + text[end:]
        case 1:
            return text[:at] + piece + text[at:]
        case 2:
            return text[:at] + piece + text[at + 1 :]
        case 3:
            return text[:at] + text[at:end] * int(rng.integers(2, 30)) + text[end:]
        case 4:
            return "".join([*lines[:line], *lines[line : line + 1] * 2, *lines[line + 1 :]])
        case 5:
            return "".join([*lines[:line], " " * int(rng.integers(1, 5)), *lines[line:]])
        case _:
            return "".join([*lines[:line], *lines[line + 1 :]])


def cases(rng: np.random.Generator, number: int) -> list[bytes]:
    """Spoil good files, most of them once."""
    trees = [YAML(typ="safe", pure=True).load(text) for text in GOOD]
    found = []
    for _ in range(number):
        chosen, times = int(rng.integers(len(GOOD))), min(3, int(rng.geometric(0.7)))
        if rng.random() < 0.5:
            text = GOOD[chosen]
            for _ in range(times):
                text = spoil_text(rng, text)
        else:
            tree = copied(trees[chosen])
            for _ in range(times):
                if spots(tree):
                    spoil(rng, tree)
            text = "".join(f"{json.dumps(key)}: {flow(item)}\n" for key, item in tree.items())
        found.append(text.encode("utf-8", errors="surrogatepass"))
    return found


def flow(tree: Any) -> str:
    """Write a tree as YAML, in braces and brackets."""
    if isinstance(tree, dict):
        items = ", ".join(f"{json.dumps(key)}: {flow(item)}" for key, item in tree.items())
        return f"{{{items}}}"
    if isinstance(tree, list):
        return f"[{', '.join(flow(item) for item in tree)}]"
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(tree)]
    return json.dumps(tree)


def copied(tree: Any) -> Any:
    """Copy a tree; nothing in it is shared afterwards, as in `copy.deepcopy` it would be."""
    if isinstance(tree, dict):
        return {key: copied(item) for key, item in tree.items()}
    return [copied(item) for item in tree] if isinstance(tree, list) else tree


def load(path: Path) -> None:
    """Read a file as the command line does; what is accepted can be used."""
    plan = make_plan(
        space=str(path),
        study=None,
        out=path.parent,
        data="photos",
        trials=None,
        concurrent=None,
        overrides={},
        address=None,
        time_budget_s=None,
        seed=0,
    )
    chosen: dict[str, Any] = {}
    for name, domain in plan.space.search.items():
        if exists(domain, chosen):
            chosen[name] = edges(domain)[-1]
    plan.space.config(chosen)
    assert plan.describe()
    assert plan.identity()


def main(folder: Path, number: int, seed: int) -> None:
    """Read spoilt files one after another, and print how many were refused."""
    path = folder / "mine.yaml"
    refused = 0
    for content in cases(np.random.default_rng(seed), number):
        path.write_bytes(content)
        began = time.perf_counter()
        try:
            load(path)
        except ConfigError as error:
            refused += 1
            check_message(str(error), path)
        except BaseException:
            print(f"not a ConfigError for {content!r}", file=sys.stderr, flush=True)  # noqa: T201
            raise
        assert time.perf_counter() - began < 10, content
    print(refused)  # noqa: T201  (for the test)


def check_message(said: str, path: Path) -> None:
    lines = said.splitlines()
    assert lines
    for line in lines:
        assert line.startswith((f"{path}: ", f"{path}:", "--space ")), line
        assert len(line) > len(str(path)) + 10, line
        assert line.isprintable(), line


@pytest.mark.slow
def test_a_spoilt_file_is_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    # In a process of its own, as users run it: checks of types take half of the time.
    program = (
        f"from tests.unit.spaces.test_fuzz import *; main(Path({str(tmp_path)!r}), {NUMBER}, 1)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    # Neither a test that refuses everything nor one that spoils nothing.
    assert 0.5 < int(done.stdout) / NUMBER < 0.97
