"""The columns of a Parquet file as Spark will see them, out of its footer.

pyarrow reads footers too, and takes a fifth of a second and 70 MB to be imported: too much for `mf parse`. The schema
is the second field of a footer, in Thrift's compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
_TRUE, _FALSE = 1, 2
_SCHEMA = 2
_TYPE, _REPETITION, _NAME, _CHILDREN, _CONVERTED, _SCALE, _PRECISION, _LOGICAL = 1, 3, 4, 5, 6, 7, 8, 10
"""Fields of a schema element."""
_BOOLEAN, _INT32, _INT64, _INT96, _FLOAT, _DOUBLE, _BYTES, _FIXED = range(8)
_PLAIN = {
    _BOOLEAN: "boolean",
    _INT32: "int",
    _INT64: "bigint",
    _INT96: "timestamp",
    _FLOAT: "float",
    _DOUBLE: "double",
    _BYTES: "binary",
    _FIXED: "binary",
}
"""Spark's types of values without annotation."""
_UTF8, _MAP, _LIST, _ENUM, _DECIMAL, _DATE, _TIMESTAMP_MILLIS, _TIMESTAMP_MICROS, _JSON = 0, 1, 3, 4, 5, 6, 9, 10, 19
_ANNOTATED = {
    _UTF8: "string",
    _ENUM: "string",
    _JSON: "string",
    _DATE: "date",
    _TIMESTAMP_MILLIS: "timestamp",
    _TIMESTAMP_MICROS: "timestamp",
    11: "smallint",  # of 8 bits without sign
    12: "int",
    13: "bigint",
    14: "decimal(20,0)",
    15: "tinyint",
    16: "smallint",
    17: "int",
    18: "bigint",
}
"""Spark's types by the converted type, which writers set beside the newer logical type where there is one."""
_LOGICAL_TIMESTAMP, _NANOS = 8, 3
_REPEATED = 2


@dataclass(frozen=True, slots=True)
class _Node:
    """A column, or a part of one: the fields of its schema element, and its own parts."""

    fields: Mapping[int, Any]
    parts: tuple[_Node, ...]

    @property
    def name(self) -> str:
        return str(self.fields[_NAME].decode("utf-8", "replace"))


def parquet_columns(file: Path) -> dict[str, str | None]:
    """Return the columns of a Parquet file with Spark's short names of their types; None where that is not certain.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no Parquet file that can be read here.
    """
    footer = _footer(file)
    try:
        root = _node(iter(_schema(footer)))
        return {node.name: _kind(node) for node in root.parts}
    except (IndexError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError("damaged footer") from error


def _footer(file: Path) -> bytes:
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        if size < 12:
            raise ValueError("too short for a Parquet file")
        opened.seek(size - 8)
        length, magic = struct.unpack("<I4s", opened.read(8))
        if magic != MAGIC or length > size - 12:
            raise ValueError("not a Parquet file")
        opened.seek(size - 8 - length)
        return opened.read(length)


def _schema(footer: bytes) -> list[Any]:
    for number, value in _Compact(footer).fields():
        if number == _SCHEMA:  # behind it are the row groups, which may be many
            return list(value)
    raise ValueError("no schema in the footer")


def _node(elements: Iterator[Any]) -> _Node:
    """Read one element, whose parts follow it."""
    fields = next(elements, None)
    if fields is None:
        raise ValueError("damaged footer")
    return _Node(fields, tuple(_node(elements) for _ in range(fields.get(_CHILDREN, 0))))


def _kind(node: _Node) -> str | None:
    kind = _group(node) if node.parts else _atom(node.fields)
    return f"array<{kind}>" if kind and node.fields.get(_REPETITION) == _REPEATED else kind


def _group(node: _Node) -> str | None:
    """Name a struct, or a list or map in the form of the standard."""
    inner = node.parts[0].parts
    converted = node.fields.get(_CONVERTED)
    if converted is None and _LOGICAL not in node.fields:
        kinds = [(part.name, _kind(part)) for part in node.parts]
        return f"struct<{','.join(f'{name}:{kind}' for name, kind in kinds)}>" if all(k for _, k in kinds) else None
    if converted == _LIST and len(inner) == 1:
        kind = _kind(inner[0])
        return kind and f"array<{kind}>"
    if converted == _MAP and len(inner) == 2:
        kinds_of_map = [_kind(part) for part in inner]
        return f"map<{','.join(map(str, kinds_of_map))}>" if all(kinds_of_map) else None
    return None


def _atom(fields: Mapping[int, Any]) -> str | None:
    converted = fields.get(_CONVERTED)
    logical: Mapping[int, Any] = fields.get(_LOGICAL, {})
    if _LOGICAL_TIMESTAMP in logical:
        timestamp = logical[_LOGICAL_TIMESTAMP]
        return None if _NANOS in timestamp[2] else "timestamp" if timestamp[1] else "timestamp_ntz"
    if converted == _DECIMAL:
        return f"decimal({fields[_PRECISION]},{fields.get(_SCALE, 0)})"
    if converted is not None:
        return _ANNOTATED.get(converted)
    return _PLAIN.get(fields[_TYPE]) if not logical else None


class _Compact:
    """Reads structs of Thrift's compact protocol as mappings of field number to value."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, Any]]:
        number = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._integer()
            yield number, kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # in a list, where a boolean is a byte of its own
                return self._byte() == _TRUE
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                return [self._byte() for _ in range(8)]  # no field that matters here is a double
            case 8:
                length = self._unsigned()
                self.at += length
                return self.data[self.at - length : self.at]
            case 9 | 10:
                head = self._byte()
                size = self._unsigned() if head >> 4 == 15 else head >> 4
                return [self._value(head & 0x0F) for _ in range(size)]
            case 12:
                return dict(self.fields())
            case _:
                raise ValueError(f"a value of kind {kind} in the footer")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
