"""Find groups by the values of their key: whole columns at once, null equal to null, numbers by value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as t

Index = npt.NDArray[np.int64]
_NOWHERE = -1


class KeyTypeDiffers(Exception):
    """Values of a key are of a type that cannot be compared with that of the groups.

    Attributes:
        given: type of the values.
        wanted: type of the groups' column.
    """

    def __init__(self, given: pa.DataType, wanted: pa.DataType) -> None:
        super().__init__(f"{given} cannot be compared with {wanted}")
        self.given = given
        self.wanted = wanted


def places(wanted: Sequence[pa.Array], among: Sequence[pa.Array]) -> Index:
    """Return where keys stand among others.

    Args:
        wanted: the group columns of the keys to find, each of shape (n,).
        among: the same columns of the keys to find them in, each of shape (g,); no two keys are equal.

    Returns:
        For each key its place, -1 where it is not there, shape (n,).

    Raises:
        KeyTypeDiffers: columns cannot be compared; `args` tell which types.
    """
    if not wanted:
        raise AssertionError("a key has at least one column")
    found, known = _codes(wanted[0], among[0])
    for column, others in zip(wanted[1:], among[1:], strict=True):
        right, right_known = _codes(column, others)
        size = int(right_known.max(initial=0)) + 1
        # Renumbered after each column, the codes stay as small as there are keys.
        found, known = _renumbered(
            np.where((found < 0) | (right < 0), _NOWHERE, found * size + right), known * size + right_known
        )
    at = np.full(int(known.max(initial=0)) + 1, _NOWHERE, dtype=np.int64)
    at[known] = np.arange(len(known))
    return np.where(found < 0, _NOWHERE, at[found])


def place(wanted: Sequence[pa.Array], among: Sequence[pa.Array]) -> int:
    """Return where one key stands among others, -1 if nowhere: as `places`, without numbers for all others.

    Args:
        wanted: the key's value in each group column, each of shape (1,).
        among: the same columns of the keys to find it in.

    Raises:
        KeyTypeDiffers: columns cannot be compared.
    """
    same = None
    for column, others in zip(wanted, among, strict=True):
        value, known, valid = _comparable(_plain(column), _plain(others))
        equal = pc.is_null(known) if value[0].as_py() is None else pc.equal(known, value[0])
        if valid is not None and not valid[0]:
            return _NOWHERE
        same = equal if same is None else pc.and_(same, equal)
    return int(pc.index(same, True).as_py())


def _codes(wanted: pa.Array, among: pa.Array) -> tuple[Index, Index]:
    """Return a number for each value of both, the same for equal ones; -1 where one is not among the others."""
    wanted, among, valid = _comparable(_plain(wanted), _plain(among))
    distinct = among.unique()
    known = pc.index_in(among, value_set=distinct).to_numpy(zero_copy_only=False).astype(np.int64)
    found = pc.index_in(wanted, value_set=distinct).fill_null(_NOWHERE).to_numpy(zero_copy_only=False)
    found = found.astype(np.int64)
    return (found if valid is None else np.where(valid, found, _NOWHERE)), known


def _renumbered(found: Index, known: Index) -> tuple[Index, Index]:
    distinct, codes = np.unique(known, return_inverse=True)
    place = np.minimum(np.searchsorted(distinct, found), len(distinct) - 1)
    there = distinct[place] == found if len(distinct) else np.zeros(len(found), dtype=bool)
    return np.where(there, place, _NOWHERE), codes.astype(np.int64)


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if t.is_dictionary(column.type):
        column = column.dictionary_decode()
    if t.is_large_string(column.type) or t.is_string_view(column.type):
        column = column.cast(pa.string())
    if t.is_floating(column.type):  # NaN is how pandas writes null
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def _comparable(wanted: pa.Array, among: pa.Array) -> tuple[pa.Array, pa.Array, npt.NDArray[np.bool_] | None]:
    """Return two columns in one type, and which of the first could be written in it; None for all."""
    given, own = wanted.type, among.type
    if given == own or t.is_null(given):
        return wanted.cast(own), among, None
    if t.is_integer(given) and t.is_integer(own):
        return _both(wanted, among, pa.int64() if given != pa.uint64() else pa.decimal128(20))
    if _is_number(given) and _is_number(own):
        return _both(wanted, among, pa.float64())
    if t.is_date(given) and t.is_date(own):
        return _both(wanted, among, pa.date32())
    if t.is_temporal(given) and t.is_temporal(own) and t.is_timestamp(given) != t.is_timestamp(own):
        return _both(wanted, among, pa.timestamp("us"))
    if t.is_timestamp(given) and t.is_timestamp(own) and (given.tz is None) == (own.tz is None):
        kind = pa.timestamp("us", own.tz)
        exact = wanted.cast(kind, safe=False)
        same = pc.equal(exact.cast(given, safe=False), wanted).fill_null(True).to_numpy(zero_copy_only=False)
        return exact, among.cast(kind), same
    raise KeyTypeDiffers(given, own)


def _both(wanted: pa.Array, among: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array, None]:
    return wanted.cast(kind, safe=not t.is_floating(kind)), among.cast(kind, safe=not t.is_floating(kind)), None


def _is_number(kind: pa.DataType) -> bool:
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))
