"""The footer of a Parquet file is read as pyarrow reads it, and as Spark names what is in it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PROJECTS

from modelfactory.commands.parquet import parquet_columns

TYPES = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "decimal(10,2)": pa.decimal128(10, 2),
    "decimal(38,0)": pa.decimal128(38, 0),
    "decimal(20,0)": pa.uint64(),
}
"""Spark's short names, and types that it reads so."""
OTHERS = [
    (pa.uint8(), "smallint"),
    (pa.uint16(), "int"),
    (pa.uint32(), "bigint"),
    (pa.large_string(), "string"),
    (pa.dictionary(pa.int32(), pa.string()), "string"),
    (pa.timestamp("ms", tz="Europe/Berlin"), "timestamp"),
    (pa.timestamp("ns", tz="UTC"), None),
    (pa.time64("us"), None),
    (pa.float16(), None),
    (pa.null(), None),
]
"""Types that Spark reads as it reads others, or that depend on its settings."""


def columns_of(folder: Path, schema: pa.Schema, **options: object) -> dict[str, str | None]:
    pq.write_table(schema.empty_table(), folder / "x.parquet", **options)
    return parquet_columns(folder / "x.parquet")


@pytest.mark.parametrize(("kind", "name"), [*((kind, name) for name, kind in TYPES.items()), *OTHERS], ids=str)
def test_types(tmp_path: Path, kind: pa.DataType, name: str | None) -> None:
    assert columns_of(tmp_path, pa.schema([("x", kind)])) == {"x": name}


def test_timestamps_of_96_bits(tmp_path: Path) -> None:
    schema = pa.schema([("x", pa.timestamp("ns"))])
    assert columns_of(tmp_path, schema, use_deprecated_int96_timestamps=True) == {"x": "timestamp"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.list_(pa.float64()), "array<double>"),
        (pa.list_(pa.list_(pa.int8())), "array<array<tinyint>>"),
        (pa.map_(pa.string(), pa.int32()), "map<string,int>"),
        (pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]), "struct<a:int,b:array<string>>"),
        (pa.list_(pa.time64("us")), None),
    ],
    ids=str,
)
def test_nested_types(tmp_path: Path, kind: pa.DataType, name: str | None) -> None:
    schema = pa.schema([("before", pa.int32()), ("x", kind), ("after", pa.string())])
    assert columns_of(tmp_path, schema) == {"before": "int", "x": name, "after": "string"}


@given(fields=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(list(TYPES))))
def test_names_types_and_order(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str]) -> None:
    schema = pa.schema([(name, TYPES[kind]) for name, kind in fields.items()])
    assert list(columns_of(tmp_path_factory.mktemp("x"), schema).items()) == list(fields.items())


def test_a_wide_file_with_many_row_groups(tmp_path: Path) -> None:
    table = pa.table({f"x{i}": list(range(50)) for i in range(300)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    assert list(parquet_columns(tmp_path / "x.parquet")) == table.column_names


@pytest.mark.parametrize("file", sorted(PROJECTS.rglob("*.parquet")), ids=lambda p: p.name)
def test_the_files_of_the_examples(file: Path) -> None:
    assert list(parquet_columns(file)) == pq.read_schema(file).names


def test_what_is_no_parquet_file(tmp_path: Path) -> None:
    for text in (b"", b"PAR1", b"a,b\n1,2\n" * 9, b"\xff\xff\xff\x00PAR1" * 4):
        (tmp_path / "x").write_bytes(text)
        with pytest.raises(ValueError, match=r"Parquet|footer"):
            parquet_columns(tmp_path / "x")


@given(data=st.data())
def test_a_damaged_footer_is_refused_or_read_but_never_raises_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("x") / "x.parquet"
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), file)
    whole = bytearray(file.read_bytes())
    whole[data.draw(st.integers(-200, -9))] = data.draw(st.integers(0, 255))
    file.write_bytes(whole)
    with contextlib.suppress(ValueError):
        parquet_columns(file)
