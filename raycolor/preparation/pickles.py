"""The plain values of a pickle, read without the pickle machine: nothing in it is ever called.

Unpickling a file runs whatever it names. Here its instructions are read one by one; those of dicts,
lists, tuples, texts, bytes and whole numbers are followed, the description of a NumPy array of
bytes is understood as one, and everything else is refused.

Source: the instructions as `pickletools` of Python's standard library describes them; what NumPy
writes, as `numpy.ndarray.__reduce__` and `__setstate__` document it.
"""

import io
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
"""Where NumPy's `_reconstruct` has been."""
MOST_INSTRUCTIONS = 1_000_000
"""In one pickle. A batch of CIFAR-10 has about 50,000; more would only fill the memory."""

LONGEST_NAME = 200
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


class NotPlain(Exception):  # noqa: N818  (a reason for the caller's sentence; no user sees it alone)
    """A pickle that holds more than plain values, or is damaged; the text says which."""


@dataclass(slots=True)
class ByteArray:
    """A NumPy array of uint8, as a pickle describes it."""

    shape: tuple[int, ...] = ()
    content: bytes = b""
    """Row by row."""


@dataclass(slots=True)
class _Name:
    """What a pickle would import; here it is a name and nothing else."""

    text: str


@dataclass(slots=True)
class _Dtype:
    """The description of an array's elements."""

    kind: str
    order: object = None


@dataclass(slots=True)
class _Machine:
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:
        # What lies below a mark is not within reach of a sound pickle.
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise NotPlain("takes more than is there")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            raise NotPlain("takes more than is there")
        place = self.marks.pop()
        taken, self.stack[place:] = self.stack[place:], []
        return taken

    def top(self, kind: type) -> Any:
        value = self.pop()
        if not isinstance(value, kind):
            raise NotPlain(f"fills a {type(value).__name__} as if it were a {kind.__name__}")
        self.stack.append(value)
        return value


def plain_value(content: bytes) -> Any:
    """Read a pickle of plain values.

    Args:
        content: the whole pickle, of protocol 2 or later.

    Returns:
        Its value: made of dict, list, tuple, str, bytes, int, bool, None and `ByteArray`. What
        Python 2 kept as text is bytes.

    Raises:
        NotPlain: it holds anything else, names anything to be called, or is damaged.
    """
    machine = _Machine()
    try:
        for name, argument in _instructions(content):
            if name == "STOP":
                value = machine.pop()
                if machine.stack or machine.marks:
                    raise NotPlain("ends with values left over")
                return value
            _follow(machine, name, argument)
    except (ValueError, OverflowError, MemoryError) as error:
        raise NotPlain(f"damaged ({' '.join(str(error).split())[:100]})") from error
    raise AssertionError("instructions go on until STOP")


def _instructions(content: bytes) -> Iterator[tuple[str, Any]]:
    """Read instructions with their arguments, up to the end; one that is not known ends it."""
    file = io.BytesIO(content)
    for _ in range(MOST_INSTRUCTIONS):
        opcode = _OPCODES.get(file.read(1))
        if opcode is None:
            raise NotPlain("damaged (an instruction is missing or unknown)")
        if opcode.name not in _KNOWN:
            # Its argument is not even read.
            raise NotPlain(f"holds more than plain values (the instruction {opcode.name})")
        if opcode.name == "GLOBAL":
            # The library's reader takes escapes in names for what they stand for.
            module, name = file.readline(LONGEST_NAME), file.readline(LONGEST_NAME)
            yield opcode.name, (module.decode("latin-1").strip(), name.decode("latin-1").strip())
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(file)
    raise NotPlain(f"has more than {MOST_INSTRUCTIONS:,} instructions")


def _follow(machine: _Machine, name: str, argument: Any) -> None:
    """Carry out one instruction on the stack."""
    if name in _BYTES:
        # `pickletools` reads the texts of Python 2 as Latin-1: one letter a byte.
        text = argument.encode("latin-1") if isinstance(argument, str) else argument
        machine.stack.append(text)
    elif name in _VALUES:
        machine.stack.append(argument)
    else:
        _ACTS[name](machine, argument)


