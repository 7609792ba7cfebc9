"""YAML text read into plain values, each with its line; hostile text costs neither time nor memory.

YAML 1.2: `1e-5` is a number and `no` is text. Anchors, aliases and merges (`<<`) work; tags other
than those of plain values are refused. Keys are text: `1: 2` has the key "1".
"""

import codecs
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from raycolor.errors import ConfigError
from raycolor.problems import Place, item_name, shown, written

MOST_BYTES = 256 * 1024
"""A space file has a few kilobytes."""
MOST_NODES = 10_000
"""Values of a file whose aliases are written out."""
MOST_DEPTH = 30
MOST_DIGITS = 200
"""Of a whole number; longer ones, which not even a float holds, are read as infinite."""
_STANDARD = "tag:yaml.org,2002:"
_WRONG_TAG = "the tag {} is not allowed; write plain words, numbers, lists and mappings"
_TAG = "! begins a tag; put a value that begins with it into quotes"
_BACKSLASH = "a backslash in double quotes; take single quotes, or write it twice"
_DIRECTIVE = "no line may begin with %; put it into quotes"
_IN_PLAIN_WORDS = {
    "found character '\\t' that cannot start any token": (
        "a tab stands where the line begins; indent with spaces"
    ),
    "found a tab character that violates indentation": "a tab indents this line; use spaces",
    "mapping values are not allowed here": (
        "a second colon in one line, or a line that is indented too far; give each key a line of "
        "its own, below the one before it"
    ),
    "could not find expected ':'": (
        "a key without a colon and a space after it; write `key: value`"
    ),
    "expected <block end>, but found": (
        "this line is indented otherwise than those above it; align it with them"
    ),
    "found unexpected end of stream": "a quote is opened and never closed",
    "but got '<stream end>'": "a bracket { or [ is opened and never closed",
    "expected ',' or": "a comma or a closing bracket is missing before this",
    "expected a single document": (
        "holds a second document (---); a space file is one, so take away the line ---"
    ),
    "expected '<document start>'": (
        "this line does not go on with what stands above it; align it, and give it a key with a "
        "colon"
    ),
    "expected the node content": (
        "a value is missing before this character; if it is the value, put it into quotes"
    ),
    "while scanning a directive": _DIRECTIVE,
    "while scanning an directive": _DIRECTIVE,
    "found unexpected document separator": "a quote is opened and never closed",
    "expected alphabetic or numeric character": (
        "& and * begin the name of an anchor; put a value that begins with them into quotes"
    ),
    "while scanning an tag": _TAG,
    "while parsing an tag": _TAG,
    "sequence entries are not allowed here": "a dash (-) where no list may begin; take a new line",
    "mapping keys are not allowed here": "? stands for a key of several lines; write `key: value`",
    "found undefined alias": "an alias (*name) without an anchor (&name) above it",
    "found unknown escape character": _BACKSLASH,
    "expected escape sequence": _BACKSLASH,
    "that cannot start any token": (
        "no value may begin with this character; put the value into quotes"
    ),
    "maximum depth of data structure": f"lists or mappings are nested more than {MOST_DEPTH} deep",
    "special characters are not allowed": "an unprintable character; remove it",
    "while scanning a block scalar": "| or > must be followed by a new line",
}
"""What the parser says, or the beginning of it, and what it means for the writer of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """What a YAML text says."""

    tree: Any
    """Mappings, lists, text, numbers, booleans, None."""
    lines: dict[Place, int]
    """Line of each key and of each item of a list (named by `item_name`), counted from 1."""
    twice: dict[Place, int]
    """Keys that stand twice, of which the last one counts, with the line of the first."""

    def line(self, place: Place) -> int | None:
        """Return the line of a place, or of the nearest above it that has one."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)


