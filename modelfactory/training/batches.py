"""Cut a stream of Arrow batches into chunks of whole groups, and chunks into groups.

The columns of a batch, by position: the group's identity, the row's hash, the features in their order, then label,
weight and time where the step has them. Rows of a group stand together, in any order; here they are sorted by the
row's hash.
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
Hashes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

_FINITE = float(np.finfo(np.float32).max)
"""Above it, a number is infinite to the estimators that work with 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The rows of some groups, group after group, sorted by hash inside each.

    Features stay in the order in which they arrived, in Arrow's memory where that can be, and are gathered when they
    are needed: a group's matrix exists once.

    Attributes:
        groups: identity of each group, shape (g,).
        bounds: the rows of group i are `bounds[i]` to `bounds[i + 1]`, shape (g + 1,).
        digests: digest of each group's rows, as the census writes it.
        row_hash: hash of each row's content, rising inside a group, shape (n,).
        label: shape (n,), or None.
        weight: shape (n,), or None.
        time: seconds or the column's own number, shape (n,), or None.
        arrived: where the features of each row are, shape (n,).
        columns: features as they arrived, p columns of n; None where the step wants a frame.
        frame: features as they arrived; None where the step wants a matrix.
    """

    groups: Hashes
    bounds: Rows
    digests: list[str]
    row_hash: Hashes
    label: npt.NDArray[Any] | None
    weight: Floats | None
    time: Floats | None
    arrived: Rows
    columns: Floats | list[Floats] | None
    frame: pd.DataFrame | None

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def n_rows(self) -> Rows:
        """Rows of each group, shape (g,)."""
        return np.diff(self.bounds)

    def finite(self) -> Bools:
        """Return which groups are known to have no number that is missing or beyond 32 bits, shape (g,)."""
        if self.columns is None:  # nobody has looked into the frame
            return np.zeros(len(self), dtype=bool)
        kept = np.ones(len(self.row_hash), dtype=bool)
        for column in self.columns:
            kept &= np.abs(column) <= _FINITE
        kept = kept[self.arrived]
        for values in (self.label, self.weight):
            if values is not None and values.dtype.kind == "f":
                kept &= np.abs(values) <= _FINITE
        return np.logical_and.reduceat(kept, self.bounds[:-1])

    def group(self, index: int) -> GroupRows:
        """Return the rows of one group."""
        rows = slice(self.bounds[index], self.bounds[index + 1])
        return GroupRows(
            group=int(self.groups[index]),
            digest=self.digests[index],
            row_hash=self.row_hash[rows],
            label=None if self.label is None else self.label[rows],
            weight=None if self.weight is None else self.weight[rows],
            time=None if self.time is None else self.time[rows],
            arrived=self.arrived[rows],
            columns=self.columns,
            frame=self.frame,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRows:
    """The rows of one group; attributes as those of `Chunk`."""

    group: int
    digest: str
    row_hash: Hashes
    label: npt.NDArray[Any] | None
    weight: Floats | None
    time: Floats | None
    arrived: Rows
    columns: Floats | list[Floats] | None
    frame: pd.DataFrame | None

    def __len__(self) -> int:
        return len(self.row_hash)

    def features(self, rows: Rows | None = None) -> Any:
        """Return the features of all or some rows, shape (n, p), in memory of their own.

        A matrix is laid out column by column, as scikit-learn finds it in a DataFrame of numbers, so that both
        give the same sums to the last bit.
        """
        arrived = self.arrived if rows is None else self.arrived[rows]
        if self.frame is not None:
            return self.frame.take(arrived).reset_index(drop=True)
        if isinstance(self.columns, np.ndarray):
            return np.take(self.columns, arrived, axis=1).T
        if self.columns is None:
            raise AssertionError("a group has a matrix or a frame")
        gathered = np.empty((len(self.columns), len(arrived)))
        for i, column in enumerate(self.columns):
            gathered[i] = column[arrived]
        return gathered.T


def whole_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Regroup a stream, in which the rows of each group stand together, so that no group is cut."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        groups = batch.column(0).to_numpy()
        last = int(np.flatnonzero(groups != groups[-1])[-1]) + 1 if groups[0] != groups[-1] else 0
        if last or (held and held[-1].column(0)[0].as_py() != groups[0]):
            yield pa.Table.from_batches([*held, batch.slice(0, last)])
            held = []
        held.append(batch.slice(last))
    if held:
        yield pa.Table.from_batches(held)


@dataclass(frozen=True, slots=True)
class GroupIdentity:
    """What an outcome says of a group that was not fitted; attributes as those of `GroupRows`."""

    group: int
    digest: str


def identities(table: pa.Table) -> list[GroupIdentity]:
    """Return the identities of a table's groups, without a look at their features."""
    bounds = group_bounds(table)
    groups = table.column(0).to_numpy()[bounds[:-1]].tolist()
    return list(map(GroupIdentity, groups, _digests(table.column(1).to_numpy(), bounds)))


