"""Reading YAML: what works, what is refused, and that nothing hostile takes long."""

import contextlib
import json
import math
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from raycolor.errors import ConfigError
from raycolor.spaces.yaml_text import MOST_BYTES, YamlText, parse_value, parse_yaml, read_yaml


def read(folder: Path, content: str | bytes) -> YamlText:
    path = folder / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, content)
    return str(caught.value).replace(str(folder / "mine.yaml"), "FILE")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbffixed: {data.size: 64}\n",
        b"fixed:\r\n  data.size: 64\r\n",
        b"---\nfixed: {data.size: 64}\n...\n",
        b'{"fixed": {"data.size": 64}}',
        b"# one\nfixed:   # two\n  'data.size': 64   # three\n",
        b"fixed:\n  data.size: 0x40\n",
        b"fixed: {data.size: !!int 64}\n",
    ],
    ids=["bom", "crlf", "markers", "json", "comments", "hex", "tag"],
)
def test_one_content_in_many_spellings(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).tree == {"fixed": {"data.size": 64}}


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "---\n", "null\n"])
def test_nothing(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content).tree is None


def test_numbers_are_those_of_yaml_1_2() -> None:
    text = "[1e-5, 010, 0o17, 0b11, 1_000, +5, -.5, .inf, -.inf, no, off, 2026-01-01, 1:30, =]"
    assert parse_yaml(text).tree == [
        *(1e-5, 10, 15, 3, 1000, 5, -0.5, math.inf, -math.inf),
        *("no", "off", "2026-01-01", "1:30", "="),
    ]
    assert math.isnan(parse_yaml(".nan").tree)


@pytest.mark.parametrize("text", ["9" * 5000, "0x" + "f" * 5000, "1e999", "1" + "0" * 400])
def test_a_number_that_no_float_holds_is_infinite(text: str) -> None:
    assert parse_yaml(text).tree == math.inf
    assert parse_yaml(f"-{text}").tree == -math.inf


# Without colons: the library writes [': a'] in a way that it cannot read itself.
TEXT = st.text("ab. -'", max_size=4)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(), TEXT)
TREES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_what_a_library_writes_is_read_back(tmp_path_factory: Any, tree: Any) -> None:
    path = tmp_path_factory.mktemp("yaml") / "tree.yaml"
    YAML(typ="safe", pure=True).dump(tree, path)
    # As JSON, in which NaN is equal to itself.
    assert json.dumps(read_yaml(path).tree, sort_keys=True) == json.dumps(tree, sort_keys=True)


def test_aliases_and_merges_work_and_the_mapping_s_own_keys_come_first() -> None:
    text = """
a: &a {x: 1, y: 1}
b: &b {y: 2, z: 2}
one: {<<: *a, y: 3}
both: {<<: [*a, *b]}
over: {y: 4, <<: *b}
same: *a
"""
    tree = parse_yaml(text).tree
    assert tree["one"] == {"x": 1, "y": 3}
    assert tree["both"] == {"x": 1, "y": 1, "z": 2}
    assert tree["over"] == {"z": 2, "y": 4}
    assert tree["same"] == {"x": 1, "y": 1}
    assert tree["same"] is not tree["a"], "a change of one must not change the other"


def test_lines_are_those_of_keys_and_items() -> None:
    text = parse_yaml("a:\n  b: 1\n  c:\n    - 2\n    - {d: 3}\ne: &e\n  f: 4\ng: *e\n")
    assert text.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", "[0]"): 4,
        ("a", "c", "[1]"): 5,
        ("a", "c", "[1]", "d"): 5,
        ("e",): 6,
        ("e", "f"): 7,
        ("g",): 8,
        # What an alias brings stands where its anchor is: there it would be mended.
        ("g", "f"): 7,
    }
    assert text.line(("a", "c", "[0]")) == 4
    assert text.line(("a", "x", "y")) == 1
    assert text.line(("nowhere",)) is None


def test_a_key_that_stands_twice_is_noted_and_the_last_one_counts() -> None:
    text = parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert text.tree == {"a": {"b": 3, "c": 2}}
    assert text.twice == {("a", "b"): 2}
    assert text.lines[("a", "b")] == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("null", None),
        ("true", True),
        ("a: b", {"a": "b"}),
        ("[1", "[1"),
        ("", None),
    ],
)
def test_the_value_of_a_flag_is_yaml_or_text(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_a_new_version_of_yaml_is_not_guessed_at(tmp_path: Path) -> None:
    assert "FILE:1: no valid YAML: " in refusal(tmp_path, "%YAML 2.0\n---\na: 1\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: !!binary aGk=\n", "FILE:1: the tag !!binary is not allowed"),
        ("a:\n- !!set {b}\n", "FILE:2: the tag !!set is not allowed"),
        ("a: !!python/name:os.system\n", "FILE:1: the tag !!python/name:os.system is not allowed"),
        ("a: !!float b\n", "FILE:1: 'b' is no number; write digits"),
        ("a: &a {<<: *a}\n", "FILE:1: the value of this anchor holds itself; write it out"),
        ("a: &a [1, *a]\n", "FILE:1: the value of this anchor holds itself; write it out"),
        ("? {a: b}\n: 1\n", "FILE:1: a key must be a word, here it is a list or a mapping"),
        ("a: %b\n", "FILE:1: no valid YAML: "),
        ("a: & b\n", "FILE:1: no valid YAML: "),
        ("a: - b\n", "FILE:1: no valid YAML: "),
        ("%YAML 1.7\n---\na: 1\n", "FILE:1: %YAML names an unknown version; remove the line"),
        ('a: "\\UFFFFFFFF"\n', "FILE:1: a backslash and a number that no character has"),
        ("a: 'b\n---\n'\n", "FILE:1: no valid YAML: a quote is opened and never closed"),
        ("a: !<> b\n", "FILE:1: no valid YAML: ! begins a tag"),
        ("a: |b\n", "FILE:1: no valid YAML: "),
        ('a: "\\q"\n', "FILE:1: no valid YAML: "),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, message: str) -> None:
    said = refusal(tmp_path, content)
    assert said.startswith(message)
    assert "while " not in said, "words of the parser"


FULL = MOST_BYTES - 100
HOSTILE = {
    "brackets": "[" * FULL,
    "braces": "{" * FULL,
    "dashes": "- " * (FULL // 2),
    "question marks": "? " * (FULL // 2),
    "colons": ":" * FULL,
    "quotes": "'" * FULL,
    "a long key": "a" * FULL + ": 1",
    "underscores": "a: 1" + "_" * FULL,
    "hexadecimal": "a: 0x" + "f" * FULL,
    "doubling": "a0: &a0 [1]\n"
    + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 28)),
    "doubling merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i}: &a{i} {{b: *a{i - 1}, c: *a{i - 1}}}\n" for i in range(1, 28)),
    "a chain": "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
    "a chain of merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 3000)),
    "one merge often": "a: &a {x: 1}\nb: {<<: [" + "*a, " * 15_000 + "*a]}\n",
    "many keys": "".join(f"k{i}: 1\n" for i in range(11_000)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_neither_time_nor_memory(tmp_path: Path, content: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with contextlib.suppress(ConfigError):
        read(tmp_path, content)
    assert time.perf_counter() - began < 20, "a second or less on an idle machine"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "KiB"