def read_yaml(path: Path) -> YamlText:
    """Read a YAML file.

    Raises:
        ConfigError: it cannot be read, is too large, no text, or no YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"{path}: has more than {MOST_BYTES // 1024} KiB, but a space file has a few; "
            "is it the right file?"
        )
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(f"{path}: is text in UTF-16; save it as UTF-8")
    if b"\0" in data:
        raise ConfigError(f"{path}: is no text file; give a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte {data[error.start]:#x} is no UTF-8; save the file as UTF-8"
        ) from error
    try:
        return parse_yaml(text)
    except _Unreadable as error:
        raise ConfigError(f"{path}:{error.line}: {error.reason}") from error


def parse_value(text: str) -> Any:
    """Read the value of a flag as YAML has it; what is no YAML is the text itself."""
    try:
        return parse_yaml(text).tree
    except _Unreadable:
        return text


def parse_yaml(text: str) -> YamlText:
    """Read YAML text.

    Raises:
        _Unreadable: with line and reason.
    """
    yaml = YAML(typ="safe", pure=True)
    # An anchor that is used twice is no fault, and warnings go past the command line.
    yaml.composer.warn_double_anchors = False
    yaml.max_depth = MOST_DEPTH
    try:
        node = yaml.compose(text)
    except RecursionError as error:
        raise _Unreadable(1, f"is nested more than {MOST_DEPTH} deep; {_FLAT}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = mark.line + 1 if mark is not None else 1
        said = f"{error.problem or ''} {error.context or ''}"
        if any(said_of in said for said_of in _BEGUN_ABOVE) and error.context_mark is not None:
            where = error.context_mark.line + 1
        raise _Unreadable(where, f"no valid YAML: {_in_plain_words(said)}") from error
    except YAMLError as error:
        # The reader's own errors have a position but no mark.
        where = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise _Unreadable(where, f"no valid YAML: {_in_plain_words(str(error))}") from error
    except AssertionError as error:
        # The parser asserts what it has read of the line %YAML.
        raise _Unreadable(1, "%YAML names an unknown version; remove the line") from error
    except (ValueError, OverflowError) as error:
        # It does not check the numbers of characters, as in "\UFFFFFFFF".
        raise _Unreadable(1, "a backslash and a number that no character has") from error
    builder = _Builder()
    tree = None if node is None else builder.build(node, ())
    return YamlText(tree=tree, lines=builder.lines, twice=builder.twice)


_FLAT = "a space file has sections, dotted paths and values"


class _Unreadable(Exception):  # noqa: N818  (private; it becomes a ConfigError with the file's name)
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason


_BEGUN_ABOVE = (
    "unexpected end of stream",
    "unexpected document separator",
    "'<stream end>'",
    "could not find expected ':'",
)
"""Faults that the parser notices below the line that has them."""


def _in_plain_words(said: str) -> str:
    for beginning, meaning in _IN_PLAIN_WORDS.items():
        if beginning in said:
            return meaning
    return " ".join(said.split())


class _Builder:
    """Turns the parser's nodes into plain values, and notes lines."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self.twice: dict[Place, int] = {}
        self._number = 0
        self._open: set[int] = set()

    def build(self, node: Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self._number += 1
        if self._number > MOST_NODES:
            raise _Unreadable(
                line, f"holds more than {MOST_NODES:,} values, aliases written out; take fewer"
            )
        if len(self._open) > MOST_DEPTH:
            raise _Unreadable(line, f"is nested more than {MOST_DEPTH} deep; {_FLAT}")
        if id(node) in self._open:
            raise _Unreadable(line, "the value of this anchor holds itself; write it out")
        self._open.add(id(node))
        try:
            match node:
                case ScalarNode():
                    return _scalar(node, line)
                case SequenceNode() if node.tag == f"{_STANDARD}seq":
                    return [
                        self._noted(item, (*place, item_name(number)))
                        for number, item in enumerate(node.value)
                    ]
                case MappingNode() if node.tag == f"{_STANDARD}map":
                    return self._mapping(node, place)
                case _:
                    raise _Unreadable(line, _WRONG_TAG.format(_tag(node)))
        finally:
            self._open.discard(id(node))

    def _noted(self, node: Node, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        return self.build(node, place)

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        own: dict[str, tuple[Node, int]] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_STANDARD}merge":
                for name, item in self._merged(value, place).items():
                    merged.setdefault(name, item)
                continue
            if not isinstance(key, ScalarNode):
                raise _Unreadable(line, "a key must be a word, here it is a list or a mapping")
            if key.value in own:
                self.twice[(*place, key.value)] = own[key.value][1]
            own[key.value] = (value, line)
        result = {name: item for name, item in merged.items() if name not in own}
        for name, (value, line) in own.items():
            if name in merged:
                # What is replaced has left lines of its own below this place.
                for stale in [p for p in self.lines if p[: len(place) + 1] == (*place, name)]:
                    del self.lines[stale]
            self.lines[(*place, name)] = line
            result[name] = self.build(value, (*place, name))
        return result

    def _merged(self, node: Node, place: Place) -> dict[str, Any]:
        nodes = node.value if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for part in reversed(nodes):
            if not isinstance(part, MappingNode):
                line = node.start_mark.line + 1
                raise _Unreadable(line, "<< merges mappings; name one, such as *defaults")
            # The same place as the mapping that they come into: not one deeper.
            result.update(self.build(part, place))
        return result


def _scalar(node: ScalarNode, line: int) -> Any:
    """Read one value as YAML 1.2 has it."""
    text = node.value
    match str(node.tag).removeprefix(_STANDARD):
        case "str" | "timestamp" | "value":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int" | "float" as kind:
            try:
                return _whole(text) if kind == "int" else _real(text)
            except ValueError as error:
                raise _Unreadable(line, f"{shown(text)} is no number; write digits") from error
        case _:
            raise _Unreadable(line, _WRONG_TAG.format(_tag(node)))


def _whole(text: str) -> int | float:
    digits = text.replace("_", "").lower()
    if len(digits) > MOST_DIGITS:
        return -math.inf if digits.startswith("-") else math.inf
    return int(digits, 0 if digits.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)


def _real(text: str) -> float:
    digits = text.replace("_", "").lower()
    if digits.lstrip("+-") in (".inf", ".nan"):
        return float(digits.replace(".", ""))
    return float(digits)


def _tag(node: Node) -> str:
    tag = str(node.tag)
    return written(tag.replace(_STANDARD, "!!", 1) if tag.startswith(_STANDARD) else tag)
