"""Keys are found by value, as a dict of Python tuples finds them."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfactory.store.keys import KeyIndex, KeyTypeDiffers, key_texts, rows_with

DAYS = st.dates(dt.date(1600, 1, 1), dt.date(2400, 1, 1))
MOMENTS = st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(2400, 1, 1))
UTC = pa.timestamp("us", "UTC")
WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(12, 2))
"""Types that hold small whole numbers."""
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()))
KINDS: dict[str, tuple[tuple[pa.DataType, ...], st.SearchStrategy[Any]]] = {
    "whole": (WHOLE, st.integers(-9, 9)),
    "big": ((pa.int64(),), st.integers(-(2**63), 2**63 - 1)),
    "text": (TEXTS, st.text("aé/.\0", max_size=3)),
    "truth": ((pa.bool_(),), st.booleans()),
    "day": ((pa.date32(), pa.date64(), pa.timestamp("us"), pa.timestamp("s")), DAYS),
    "moment": ((pa.timestamp("us"),), MOMENTS),
    "zoned": ((UTC, pa.timestamp("us", "Europe/Berlin")), MOMENTS.map(lambda m: m.replace(tzinfo=dt.UTC))),
    "double": ((pa.float64(),), st.floats(allow_nan=False)),
    "decimal": ((pa.decimal128(20, 3), pa.decimal256(40, 5)), st.decimals(-(10**9), 10**9, places=3)),
}


def column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Write values in a type; a dictionary or a decimal takes some steps."""
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    if pa.types.is_decimal(kind):
        values = [None if value is None else Decimal(value) for value in values]
    if pa.types.is_timestamp(kind) and values and any(type(value) is dt.date for value in values):
        return pa.array(values, pa.date32()).cast(kind)
    return pa.array(values, kind)


