"""Find groups by the values of their key: whole columns at once, null equal to null, numbers by value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as t

Index = npt.NDArray[np.int64]
_NOWHERE = -1
_WIDEST = 76
"""Digits of the widest decimals; whatever is a key fits in them."""


class KeyTypeDiffers(Exception):
    """Values of a key are of a type that cannot be compared with that of the groups."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Numbers of the keys' beginnings, up to one column.

    Attributes:
        values: the values of the column, each once.
        pairs: what a beginning is made of, the number of the former one and that of the value, as one number; rising.
    """

    values: pa.Array
    pairs: Index


class KeyIndex:
    """Keys, such that others can be found among them. Several threads may share it.

    Args:
        columns: the group columns, at least one, each of shape (g,). Of equal keys, such as NaN and null, the first
            is found.
    """

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        if not columns:
            raise AssertionError("a key has at least one column")
        self._columns = [_plain(column) for column in columns]

    def places(self, wanted: Sequence[pa.Array]) -> Index:
        """Return where keys stand among those of the index, -1 where they do not, shape (n,).

        Args:
            wanted: the group columns of the keys to find, each of shape (n,).

        Raises:
            KeyTypeDiffers: a column cannot be compared with that of the index.
        """
        given = [_converted(_plain(column), own.type) for column, own in zip(wanted, self._columns, strict=True)]
        if len(given[0][0]) == 1:
            return np.array([self._scanned(given)])
        levels, key_of = self._coded
        found = np.zeros(len(given[0][0]), dtype=np.int64)
        for (column, exact), level in zip(given, levels, strict=True):
            value = pc.index_in(column, value_set=level.values).fill_null(_NOWHERE).to_numpy(zero_copy_only=False)
            there = (found >= 0) & (value >= 0) & exact
            found = _find(np.where(there, found * len(level.values) + value, _NOWHERE), level.pairs)
        return np.where(found < 0, _NOWHERE, key_of[found]) if len(key_of) else found

    def _scanned(self, given: Sequence[tuple[pa.Array, npt.NDArray[np.bool_]]]) -> int:
        """Find one key by a look at all: faster than to find the numbers of its values."""
        same = None
        for (column, exact), own in zip(given, self._columns, strict=True):
            if not exact[0]:
                return _NOWHERE
            equal = pc.equal(own, column[0]) if column[0].is_valid else pc.is_null(own)
            same = equal if same is None else pc.and_(same, equal)
        return int(pc.index(same, True).as_py())

    @cached_property
    def _coded(self) -> tuple[list[_Level], Index]:
        """The levels, column by column, and the key that has each number of the last."""
        levels, code, first = [], np.zeros(len(self._columns[0]), dtype=np.int64), np.empty(0, dtype=np.int64)
        for column in self._columns:
            values = column.unique()
            value = pc.index_in(column, value_set=values).to_numpy(zero_copy_only=False)
            # Numbered anew after each column, there are never more numbers than keys.
            pairs, first, code = np.unique(code * len(values) + value, return_index=True, return_inverse=True)
            levels.append(_Level(values, pairs))
        return levels, first


def _find(wanted: Index, rising: Index) -> Index:
    """Return where numbers stand in a rising array, -1 where they do not."""
    if not len(rising):
        return np.full(len(wanted), _NOWHERE)
    if rising[-1] == len(rising) - 1:  # all numbers from 0 on, as those of one column are
        return np.where(wanted < len(rising), wanted, _NOWHERE)
    place = np.minimum(np.searchsorted(rising, wanted), len(rising) - 1)
    return np.where(rising[place] == wanted, place, _NOWHERE)


def _plain(column: pa.Array) -> pa.Array:
    """Return a column in one of the few types in which keys are compared."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if t.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if t.is_large_string(kind) or t.is_string_view(kind):
        return column.cast(pa.string())
    if t.is_integer(kind):
        return column.cast(pa.int64() if kind != pa.uint64() else pa.decimal256(_WIDEST))
    if t.is_decimal(kind):
        return column.cast(pa.decimal256(_WIDEST, kind.scale))
    if t.is_floating(kind):  # NaN is how pandas writes null, and zero has two signs
        column = pc.add(column.cast(pa.float64()), 0.0)
        return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    if t.is_date(kind):
        return column.cast(pa.date32())
    if t.is_timestamp(kind) and kind.unit != "ns":
        return column.cast(pa.timestamp("us", kind.tz))
    return column


