"""The manual of all keys: for a terminal (`--keys`), and as the README's table."""

import inspect
import textwrap
from collections.abc import Iterator

from raycolor.problems import listed, shown
from raycolor.spaces.keys import (
    FIRST_WORDS,
    KINDS,
    MOST_WORDS,
    NO_LIMIT,
    RESERVED,
    SHARED,
    Key,
    Numbers,
    domain_keys,
    study_keys,
    trial_keys,
)

NARROWEST = 40
WIDEST = 100
"""Columns between which lines are broken; a narrower terminal breaks them again itself."""
_STUDY = (
    "The study: under `study:`, a mapping for each word before a dot; or with "
    "--set study.trials=20."
)
_DOMAINS = "Domains: under `search:`, each after the setting that is searched."
_TRIALS = (
    "The trials: under `fixed:` as they stand here, or with a domain under `search:`; or with "
    "--set data.size=32."
)
_EXAMPLES = {
    "uniform": "{kind: uniform, low: 30, high: 300}",
    "loguniform": "{kind: loguniform, low: 1e-4, high: 1e-2}",
    "int": "{kind: int, low: 16, high: 64, step: 16}",
    "choice": "{kind: choice, values: [0, 512, 1024]}",
}


def manual(columns: int | None) -> str:
    """Write every key, its default, its values and its meaning.

    Args:
        columns: width of a terminal; None for a pipe or a file, where each key is one line.
    """
    sections = (
        (_STUDY, _study_entries()),
        (_DOMAINS, _domain_entries()),
        (_TRIALS, _trial_entries()),
    )
    lines: list[str] = []
    for title, entries in sections:
        lines += [""] if lines else []
        lines += _wrapped(title, "# ", columns)
        for start, meaning in entries:
            if columns is None:
                lines.append(f"{start}  # {meaning}")
            else:
                lines += [start, *_wrapped(meaning, "    ", columns)]
    return "\n".join(lines)


def table() -> str:
    """The README's table of a trial's settings, in Markdown."""
    lines = ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    for path, key in trial_keys().items():
        default = f"{key.default:g}" if isinstance(key.default, float) else _plain(key.default)
        lines.append(f"| `{path}` | {_values(key)} | {default} | {key.meaning} |")
    return "\n".join(lines)


def _wrapped(text: str, indent: str, columns: int | None) -> list[str]:
    if columns is None:
        return [f"{indent}{text}"]
    width = min(max(columns, NARROWEST), WIDEST)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)


def _study_entries() -> Iterator[tuple[str, str]]:
    for path, key in study_keys().items():
        yield f"{path}: {_plain(key.default)}", f"{_allowed(key)}. {key.meaning}"


def _domain_entries() -> Iterator[tuple[str, str]]:
    for kind, model in KINDS.items():
        keys = [f"{name} ({key.allowed()})" for name, key in domain_keys(kind).items()]
        keys += ["values (a list of them)"] if kind == "choice" else []
        yield _EXAMPLES[kind], f"{inspect.getdoc(model)} It has {listed(keys)}."
    meaning = KINDS["uniform"].model_fields["when"].description or ""
    yield "when: {pretraining.images: [512, 1024]}", f"In any domain. {' '.join(meaning.split())}"


def _trial_entries() -> Iterator[tuple[str, str]]:
    for path, key in trial_keys().items():
        where = ""
        if path in RESERVED:
            where = " It comes from the flag --seed, not from a space file."
        elif path in SHARED:
            where = " It is the same in all trials: under `fixed:` only."
        yield f"{path}: {_plain(key.default)}", f"{_allowed(key)}. {key.meaning}{where}"


def _allowed(key: Key) -> str:
    """Name the values at the beginning of a sentence."""
    text = key.allowed(in_full=True)
    return text[0].upper() + text[1:] if key.numbers else text


def _plain(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _values(key: Key) -> str:
    """Name the values shortly, for a table."""
    many = len(key.words) > MOST_WORDS
    texts = [f"`{word}`" for word in (key.words[:FIRST_WORDS] if many else key.words)]
    texts += [f"{len(key.words) - len(texts)} more (`--keys`)"] if many else []
    texts += [key.text.noun] if key.text else []
    texts += ["bool"] if key.boolean else []
    if key.numbers is not None:
        texts.append(f"{'int' if key.numbers.whole else 'float'}{_bounds(key.numbers)}")
    return ", ".join([*texts, "null"] if key.nullable else texts)


def _bounds(numbers: Numbers) -> str:
    ends = []
    if numbers.low is not None:
        ends.append(f"{'>' if numbers.above_low else '>='} {numbers.low:g}")
    if numbers.high is not None and numbers.high < NO_LIMIT:
        ends.append(f"{'<' if numbers.below_high else '<='} {numbers.high:g}")
    return f" {', '.join(ends)}" if ends else ""
