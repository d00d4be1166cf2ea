"""Write a Parquet file anew without some of its rows; whatever else it has stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.groups import opened
from modelfactory.store.places import Place

_ARROW_SCHEMA = b"ARROW:schema"


def write_without(place: Place, name: str, rows: npt.NDArray[np.int64], to: str) -> None:
    """Write a copy of a Parquet file that lacks some rows, with the same columns, row groups and encodings.

    No more than one row group is in memory. One that loses all its rows is left out.

    Args:
        place: where both are.
        name: the file.
        rows: numbers of the rows to leave out, in any order.
        to: the copy.

    Raises:
        InputError: the file cannot be read, or the copy cannot be written.
    """
    keep: npt.NDArray[np.bool_]
    try:
        file = pq.ParquetFile(opened(place.source(name)))
        metadata = file.metadata
        options = _options(metadata)
        known = {_ARROW_SCHEMA, *(file.schema_arrow.metadata or {})} if options["store_schema"] else set()
        told = {key: value for key, value in (metadata.metadata or {}).items() if key not in known}
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(place, name, error) from error
    start = 0
    with place.writing(to) as out, pq.ParquetWriter(out, file.schema_arrow, **options) as writer:
        writer.add_key_value_metadata(told)
        for number in range(metadata.num_row_groups):
            n = metadata.row_group(number).num_rows
            keep = np.ones(n, dtype=bool)
            keep[rows[(rows >= start) & (rows < start + n)] - start] = False
            if keep.any():
                try:
                    table = file.read_row_group(number, use_threads=False)
                except (OSError, pa.ArrowException) as error:
                    raise _unreadable(place, name, error) from error
                writer.write_table(table.filter(pa.array(keep)), row_group_size=n)
            start += n


def _options(metadata: Any) -> dict[str, Any]:
    """Return how a file was written, as far as its first row group tells: Spark's writer and pyarrow's differ."""
    first = metadata.row_group(0)
    columns = [first.column(number) for number in range(first.num_columns)]
    return {
        "compression": {column.path_in_schema: column.compression for column in columns},
        "use_dictionary": [column.path_in_schema for column in columns if column.has_dictionary_page],
        "write_statistics": [column.path_in_schema for column in columns if column.is_stats_set],
        "store_schema": _ARROW_SCHEMA in (metadata.metadata or {}),
        "store_decimal_as_integer": any(
            column.logical_type.type == "DECIMAL" and column.physical_type in ("INT32", "INT64")
            for column in map(metadata.schema.column, range(first.num_columns))
        ),
    }


def _unreadable(place: Place, name: str, error: Exception) -> Exception:
    return input_error(Code.STORE, f"cannot read the file: {error}", file=place.shown(name))
