"""Read what a pickle would do before anything of it is done.

A pickle is a program for a small machine: it names functions and classes, calls them, and sets the state of what they
gave. Here the program is run on stand-ins: no name is looked up, no module imported, no object made. What passes calls
only what is admitted to be called, with the arguments that an honest pickle has where others could do harm:

- a name is admitted for a use: `new` (an object of a class is made, its `__init__` is not run), `call`, or `value`
  (it is an attribute such as a score function, and is not called here);
- state is set on objects that the pickle has made, never on a class, a function or anything else that others share;
- the memory of an array is its numbers, never addresses: NumPy itself believes every dtype and length it is told.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from modelfactory.diagnostics import Code, Diagnostic, InputError

NEW, CALL, VALUE = "new", "call", "value"
NOTHING: frozenset[str] = frozenset()

Admitted = Callable[[str, str], Collection[str]]
"""Takes a module and a name in it, and tells the uses that are admitted."""


class UnsafeModel(InputError):
    """The bytes of a model are not those that were published, or need what may not be loaded."""

    code = Code.UNSAFE_MODEL

    def __init__(self, message: str) -> None:
        super().__init__(Diagnostic(code=self.code, message=message))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.diagnostics[0].message,)


class Refused(Exception):
    """A pickle names what is not admitted, or does with it what no honest pickle does.

    Attributes:
        module: of the name that is to blame, empty if there is none.
        name: the name.
    """

    def __init__(self, message: str, module: str = "", name: str = "") -> None:
        super().__init__(message)
        self.module = module
        self.name = name


@dataclass(slots=True, eq=False)
class _Global:
    key: tuple[str, str]
    uses: Collection[str]


@dataclass(slots=True, eq=False)
class _Made:
    """Stands for an object that the pickle makes.

    Attributes:
        maker: what it is made by.
        kind: of a dtype or a scalar, the letter of its kind.
        itemsize: of a dtype, its size in bytes.
        built: whether its state was set.
    """

    maker: tuple[str, str]
    kind: str = ""
    itemsize: int = 0
    built: bool = False


class _List(list[Any]):
    """Stands for a list, and holds what stands for its items."""


class _Dict(list[Any]):
    """Stands for a dict, and holds its keys and values in turn.

    Attributes:
        sealed: whether a dtype keeps it as the table of its fields, which were checked.
    """

    sealed = False


class _Opaque:
    """Stands for a value that decides nothing: a number with a fraction, a set."""


_OPAQUE, _BYTES, _MARK = _Opaque(), _Opaque(), _Opaque()
_DTYPE = ("numpy", "dtype")
_ARRAY = ("numpy._core.multiarray", "_reconstruct")
_MASKED = ("numpy.ma.core", "_mareconstruct")
_BUFFER = ("numpy._core.numeric", "_frombuffer")
_SCALAR = ("numpy._core.multiarray", "scalar")
_MAPPINGS = {("sklearn.utils._bunch", "Bunch"), ("collections", "OrderedDict"), ("collections", "defaultdict")}
_TYPE = re.compile(r"[biufc]\d{1,2}|O8?|[SUV]\d{1,9}")
_POINTERS = 1 | 2 | 4
"""Flags of a dtype that make NumPy take its memory for addresses of objects."""
_NO_FRAME = sys.maxsize
_U2, _I4, _U4, _U8 = Struct("<H"), Struct("<i"), Struct("<I"), Struct("<Q")


def check_pickle(data: bytes, admitted: Admitted) -> None:  # noqa: PLR0915, one branch for each instruction
    """Check what a pickle of protocol 4 or 5 would do.

    Args:
        data: the pickle.
        admitted: tells for what a name may be used.

    Raises:
        Refused: it would use a name that is not admitted for that, or in a way that no honest pickle does.
        IndexError: it is cut off, or is no pickle.
        struct.error: likewise.
    """
    stack: list[Any] = []
    memo: list[Any] = []
    push, pop, remember = stack.append, stack.pop, memo.append
    at, end, frame_end = 0, len(data), _NO_FRAME
    while True:  # the most frequent instructions first: this is most of the time that loading a small model takes
        if at >= frame_end:
            if at > frame_end:  # the unpickler would skip what is left of the frame, and read other instructions
                raise Refused("it has an instruction that goes on behind its frame")
            frame_end = _NO_FRAME
        code = data[at]
        at += 1
        if code == 0x94:  # MEMOIZE
            remember(stack[-1])
        elif code == 0x8C:  # SHORT_BINUNICODE
            start = at + 1
            at = start + data[at]
            push(data[start:at].decode("utf-8", "surrogatepass"))
            if data[at] == 0x94:  # MEMOIZE, as nearly always
                remember(stack[-1])
                at += 1
        elif code == 0x68:  # BINGET
            push(memo[data[at]])
            at += 1
        elif code == 0x4B:  # BININT1
            push(data[at])
            at += 1
        elif code >= 0x80:
            if 0x85 <= code <= 0x87:  # TUPLE1, TUPLE2, TUPLE3
                count = code - 0x84
                stack[-count:] = [tuple(stack[-count:])]
            elif 0x88 <= code <= 0x89:  # NEWTRUE, NEWFALSE
                push(code == 0x88)
            elif code == 0x93:  # STACK_GLOBAL
                name, module = pop(), pop()
                if type(module) is not str or type(name) is not str:
                    raise Refused("it makes up a name")
                uses = admitted(module, name)
                if not uses:
                    raise Refused(f"it names `{module}.{name}`", module, name)
                push(_Global((listed_module(module), name), uses))
            elif code == 0x81:  # NEWOBJ
                arguments, maker = pop(), pop()
                push(_made(maker, arguments, NEW))
            elif code == 0x8E or code == 0x96:  # BINBYTES8, BYTEARRAY8
                push(_BYTES)
                at += 8 + _U8.unpack_from(data, at)[0]
            elif code == 0x8A:  # LONG1
                start = at + 1
                at = start + data[at]
                push(int.from_bytes(data[start:at], "little", signed=True))
            elif code == 0x8F:  # EMPTY_SET
                push(_OPAQUE)
            elif code == 0x90:  # ADDITEMS
                _to_mark(stack)
                if stack[-1] is not _OPAQUE:
                    raise Refused("it adds to what is no set")
            elif code == 0x91:  # FROZENSET
                _to_mark(stack)
                push(_OPAQUE)
            elif code == 0x95:  # FRAME
                if frame_end != _NO_FRAME:
                    raise Refused("it has a frame in a frame")
                at += 8
                frame_end = at + _U8.unpack_from(data, at - 8)[0]
            elif code == 0x80 and data[at] in (4, 5):  # PROTO
                at += 1
            else:
                raise _unknown(code)
        elif code == 0x28:  # MARK
            push(_MARK)
        elif code == 0x4E:  # NONE
            push(None)
        elif code == 0x52:  # REDUCE
            arguments, maker = pop(), pop()
            push(_made(maker, arguments, CALL))
        elif code == 0x74:  # TUPLE
            push(tuple(_to_mark(stack)))
        elif code == 0x62:  # BUILD
            state = pop()
            _check_state(stack[-1], state)
        elif code == 0x47:  # BINFLOAT
            push(_OPAQUE)
            at += 8
        elif code == 0x4A:  # BININT
            push(_I4.unpack_from(data, at)[0])
            at += 4
        elif code == 0x6A:  # LONG_BINGET
            push(memo[_U4.unpack_from(data, at)[0]])
            at += 4
        elif code == 0x4D:  # BININT2
            push(_U2.unpack_from(data, at)[0])
            at += 2
        elif code == 0x43:  # SHORT_BINBYTES
            push(_BYTES)
            at += 1 + data[at]
        elif code == 0x7D:  # EMPTY_DICT
            push(_Dict())
        elif code == 0x75 or code == 0x73:  # SETITEMS, SETITEM
            _set_items(stack, _to_mark(stack) if code == 0x75 else [*reversed((pop(), pop()))])
        elif code == 0x5D:  # EMPTY_LIST
            push(_List())
        elif code == 0x65 or code == 0x61:  # APPENDS, APPEND
            items = _to_mark(stack) if code == 0x65 else [pop()]
            if type(stack[-1]) is not _List:
                raise Refused("it appends to what is no list")
            stack[-1].extend(items)
        elif code == 0x29:  # EMPTY_TUPLE
            push(())
        elif code == 0x42:  # BINBYTES
            push(_BYTES)
            at += 4 + _U4.unpack_from(data, at)[0]
        elif code == 0x58:  # BINUNICODE
            start = at + 4
            at = start + _U4.unpack_from(data, at)[0]
            push(data[start:at].decode("utf-8", "surrogatepass"))
        elif code == 0x2E:  # STOP
            if len(stack) != 1 or at != end:
                raise Refused("it goes on behind its end")
            return
        else:
            raise _unknown(code)


def _unknown(code: int) -> Refused:
    return Refused(f"it uses instruction 0x{code:02x}, which pickles of models do not have")


def listed_module(module: str) -> str:
    """Return the name under which a module is listed that has had several.

    NumPy 2 has renamed its core. Cython calls the module of scikit-learn's losses `_loss`, which could be any file's.
    """
    if module.startswith("numpy.core."):
        return f"numpy._core.{module[11:]}"
    return "sklearn._loss._loss" if module == "_loss" else module


def _to_mark(stack: list[Any]) -> list[Any]:
    """Take what stands above the last mark, and the mark. What lies about marks, the unpickler refuses itself."""
    start = len(stack) - 1
    while stack[start] is not _MARK:
        start -= 1
        if start < 0:
            raise IndexError("there is no mark")
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _set_items(stack: list[Any], items: list[Any]) -> None:
    target = stack[-1]
    mapping = type(target) is _Made and target.maker in _MAPPINGS
    if type(target) is not _Dict and not mapping:
        raise Refused("it sets items of what is no dict")
    for index, key in enumerate(items[::2]):
        if type(key) is str and key.startswith("__") and not _is_number(items[2 * index + 1]):
            raise Refused(f"it sets `{key}`, by which Python and NumPy know what an object is", "", key)
        if _is_hidden_text(key) and not _is_number(items[2 * index + 1]):
            raise Refused("it sets what has a text of NumPy for its name, which may be any name")
    if type(target) is _Dict:
        if target.sealed:
            raise Refused("it changes the fields of a dtype behind its back")
        target += items


def _is_number(value: Any) -> bool:
    return type(value) is int or value is _OPAQUE or (type(value) is _Made and value.maker == _SCALAR)


def _is_hidden_text(key: Any) -> bool:
    """Tell whether a key is a text whose letters are not known here; NumPy's texts are equal to Python's."""
    return type(key) is _Made and key.maker == _SCALAR and key.kind == "U"


def _made(maker: Any, arguments: Any, use: str) -> _Made:
    if type(maker) is not _Global or type(arguments) is not tuple:
        raise Refused("it calls what is no name")
    module, name = maker.key
    if use not in maker.uses:
        raise Refused(f"it {'calls' if use == CALL else 'makes an object of'} `{module}.{name}`", module, name)
    made = _Made(maker.key)
    check = _CALLS.get(maker.key)
    if check is not None and not check(made, *arguments):
        raise Refused(f"it calls `{module}.{name}` with what is never written", module, name)
    return made


def _is_dtype(made: _Made, *arguments: Any) -> bool:
    text, *flags = arguments
    if type(text) is not str or not (flags == [False, True] or flags == []):
        return False
    made.kind, made.itemsize = _parsed(text)
    return made.kind != ""


@functools.lru_cache(256)
def _parsed(text: str) -> tuple[str, int]:
    """Return the kind of a dtype and its size in bytes; no kind if it is none of those that are written."""
    if not _TYPE.fullmatch(text):
        return "", 0
    size = int(text[1:] or 8)
    return text[0], 4 * size if text[0] == "U" else size


def _is_array(_: _Made, *arguments: Any) -> bool:
    return len(arguments) == 3 and _names(arguments[0], "ndarray") and arguments[1:] == ((0,), _BYTES)


def _is_masked(_: _Made, *arguments: Any) -> bool:
    kinds, rest = arguments[:2], arguments[2:]
    return (
        len(kinds) == 2
        and _names(kinds[0], "MaskedArray")
        and _names(kinds[1], "ndarray")
        and rest in (((0,), _BYTES), ((0,), "b"))
    )


def _is_buffer(_: _Made, *arguments: Any) -> bool:
    if len(arguments) not in (4, 5):
        return False
    numbers, dtype, shape, order = arguments[:4]
    return (
        numbers is _BYTES
        and _kind(dtype) not in ("", "O")
        and _are_counts(shape)
        and order in ("C", "F", "K")
        and all(axes is None or _are_counts(axes) for axes in arguments[4:])
    )


def _is_scalar(made: _Made, *arguments: Any) -> bool:
    if len(arguments) != 2 or arguments[1] is not _BYTES or _kind(arguments[0]) not in _SIMPLE:
        return False
    made.kind = _kind(arguments[0])
    return True


def _is_random(_: _Made, *arguments: Any) -> bool:
    """Tell whether NumPy is given random states of its own: it calls a class that it is given."""
    return all(type(item) is str or _module_of(item).startswith("numpy.random.") for item in arguments)


def _is_of_module(made: _Made, *arguments: Any) -> bool:
    """Tell whether an object of the same module is made, of whatever class it is told."""
    return len(arguments) == 1 and _module_of(arguments[0]) == made.maker[0]


_SIMPLE = frozenset("biufcSU")
_CALLS: Mapping[tuple[str, str], Callable[..., bool]] = {
    _DTYPE: _is_dtype,
    _ARRAY: _is_array,
    _MASKED: _is_masked,
    _BUFFER: _is_buffer,
    _SCALAR: _is_scalar,
    **{
        ("numpy.random._pickle", f"__{name}_ctor"): _is_random for name in ("bit_generator", "generator", "randomstate")
    },
    **{
        (f"sklearn.{module}", "newObj"): _is_of_module
        for module in ("metrics._dist_metrics", "neighbors._ball_tree", "neighbors._kd_tree")
    },
}
"""What is called with some arguments only, and what tells whether these are such."""


def _module_of(value: Any) -> str:
    """Return the module of a name, or of what made an object."""
    if type(value) is _Global:
        return value.key[0]
    return value.maker[0] if type(value) is _Made else ""


def _check_state(target: Any, state: Any) -> None:
    """Check what a BUILD would set on what."""
    if type(target) is _Global:
        module, name = target.key
        raise Refused(f"it would change `{module}.{name}` itself, for all who use it", module, name)
    if type(target) is not _Made:
        raise Refused("it sets the state of what has none")
    key = target.maker
    if target.built:  # others may have its memory by now
        raise Refused(f"it sets the state of an object of `{key[0]}.{key[1]}` twice", *key)
    target.built = True
    if key[0][:5] != "numpy":
        return
    honest = True
    if key == _DTYPE:
        honest = type(state) is tuple and _is_dtype_state(target, state)
    elif key == _ARRAY:
        honest = type(state) is tuple and len(state) == 5 and _is_array_state(*state)
    elif key == _MASKED:
        honest = type(state) is tuple and len(state) == 7 and _is_array_state(*state[:5]) and state[5] is _BYTES
    elif key in (_BUFFER, _SCALAR):
        honest = False
    if not honest:
        raise Refused(f"it gives `{key[0]}.{key[1]}` a state that is never written", *key)


def _is_array_state(version: Any, shape: Any, dtype: Any, fortran: Any, content: Any) -> bool:
    if type(version) is not int or type(fortran) is not bool or not _are_counts(shape):
        return False
    if _kind(dtype) == "O":  # NumPy itself reads as many items as the shape says, however many there are
        return type(content) is _List and len(content) == math.prod(shape)
    return _kind(dtype) != "" and content is _BYTES


def _is_dtype_state(dtype: _Made, state: tuple[Any, ...]) -> bool:
    if len(state) != 8:  # nine are those of times
        return False
    version, order, parts, names, fields, size, alignment, flags = state
    kind = dtype.kind
    if version != 3 or order not in ("<", "|", "=", ">") or type(flags) is not int or parts is not None:
        return False
    if type(size) is not int or type(alignment) is not int:
        return False
    if kind == "O":
        return names is None and fields is None and size == -1 and flags == 63
    if flags & _POINTERS or size not in (-1, dtype.itemsize):
        return False
    if kind != "V":
        return names is None and fields is None
    if names is None and fields is None:
        return True
    if type(names) is not tuple or type(fields) is not _Dict or set(fields[::2]) != set(names):
        return False
    for field in fields[1::2]:
        if type(field) is not tuple or len(field) != 2 or _kind(field[0]) not in _SIMPLE:
            return False
        if type(field[1]) is not int or not 0 <= field[1] <= dtype.itemsize - field[0].itemsize:
            return False
    fields.sealed = True  # NumPy keeps this very dict
    return True


def _kind(dtype: Any) -> str:
    """Return the letter of a dtype's kind; nothing where there is no dtype."""
    return dtype.kind if type(dtype) is _Made and dtype.maker == _DTYPE else ""


def _names(value: Any, name: str) -> bool:
    return type(value) is _Global and value.key[1] == name and value.key[0] in ("numpy", "numpy.ma", "numpy.ma.core")


def _are_counts(shape: Any) -> bool:
    if type(shape) is not tuple:
        return False
    for size in shape:  # noqa: SIM110, twice as fast
        if type(size) is not int or size < 0:
            return False
    return True
