"""Cut a sorted stream of Arrow batches into chunks of whole groups, and chunks into groups.

The columns of a batch, by position: the group's identity, the row's hash, the features in their order, then label,
weight and time where the step has them. Rows of a group stand together and are sorted by the row's hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modelfactory.plan.outcomes import digest_text
from modelfactory.plan.steps import FitStep

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows of one group.

    Attributes:
        group: identity of the group.
        row_hash: hash of each row's content, rising, shape (n,).
        columns: features by column, shape (p, n); None where the step wants a frame.
        frame: features as a DataFrame of n rows; None where the step wants a matrix.
        label: shape (n,), or None.
        weight: shape (n,), or None.
        time: seconds or the column's own number, shape (n,), or None.
    """

    group: int
    row_hash: npt.NDArray[np.int64]
    columns: Floats | None
    frame: pd.DataFrame | None
    label: npt.NDArray[Any] | None
    weight: Floats | None
    time: Floats | None

    def __len__(self) -> int:
        return len(self.row_hash)

    def digest(self) -> str:
        """Return the digest of the rows, as the census writes it."""
        hashes = self.row_hash.view(np.uint64)
        return digest_text(
            len(hashes), int((hashes >> np.uint64(32)).sum()), int((hashes & np.uint64(0xFFFFFFFF)).sum())
        )

    def features(self, rows: Rows | None = None) -> Any:
        """Return the features of all or some rows, shape (n, p).

        A matrix is laid out column by column, as scikit-learn finds it in a DataFrame of numbers, so that both
        give the same sums to the last bit.
        """
        if self.frame is not None:
            return self.frame if rows is None else self.frame.iloc[rows]
        if self.columns is None:
            raise AssertionError("a group has a matrix or a frame")
        return self.columns.T if rows is None else np.take(self.columns, rows, axis=1).T


def whole_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Regroup a stream sorted by group so that no group is cut."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        groups = batch.column(0).to_numpy()
        if held and held[-1].column(0)[0].as_py() != groups[0]:
            yield _joined(held)
            held = []
        last = int(np.flatnonzero(groups != groups[-1])[-1]) + 1 if groups[0] != groups[-1] else 0
        if last:
            yield _joined([*held, batch.slice(0, last)])
            held = []
        held.append(batch.slice(last))
    if held:
        yield _joined(held)


def split_groups(step: FitStep, chunk: pa.RecordBatch) -> Iterator[GroupRows]:
    """Yield the groups of a chunk of whole groups."""
    ids = chunk.column(0).to_numpy()
    starts = np.concatenate(([0], np.flatnonzero(ids[1:] != ids[:-1]) + 1, [len(ids)]))
    hashes = chunk.column(1).to_numpy()
    p = len(step.features)
    columns = _matrix(chunk, p) if step.container == "matrix" else None
    frame = _frame(step, chunk) if step.container == "frame" else None
    rest = iter(range(2 + p, chunk.num_columns))
    label = chunk.column(next(rest)).to_numpy(zero_copy_only=False) if step.has_label else None
    weight = _floats(chunk.column(next(rest))) if step.has_weight else None
    time = _floats(chunk.column(next(rest))) if step.has_time else None
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield GroupRows(
            group=int(ids[start]),
            row_hash=hashes[start:end],
            columns=None if columns is None else columns[:, start:end].copy(),
            frame=None if frame is None else frame.iloc[start:end].reset_index(drop=True),
            label=None if label is None else label[start:end],
            weight=None if weight is None else weight[start:end],
            time=None if time is None else time[start:end],
        )


def _matrix(chunk: pa.RecordBatch, p: int) -> Floats:
    columns = np.empty((p, chunk.num_rows))
    for i in range(p):
        columns[i] = _floats(chunk.column(2 + i))
    return columns


def _frame(step: FitStep, chunk: pa.RecordBatch) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for i, feature in enumerate(step.features):
        column = chunk.column(2 + i)
        numeric = feature.kind == "numeric"
        data[feature.name] = _floats(column) if numeric else column.to_numpy(zero_copy_only=False)
    return pd.DataFrame(data)


def _floats(column: pa.Array) -> Floats:
    """Return a column of doubles; null becomes NaN."""
    found: Floats = column.to_numpy(zero_copy_only=False)
    return found


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