def group_bounds(table: pa.Table) -> Rows:
    """Return where the groups of a table begin, and where the last ends, shape (g + 1,)."""
    ids = table.column(0).to_numpy()
    return np.concatenate(([0], np.flatnonzero(ids[1:] != ids[:-1]) + 1, [len(ids)]))


def read_chunk(step: FitStep, table: pa.Table) -> Chunk:
    """Read a table of whole groups."""
    ids, hashes = table.column(0).to_numpy(), table.column(1).to_numpy()
    bounds = group_bounds(table)
    arrived = _order(hashes, bounds)
    p = len(step.features)
    rest = iter(range(2 + p, table.num_columns))
    label = table.column(next(rest)).to_numpy()[arrived] if step.has_label else None
    weight = _floats(table.column(next(rest)))[arrived] if step.has_weight else None
    time = _floats(table.column(next(rest)))[arrived] if step.has_time else None
    columns: Floats | list[Floats] | None = None
    if step.container == "matrix":
        columns = [_floats(table.column(2 + i)) for i in range(p)]
        if len(bounds) > 2:  # one gather for all columns is much faster for small groups
            columns = np.stack(columns)
    return Chunk(
        groups=ids[bounds[:-1]],
        bounds=bounds,
        digests=_digests(hashes, bounds),
        row_hash=hashes[arrived],
        label=label,
        weight=weight,
        time=time,
        arrived=arrived,
        columns=columns,
        frame=_frame(step, table) if step.container == "frame" else None,
    )


def _order(hashes: Hashes, bounds: Rows) -> Rows:
    """Return the order that sorts the rows of each group by hash.

    The number of the group and the leading bits of the hash make one number, whose sort is several times faster
    than one by two keys; only where two hashes of a group share those bits, it takes two keys.
    """
    numbers = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    bits = (len(bounds) - 2).bit_length()
    rising = hashes.view(np.uint64) ^ np.uint64(1 << 63)
    if bits:
        rising = numbers.astype(np.uint64) << np.uint64(64 - bits) | rising >> np.uint64(bits)
    order = np.argsort(rising, kind="stable")
    ordered, kept = rising[order], hashes[order]
    if ((ordered[1:] == ordered[:-1]) & (kept[1:] < kept[:-1])).any():
        order = np.lexsort((hashes, numbers))
    return order


def _digests(hashes: Hashes, bounds: Rows) -> list[str]:
    unsigned = hashes.view(np.uint64)
    high = np.add.reduceat(unsigned >> np.uint64(32), bounds[:-1])
    low = np.add.reduceat(unsigned & np.uint64(0xFFFFFFFF), bounds[:-1])
    return list(map(digest_text, np.diff(bounds).tolist(), high.tolist(), low.tolist()))


def _frame(step: FitStep, table: pa.Table) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for i, feature in enumerate(step.features):
        column = table.column(2 + i)
        data[feature.name] = _floats(column) if feature.kind == "numeric" else column.to_numpy()
    return pd.DataFrame(data)


def _floats(column: pa.ChunkedArray) -> Floats:
    """Return a column of doubles; null becomes NaN."""
    found: Floats = column.to_numpy()
    return found
