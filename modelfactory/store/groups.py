"""Read group tables, and what model tables say besides models; pyarrow alone, no Spark and no pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.costs import Measured
from modelfactory.plan.outcomes import GROUP_HASH, OUTCOME, BuildReason, Status
from modelfactory.store.keys import KeyTypeDiffers, rows_with
from modelfactory.store.manifest import Quantiles

Mask = npt.NDArray[np.bool_]
_METRICS = pa.map_(pa.string(), pa.float64())
GROUP_TYPES: Mapping[str, pa.DataType] = {
    "status": pa.string(),
    "n_rows": pa.int64(),
    "n_train": pa.int64(),
    "n_test": pa.int64(),
    "metrics": _METRICS,
    "baseline": _METRICS,
    "fit_seconds": pa.float64(),
    "cpu_seconds": pa.float64(),
    "model_version": pa.int32(),
    "model_bytes": pa.int64(),
    "model_sha256": pa.string(),
    "data_digest": pa.string(),
    "error_type": pa.string(),
    "error": pa.string(),
    "warnings": pa.list_(pa.string()),
    "reason": pa.string(),
    "champion": _METRICS,
    "chosen": pa.string(),
    "candidates": _METRICS,
}
"""Types of the columns of a group table, `GROUP_COLUMNS`, behind those of its key."""


def with_all_columns(groups: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return a group table of any release with the columns of this one, null where it has none.

    Args:
        groups: the table.
        keys: its group columns.
    """
    columns = {key: groups[key] for key in keys}
    for name, kind in GROUP_TYPES.items():
        has = name in groups.column_names
        columns[name] = groups[name].cast(kind) if has else pa.nulls(len(groups), kind)
    return pa.table(columns)


def opened(file: Any) -> Any:
    """Return a file of a store as Parquet's reader takes it: a path as it is, a file at a URL opened.

    Raises:
        OSError: the file at a URL is missing or cannot be reached.
    """
    return file if isinstance(file, Path) else file.open()


def read_groups(files: Sequence[Any], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a group table.

    Args:
        files: its files.
        columns: the columns to read; None for all.

    Raises:
        InputError: a file is missing or damaged.
    """
    wanted = None if columns is None else list(columns)
    try:
        return pa.concat_tables([pq.read_table(opened(file), columns=wanted) for file in files]).combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise input_error(Code.STORE, f"cannot read the group table: {error}") from error


def read_measured(files: Sequence[Any]) -> Measured | None:
    """Read from a model table what the fits took; None if it cannot be read, since it is only a guess of the next."""
    columns = {"group": GROUP_HASH, "rows": "n_train", "seconds": "cpu_seconds"}
    try:
        wanted = [f"{OUTCOME}.{name}" for name in columns.values()]
        tables = [pq.ParquetFile(opened(file)).read(columns=wanted) for file in files]
        outcomes = pa.concat_tables(tables).combine_chunks().flatten()
        found = {key: outcomes[f"{OUTCOME}.{name}"].to_numpy() for key, name in columns.items()}
    except (OSError, KeyError, pa.ArrowInvalid):
        return None
    return Measured(**found)


def served(groups: pa.Table) -> Mask:
    """Return which groups of a group table have a model, shape (g,)."""
    return np.asarray(pc.is_valid(groups["model_version"]).to_numpy())


def in_input(groups: pa.Table) -> Mask:
    """Return which groups of a group table are in the input, shape (g,); the others have vanished.

    Those of a release that kept no vanished groups are all there.
    """
    if "reason" not in groups.column_names:
        return np.ones(len(groups), dtype=bool)
    vanished = pc.equal(groups["reason"], str(BuildReason.VANISHED))
    return ~np.asarray(pc.fill_null(vanished, False).to_numpy())


def has_status(status: pa.ChunkedArray, among: Iterable[Status]) -> pa.ChunkedArray:
    """Tell of each status whether it is one of some."""
    return pc.is_in(status, value_set=pa.array([str(one) for one in among]))


def statuses(status: pa.ChunkedArray) -> dict[str, int]:
    """Return the count of groups by status, in the order of the closed list."""
    counted = counted_texts(status)
    return {str(status): counted[status] for status in Status if status in counted}


def choices(groups: pa.Table) -> dict[str, int]:
    """Return the count of groups by the candidate of a search that their model is, the most frequent first."""
    if "chosen" not in groups.column_names:
        return {}
    counted = counted_texts(groups["chosen"])
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def counted_texts(column: pa.ChunkedArray) -> dict[str, int]:
    """Return how often each text of a column is there."""
    counts = column.drop_null().value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counts}


def metric_quantiles(groups: pa.Table, name: str, metrics: Iterable[str]) -> dict[str, Quantiles]:
    """Return the distribution over groups of metrics, in their order; of those that a group has and that are finite.

    Args:
        groups: a group table.
        name: `metrics` or `baseline`.
        metrics: which.
    """
    result = {}
    maps = groups[name].combine_chunks()
    for metric in metrics:
        values = maps.items.filter(pc.equal(maps.keys, metric))
        if len(values):
            low, q25, median, q75, high = pc.quantile(values, q=[0, 0.25, 0.5, 0.75, 1]).to_pylist()
            if all(math.isfinite(v) for v in (low, high)):
                result[metric] = Quantiles(count=len(values), min=low, q25=q25, median=median, q75=q75, max=high)
    return result


def find_group(table: pa.Table, key: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the row of a group, or None.

    Args:
        table: a group table.
        key: the values of its group columns as text, as `keys.typed` reads them.
    """
    try:
        found = rows_with(table, key)[:1]
    except KeyTypeDiffers:
        return None
    rows = table.take(pa.array(found)).to_pylist(maps_as_pydicts="strict")
    return rows[0] if rows else None
