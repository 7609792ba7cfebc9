"""Pickles are read as data: plain values come out, and nothing in them is ever run."""

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycolor.preparation import pickles
from raycolor.preparation.pickles import ByteArray, NotPlain, plain_value
from tests.unit.preparation.known_archives import Python2, batch


def test_what_python_2_wrote_is_read_as_the_pickle_machine_reads_it() -> None:
    content = batch(b"training batch 1 of 5", range(300))
    names = {opcode.name for opcode, _, _ in pickletools.genops(content)}
    assert {"PROTO", "SHORT_BINSTRING", "BINSTRING", "GLOBAL", "REDUCE", "BUILD"} <= names
    expected = pickle.loads(content, encoding="bytes")
    value = plain_value(content)
    assert list(value) == [b"batch_label", b"labels", b"data", b"filenames"]
    array = expected.pop(b"data")
    assert value.pop(b"data") == ByteArray(shape=array.shape, content=array.tobytes())
    assert value == expected


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_of_other_protocols(protocol: int) -> None:
    value: dict[str, Any] = {
        "a": [1, 300, 70_000, -5, True, None],
        "b": (),
        "c": ("x", (1, 2), [[]]),
    }
    assert plain_value(pickle.dumps(value, protocol)) == value


def test_arrays_of_todays_numpy() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert plain_value(pickle.dumps({"data": array}, 3))["data"] == ByteArray(
        shape=(4, 6), content=array.tobytes()
    )


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self._reduced


@pytest.mark.parametrize("protocol", range(6))
def test_what_would_run_something_is_refused(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "was-run"
    for call, argument in (
        (os.system, f"touch {mark}"),
        (eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
    ):
        content = pickle.dumps({"data": [Runs(call, argument)]}, protocol)
        with pytest.raises(NotPlain, match=r"names something to be run|more than plain values"):
            plain_value(content)
        assert not mark.exists()
        pickle.loads(content)
        assert mark.exists()
        mark.unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cos\nsystem\n(U\x04truetR.", r"names something to be run \(os.system\)"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the instruction STACK_GLOBAL"),
        (b"(ios\nsystem\n.", "the instruction INST"),
        (b"cnumpy\nload\n.", r"\(numpy.load\)"),
        (b"cnumpy\nndarray\n(K\x01tR.", "more than plain values and arrays"),
        (b"cnumpy\ndtype\n(U\x01OK\x00K\x01tR.", "more than plain values and arrays"),
        (b"}(K\x01u.", "a key without a value"),
        (b"}](K\x01s.", "takes more than is there"),
        (b"}]K\x01s.", "a key that is a list"),
        (b"]K\x01e.", "takes more than is there"),
        (b"K\x01K\x02a.", "fills a int as if it were a list"),
        (b"h\x05.", "what was never kept"),
        (b"(K\x01.", "values left over"),
        (b"K\x01", "damaged"),
        (b"", "damaged"),
        (b"U\xffabc", "damaged"),
        (b"words", "damaged"),
        (b"K\x01\x81.", "the instruction NEWOBJ"),
        (b"P17\n.", "the instruction PERSID"),
        (b"S'a\\o'\n.", "the instruction STRING"),
        (b"c" + b"n" * 999 + b"\n.", "names something to be run"),
    ],
)
def test_what_is_no_plain_value_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(NotPlain, match=said):
        plain_value(content)


def test_an_array_has_the_shape_of_its_content() -> None:
    content = Python2().pickle(np.zeros((5, 7), np.uint8))
    assert plain_value(content).shape == (5, 7)
    another_shape, signed, by_columns = (
        (b"K\x05K\x07", b"K\x06K\x07"),
        (b"U\x02u1", b"U\x02i1"),
        (b"b\x89T", b"b\x88T"),
    )
    for before, after in (another_shape, signed, by_columns):
        assert before in content
        with pytest.raises(NotPlain):
            plain_value(content.replace(before, after))


def test_a_pickle_that_only_fills_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_INSTRUCTIONS", 100)
    assert plain_value(b"](" + b"N" * 50 + b"e.") == [None] * 50
    with pytest.raises(NotPlain, match="more than 100 instructions"):
        plain_value(b"](" + b"N" * 200 + b"e.")


def test_damage_of_any_kind_is_refused_or_harmless() -> None:
    """Bytes that are changed, cut, doubled or mixed with instructions: a sentence, or a value."""
    rng = np.random.default_rng(0)
    array = np.arange(48, dtype=np.uint8).reshape(4, 12)
    whole = Python2().pickle({b"data": array, b"filenames": [b"a.png", b"b.png"], b"n": 300})
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    refused = 0
    for _ in range(4000):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            place = int(rng.integers(len(content)))
            match rng.integers(4):
                case 0:
                    content[place] = rng.integers(256)
                case 1:
                    del content[place : place + int(rng.integers(1, 20))]
                case 2:
                    content[place:place] = codes[rng.integers(len(codes))]
                case _:
                    other = int(rng.integers(len(content)))
                    content[place:place] = content[other : other + 30]
        try:
            value = plain_value(bytes(content))
        except NotPlain:
            refused += 1
        else:
            assert isinstance(value, dict | list | tuple | bytes | str | int | ByteArray | None)
    assert refused > 2000