_BYTES = ("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE")


def _put(machine: _Machine, place: int) -> None:
    value = machine.pop()
    machine.stack.append(value)
    machine.memo[int(place)] = value


def _memoize(machine: _Machine, argument: None) -> None:
    _put(machine, len(machine.memo))


def _get(machine: _Machine, place: int) -> None:
    if int(place) not in machine.memo:
        raise NotPlain("refers to what was never kept")
    machine.stack.append(machine.memo[int(place)])


def _append(machine: _Machine, argument: None) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, argument: None) -> None:
    values = machine.pop_marked()
    machine.top(list).extend(values)


def _set_item(machine: _Machine, argument: None) -> None:
    value, key = machine.pop(), machine.pop()
    _fill(machine.top(dict), [key, value])


def _set_items(machine: _Machine, argument: None) -> None:
    values = machine.pop_marked()
    _fill(machine.top(dict), values)


def _fill(target: dict[Any, Any], pairs: list[Any]) -> None:
    if len(pairs) % 2:
        raise NotPlain("has a key without a value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, str | bytes | int):
            raise NotPlain(f"has a key that is a {type(key).__name__}")
        target[key] = value


def _tuple_of(number: int) -> Callable[[_Machine, None], None]:
    def act(machine: _Machine, argument: None) -> None:
        taken = [machine.pop() for _ in range(number)]
        machine.stack.append(tuple(reversed(taken)))

    return act


def _global(machine: _Machine, argument: tuple[str, str]) -> None:
    module, name = argument
    known = {("numpy", "ndarray"), ("numpy", "dtype")}
    known |= {(one, "_reconstruct") for one in MODULES}
    if (module, name) not in known:
        raise NotPlain(f"names something to be run ({module}.{name})"[:150])
    machine.stack.append(_Name(name))


def _reduce(machine: _Machine, argument: None) -> None:
    """Understand the two calls that make an empty array and a type of elements."""
    arguments, made = machine.pop(), machine.pop()
    match made, arguments:
        case _Name("_reconstruct"), (_Name("ndarray"), (0,), b"b" | "b"):
            machine.stack.append(ByteArray())
        case _Name("dtype"), (b"u1" | "u1" as kind, *_):
            machine.stack.append(_Dtype(kind if isinstance(kind, str) else kind.decode()))
        case _:
            raise NotPlain("holds more than plain values and arrays of bytes")


def _build(machine: _Machine, argument: None) -> None:
    """Take in the state of an array, or of its type of elements."""
    state = machine.pop()
    target = machine.pop()
    machine.stack.append(target)
    match target, state:
        case _Dtype(), (3 | 4, b"|" | "|", None, None, None, *_):
            target.order = "|"
        case ByteArray(), (1, tuple() as shape, _Dtype("u1"), False, bytes() as content):
            target.shape, target.content = _checked(shape, len(content)), content
        case _:
            raise NotPlain("describes an array that is not one of bytes, row by row")


def _checked(shape: tuple[Any, ...], length: int) -> tuple[int, ...]:
    number = 1
    for side in shape[:8]:
        if type(side) is not int or not 0 <= side <= length:
            raise NotPlain("describes an array of another shape than its content")
        number *= side
    if number != length or len(shape) > 8:
        raise NotPlain("describes an array of another shape than its content")
    return shape


def _push(make: Callable[[], Any]) -> Callable[[_Machine, None], None]:
    return lambda machine, argument: machine.stack.append(make())


def _nothing(machine: _Machine, argument: Any) -> None:
    """The version and the division into frames say nothing about the values."""


_ACTS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "MARK": lambda machine, argument: machine.marks.append(len(machine.stack)),
    "EMPTY_DICT": _push(dict),
    "EMPTY_LIST": _push(list),
    "EMPTY_TUPLE": _push(tuple),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": lambda machine, argument: machine.stack.append(tuple(machine.pop_marked())),
    "GLOBAL": _global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
_KNOWN = {"STOP", *_BYTES, *_VALUES, *_ACTS}