def _converted(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Return values in another type, and which of them are the same in it.

    Raises:
        KeyTypeDiffers: the types are no kin.
    """
    given = column.type
    if given == kind or column.null_count == len(column):
        same = column if given == kind else pa.nulls(len(column), kind)
        return same, np.ones(len(column), dtype=bool)
    if not _are_kin(given, kind):
        raise KeyTypeDiffers(f"{given} cannot be compared with {kind}")
    converted = column.cast(kind, safe=False)
    exact = pc.equal(converted.cast(given, safe=False), column).fill_null(True)
    return converted, exact.to_numpy(zero_copy_only=False)


def _are_kin(one: pa.DataType, other: pa.DataType) -> bool:
    numbers, moments = _is_number(one) and _is_number(other), _is_moment(one) and _is_moment(other)
    return numbers or (moments and _has_zone(one) == _has_zone(other))


def _is_number(kind: pa.DataType) -> bool:
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(t.is_date(kind) or t.is_timestamp(kind))


def _has_zone(kind: pa.DataType) -> bool:
    return bool(t.is_timestamp(kind) and kind.tz is not None)


# Keys as text ---------------------------------------------------------------------------------------------------------


def rows_with(table: pa.Table, key: Mapping[str, str]) -> Index:
    """Return the rows of a table that have a key which was written as text, shape (n,).

    Args:
        table: a table with the group columns.
        key: values of group columns, of all or of some; see `typed`.

    Raises:
        KeyTypeDiffers: a text is no value of its column's type.
    """
    same = np.ones(len(table), dtype=bool)
    for name, text in key.items():
        own, value = _plain(table[name]), _plain(typed(text, table.schema.field(name).type))[0]
        equal = pc.equal(own, value) if value.is_valid else pc.is_null(own)
        same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
    return np.flatnonzero(same)


def typed(text: str, kind: pa.DataType) -> pa.Array:
    """Return a value that was written as text, as a column of one row.

    Args:
        text: the value; the word `null` stands for null, and a moment without a zone is in UTC.
        kind: the column's type.

    Raises:
        KeyTypeDiffers: the text is no value of that type.
    """
    if text == "null":
        return pa.nulls(1, kind)
    kind = kind.value_type if t.is_dictionary(kind) else kind
    given = pa.array([text])
    try:
        return given.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if _has_zone(kind):
            with suppress(pa.ArrowInvalid):
                return pc.assume_timezone(given.cast(pa.timestamp(kind.unit)), "UTC").cast(kind)
        raise KeyTypeDiffers(f"`{text}` is no value of type {kind}") from error


def key_texts(columns: Sequence[pa.Array]) -> list[str]:
    """Write keys as text such that keys that are found by each other are written alike, whatever their types.

    Args:
        columns: the group columns, at least one, each of shape (n,).

    Returns:
        One text for each key.
    """
    return [json.dumps(key) for key in zip(*map(_written, columns), strict=True)]


def _written(column: pa.Array) -> Iterator[Any]:
    """Yield each value as text behind the kin of its type, None for null."""
    column = _plain(column)
    kind = column.type
    if _is_number(kind):
        return (None if v is None else ["number", _digits(v)] for v in column.to_pylist())
    if _is_moment(kind):
        kin = "instant" if _has_zone(kind) else "moment"
        moments = column if t.is_timestamp(kind) else column.cast(pa.timestamp("us"))
        scale = 1 if moments.type.unit == "ns" else 1000
        return (None if v is None else [kin, str(v * scale)] for v in moments.cast(pa.int64()).to_pylist())
    if t.is_boolean(kind) or t.is_string(kind):
        return (None if v is None else [str(kind), str(v)] for v in column.to_pylist())
    return (None if v is None else [str(kind), v.hex() if isinstance(v, bytes) else str(v)] for v in column.to_pylist())


def _digits(value: Any) -> str:
    """Write a number as digits: the same for 17, 17.0 and Decimal("17.00")."""
    if isinstance(value, int):
        return str(value)
    digits = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
