"""What a broken space file is answered: every file in tests/golden/space_errors, word for word.

`messages.txt` beside the files has the answers. After a change of words, write it anew and read the
difference as somebody who has just mistyped something:

    RAYCOLOR_WRITE_GOLDEN=1 python -m pytest tests/unit/spaces/test_errors.py; git diff tests/golden
"""

import os
import re
import time
from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from raycolor.spaces.file import find_space, load_space
from raycolor.spaces.yaml_text import MOST_BYTES

FOLDER = Path(__file__).parents[2] / "golden" / "space_errors"
FILES = sorted(FOLDER.glob("*.yaml"))
MESSAGES = FOLDER / "messages.txt"
JARGON = re.compile(
    r"Input should|valid (dict|list|int|str)|NoneType|\bNone\b|\bTrue\b|\bFalse\b|pydantic|"
    r"(?<!norm )instance|parse|constructor|tag:yaml|discriminator '|unicode string|\bdict\b|\bstr\b"
)
"""Words of the libraries below, which a user need not know."""


def answer(path: Path) -> str:
    """The message that refuses a file; FILE stands for its path."""
    with pytest.raises(ConfigError) as caught:
        load_space(path)
    return str(caught.value).replace(str(path), "FILE")


def snapshots() -> dict[str, str]:
    parts = re.split(r"^== (\w+)\n", MESSAGES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.rstrip("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module", autouse=True)
def _write_anew() -> None:
    if os.environ.get("RAYCOLOR_WRITE_GOLDEN"):
        texts = [f"== {path.stem}\n{answer(path)}\n" for path in FILES]
        MESSAGES.write_text("\n".join(texts), encoding="utf-8")
        pytest.fail(f"{MESSAGES} is written anew: read the difference, then test without writing")


def test_there_are_many_and_each_has_its_answer() -> None:
    assert len(FILES) >= 60
    assert list(snapshots()) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_word_for_word(path: Path) -> None:
    began = time.perf_counter()
    said = answer(path)
    assert time.perf_counter() - began < 5, "a hostile file must not keep anybody waiting"
    assert said == snapshots()[path.stem]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_has_a_place_and_plain_words(path: Path) -> None:
    for line in answer(path).splitlines():
        assert re.match(r"FILE(:[1-9][0-9]*)?: \S", line)
        assert not JARGON.search(line)
        assert len(line) < 300
        assert not line.endswith(".")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_line_that_is_named_is_there(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for said in answer(path).splitlines():
        if found := re.match(r"FILE:([0-9]+): (?:[\w.]+\.)?(\w+): ", said):
            number, key = int(found[1]), found[2]
            near = "\n".join(lines[number - 1 :])
            assert key in near.splitlines()[0] or "missing" in said or "default" in said


TAKEN = {
    "size_of_backbone": {"72": ["64", "96"]},
    "size_of_all_networks": {"80": ["64", "128"]},
    "size_of_old_systems": {"40": ["64"]},
    "size_odd": {"50": ["48", "52"]},
    "size_searched": {
        "{kind: int, low: 48, high: 144, step: 16}": ["{kind: choice, values: [64, 96, 128]}"]
    },
    "discriminator_too_deep": {"downs: 5": ["downs: 4"], "data.size: 64": ["data.size: 128"]},
    "batch_of_one": {"batch_size: 1": ["batch_size: 2"], "data.size: 32": ["data.size: 64"]},
    "batch_and_report": {"512": ["384", "768"]},
    "budget_and_report": {"9000": ["8192", "9216"]},
    "pretraining_too_long": {"10240": ["9216"]},
    "first_rung_between_reports": {"1500": ["1024", "2048"]},
    "first_rung_before_report": {"16": ["1024"]},
    "first_rung_beyond_budget": {"10240": ["9216"]},
    "study_value_for_mapping": {"tpe\n  resources: 4": ["{kind: tpe}\n  resources: {cpus: 4}"]},
}
"""In some files, what the message says to write instead of what stands there."""


@pytest.mark.parametrize("name", TAKEN)
def test_what_a_message_says_to_take_is_taken(tmp_path: Path, name: str) -> None:
    before = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    for old, replacements in TAKEN[name].items():
        for new in replacements:
            assert old in before
            path = tmp_path / "mended.yaml"
            path.write_text(before.replace(old, new, 1), encoding="utf-8")
            load_space(path)


# --- what is hardly a text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# f\xc3\xbcr\n# f\xfcr\n", "FILE:2: byte 0xfc is no UTF-8; save the file as UTF-8"),
        ("fixed: {data.size: 64}\n".encode("utf-16"), "FILE: is text in UTF-16; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "FILE: is no text file; give a YAML file"),
        (b"fixed:\n  a: \x07\n", "FILE:2: no valid YAML: an unprintable character; remove it"),
        (
            b"# " + b"x" * MOST_BYTES,
            "FILE: has more than 256 KiB, but a space file has a few; is it the right file?",
        ),
        (
            b'fixed: {"data.size\\nstudy": 1, "\\e[31m": 2}\n',
            (
                "FILE:1: fixed.'data.size\\nstudy': there is no such setting; did you mean "
                "data.size? (python -m raycolor.search --keys lists all)\n"
                "FILE:1: fixed.'\\x1b[31m': there is no such setting (python -m raycolor.search "
                "--keys lists all)"
            ),
        ),
        (
            b"fixed: {data.size: '" + b"9" * 5000 + b"'}\n",
            (
                "FILE:1: fixed.data.size: '" + "9" * 56 + "... is text; take a whole number from "
                "16 to 1024"
            ),
        ),
        (
            b"fixed: {data.size: " + b"9" * 5000 + b"}\n",
            (
                "FILE:1: fixed.data.size: .inf is infinite, or too large to be read; take a whole "
                "number from 16 to 1024"
            ),
        ),
    ],
    ids=["latin-1", "utf-16", "picture", "bell", "large", "control", "text", "digits"],
)
def test_bytes_that_are_hardly_a_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert answer(path) == message


def test_many_problems_are_told_in_part(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("fixed:\n" + "".join(f"  z{i}: 1\n" for i in range(100)), encoding="utf-8")
    lines = answer(path).splitlines()
    assert len(lines) == 41
    assert lines[0].startswith("FILE:2: fixed.z0: ")
    assert lines[-1] == "FILE: there are 60 more problems; mend these first"


# --- where there is no file


def test_a_space_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("", encoding="utf-8")
    names = "quickstart"
    for name, message in {
        "quikstart": "no such file, and no space of that name; did you mean quickstart?",
        "zebra": "no such file, and no space of that name; shipped are: ",
        f"{tmp_path}/mne.yaml": (
            f"no such file, and no space of that name; did you mean {tmp_path}/mine.yaml?"
        ),
        f"{tmp_path}": "is a folder; name a file in it",
        "/dev/null": "is no regular file",
        "a" * 5000: "",
        "a\0b": "no such file",
        "": "",
    }.items():
        with pytest.raises(ConfigError) as caught:
            find_space(name)
        assert str(caught.value).startswith("--space ")
        assert message in str(caught.value)
    assert find_space(names).stem == names


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("", encoding="utf-8")
    path.chmod(0)
    assert answer(path) == "FILE: cannot be read (Permission denied)"
