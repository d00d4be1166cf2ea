"""Read model tables: where the models of a version are, and the bytes of those that are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, input_error
from modelfactory.store.groups import opened
from modelfactory.store.keys import KeyIndex

Index = npt.NDArray[np.int64]
_BYTES = ("model", "format", "sha256")


@dataclass(frozen=True)
class ModelTable:
    """The model table of one version, of which keys and places are known and no model is read yet.

    Attributes:
        files: its files.
        footers: what stands at the end of each.
        keys: the group columns of all models, in the order of the files.
        starts: number of the first model of each row group, and behind the last of all, shape (r + 1,).
        parts: file and row group of each of these.
    """

    files: Sequence[Any]
    footers: Sequence[Any]
    keys: pa.Table
    starts: Index
    parts: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def index(self) -> KeyIndex:
        """Finds the number of a model by its key."""
        return KeyIndex(self.keys.columns)

    def read(self, rows: Index) -> Iterator[tuple[Index, pa.Table]]:
        """Yield models by their numbers, row group by row group; only those row groups are read that hold any.

        Args:
            rows: numbers of the models, in any order.

        Yields:
            Some of the numbers, and a table of their `model`, `format` and `sha256` in the same order.

        Raises:
            InputError: a file is missing or damaged.
        """
        rows = np.sort(rows)
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        for part in np.unique(part_of).tolist():
            inside = rows[part_of == part]
            file, group = self.parts[part]
            with _told():
                reader = pq.ParquetFile(opened(self.files[file]), metadata=self.footers[file])
                table = reader.read_row_group(group, columns=list(_BYTES), use_threads=False)
            yield inside, table.take(pa.array(inside - self.starts[part]))


def open_models(files: Sequence[Any], keys: Sequence[str]) -> ModelTable:
    """Open a model table and read its keys.

    Args:
        files: its files.
        keys: the group columns.

    Raises:
        InputError: a file is missing or damaged.
    """
    footers, found, sizes, parts = [], [], [], []
    with _told():
        for number, file in enumerate(files):
            reader = pq.ParquetFile(opened(file))
            footers.append(reader.metadata)
            found.append(reader.read(columns=list(keys), use_threads=False).select(list(keys)))
            for group in range(reader.metadata.num_row_groups):
                sizes.append(reader.metadata.row_group(group).num_rows)
                parts.append((number, group))
    table = pa.concat_tables(found).combine_chunks() if found else pa.table({})
    return ModelTable(files, footers, table, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))), parts)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what Parquet's reader raises into a message."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise input_error(Code.STORE, f"cannot read the model table: {error}") from error