@st.composite
def keys_in_two_tables(draw: st.DrawFn) -> tuple[list[pa.Array], list[pa.Array], list[int]]:
    """Groups, keys to find among them, and where they are."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3))
    row = st.tuples(*(st.none() | KINDS[name][1] for name in names))
    groups = draw(st.lists(row, max_size=12, unique=True))
    wanted = draw(st.lists(st.sampled_from(groups) | row if groups else row, max_size=20))
    there = {key: place for place, key in enumerate(groups)}

    def columns(rows: list[tuple[Any, ...]]) -> list[pa.Array]:
        kinds = [draw(st.sampled_from(KINDS[name][0])) for name in names]
        return [column([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]

    return columns(groups), columns(wanted), [there.get(key, -1) for key in wanted]


@settings(deadline=None)
@given(keys_in_two_tables())
def test_keys_are_found_as_a_dict_finds_them(sample: tuple[list[pa.Array], list[pa.Array], list[int]]) -> None:
    groups, wanted, there = sample
    index = KeyIndex(groups)
    assert index.places(wanted).tolist() == there
    for i, place in enumerate(there):  # one key is found in another way than many
        assert index.places([part.slice(i, 1) for part in wanted]).tolist() == [place]


def found(groups: pa.Array, wanted: pa.Array) -> list[int]:
    together = KeyIndex([groups]).places([wanted]).tolist()
    alone = [int(KeyIndex([groups]).places([wanted.slice(i, 1)])[0]) for i in range(len(wanted))]
    assert together == alone
    return together


@pytest.mark.parametrize(
    ("groups", "wanted", "places"),
    [
        (pa.array([2**53, 2**53 + 1]), pa.array([float(2**53), 0.5, math.inf]), [0, -1, -1]),
        (pa.array([float(2**53)]), pa.array([2**53 + 1, 2**53, None]), [-1, 0, -1]),
        (pa.array([1, 2], pa.int8()), pa.array([257, 2, 2**62]), [-1, 1, -1]),
        (pa.array([-1, 5]), pa.array([2**64 - 1, 5], pa.uint64()), [-1, 1]),
        (pa.array([0.0, None]), pa.array([-0.0, math.nan, None]), [0, 1, 1]),
        (pa.array([math.nan, 1.5]), pa.array([None, 1.5]), [0, 1]),
        (
            pa.array([Decimal(10**20 + 1), Decimal(10**20 + 2)]),
            pa.array([Decimal(10**20 + 2), Decimal(10**20)], pa.decimal128(38, 6)),
            [1, -1],
        ),
        (pa.array([Decimal("1.10")]), pa.array([1.1, 1.101, 1e300, -math.inf]), [0, -1, -1, -1]),
        (pa.array([Decimal("0.50"), Decimal("2.00")]), pa.array([2, 1, 2**62]), [1, -1, -1]),
        (pa.array([3]), pa.array([Decimal("3.0"), Decimal("3.5"), Decimal("1e30")]), [0, -1, -1]),
        (
            pa.array([dt.date(2024, 5, 1)]),
            pa.array([dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 1, 0, 0, 1)], pa.timestamp("ns")),
            [0, -1],
        ),
        (pa.array([dt.datetime(2024, 5, 1, 12)]), pa.array([dt.date(2024, 5, 1)]), [-1]),
        (
            pa.array([dt.datetime(2024, 5, 1)], pa.timestamp("us")),
            pa.array([1714521600000000000, 1714521600000000001], pa.timestamp("ns")),
            [0, -1],
        ),
        (pa.array([], pa.int64()), pa.array([1, None]), [-1, -1]),
        (pa.array(["a", None]), pa.nulls(2), [1, 1]),
        (pa.array(["a", None]), pa.array([math.nan, None]), [1, 1]),
        (pa.array([1]), pa.array([], pa.string()), []),
        (pa.array([1.5, None, math.nan]), pa.array([math.nan, None, 1.5]), [1, 1, 0]),
    ],
    ids=str,
)
def test_numbers_and_moments_are_equal_by_value(groups: pa.Array, wanted: pa.Array, places: list[int]) -> None:
    assert found(groups, wanted) == places


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        (pa.array([1]), pa.array(["1"])),
        (pa.array(["1"]), pa.array([1])),
        (pa.array([True]), pa.array([1])),
        (pa.array([1]), pa.array([True])),
        (pa.array(["2024-05-01"]), pa.array([dt.date(2024, 5, 1)])),
        (pa.array([dt.datetime(2024, 5, 1)], UTC), pa.array([dt.datetime(2024, 5, 1)], pa.timestamp("us"))),
        (pa.array([dt.datetime(2024, 5, 1)], UTC), pa.array([dt.date(2024, 5, 1)])),
        (pa.array([dt.date(2024, 5, 1)]), pa.array([19844])),
        (pa.array([1]), pa.array([[1]])),
        (pa.array(["a"]), pa.array([b"a"])),
    ],
    ids=str,
)
def test_types_that_are_no_kin_are_not_compared(groups: pa.Array, wanted: pa.Array) -> None:
    for values in (wanted, pa.concat_arrays([wanted, wanted])):
        with pytest.raises(KeyTypeDiffers):
            KeyIndex([groups]).places([values])


def test_keys_in_chunks_and_slices_are_found() -> None:
    groups = pa.chunked_array([pa.array([1, 2]), pa.array([], pa.int64()), pa.array([3])])
    wanted = pa.chunked_array([pa.array([9, 3, 1]).slice(1), pa.array([2])])
    assert KeyIndex([groups]).places([wanted]).tolist() == [2, 0, 1]


def test_many_columns_of_many_values_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    columns = [pa.array(rng.integers(-(2**63), 2**63 - 1, 5_000)) for _ in range(8)]
    assert (KeyIndex(columns).places(columns) == np.arange(5_000)).all()


# As text --------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(keys_in_two_tables())
def test_keys_that_are_found_are_written_alike(sample: tuple[list[pa.Array], list[pa.Array], list[int]]) -> None:
    groups, wanted, there = sample
    written = key_texts(groups)
    places = {text: place for place, text in enumerate(written)}
    assert [places.get(text, -1) for text in key_texts(wanted)] == there


@pytest.mark.parametrize(
    "columns",
    [
        (pa.array([17]), pa.array([17.0]), pa.array([Decimal("17.00")]), pa.array([17], pa.uint64())),
        (pa.array([0.1]), pa.array([Decimal("0.10")])),
        (pa.array([10**22], pa.decimal128(38, 0)), pa.array([1e22])),
        (pa.array([0.0]), pa.array([-0.0]), pa.array([0])),
        (pa.array([math.nan]), pa.array([None], pa.float64()), pa.array([None], pa.string())),
        (pa.array([dt.date(2024, 5, 1)]), pa.array([dt.datetime(2024, 5, 1)], pa.timestamp("ns"))),
    ],
)
def test_equal_values_of_any_type_are_written_alike(columns: tuple[pa.Array, ...]) -> None:
    assert len({key_texts([column])[0] for column in columns}) == 1


def test_other_values_and_other_kinds_are_written_otherwise() -> None:
    columns = [pa.array(["17"]), pa.array([17]), pa.array([b"17"]), pa.array([True]), pa.array(["null"]), pa.nulls(1)]
    moments = [pa.array([0], kind) for kind in (pa.timestamp("us"), UTC)]
    texts = [key_texts([column])[0] for column in [*columns, *moments]]
    assert len(set(texts)) == len(texts)
    assert key_texts([pa.array(["a"]), pa.array(["b"])]) != key_texts([pa.array(['a", "b']), pa.array([None], "str")])


@given(st.data())
def test_a_value_that_is_written_as_text_finds_its_rows(data: st.DataObject) -> None:
    kinds, values = KINDS[data.draw(st.sampled_from(["whole", "big", "text", "truth", "moment", "zoned", "double"]))]
    kind = data.draw(st.sampled_from(kinds))
    rows = data.draw(st.lists(st.none() | values, min_size=1, max_size=6))
    table = pa.table({"k": column(rows, kind)})
    wanted = data.draw(st.sampled_from(rows))
    text = "null" if wanted is None else str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    if text == "null" and wanted is not None:
        return
    assert rows_with(table, {"k": text}).tolist() == [i for i, row in enumerate(rows) if row == wanted]


@pytest.mark.parametrize("text", ["x", "1.5", "", "9" * 30])
def test_a_text_that_is_no_value_of_the_type_is_told(text: str) -> None:
    with pytest.raises(KeyTypeDiffers, match=f"`{text}` is no value of type int32"):
        rows_with(pa.table({"k": pa.array([1], pa.int32())}), {"k": text})
