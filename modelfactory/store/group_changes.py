"""Compare the group tables of two versions: by group and by metric, on columns, never group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.plan.metrics import METRICS
from modelfactory.store.filters import column, metric_names
from modelfactory.store.groups import served

SHOWN = 10
"""Groups of a kind that are named."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """How many groups had one status and have another, or the same; None where a version does not have the group."""

    old: str | None
    new: str | None
    groups: int


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric in two versions.

    Attributes:
        name: its name.
        higher_is_better: its direction; None of a metric that this release does not know.
        compared: groups that have it in both.
        better: of these, how many it is better of.
        worse: the same.
        equal: the same.
        old_median: median over all groups that had it; None if none had.
        new_median: median over all groups that have it.
    """

    name: str
    higher_is_better: bool | None
    compared: int
    better: int
    worse: int
    equal: int
    old_median: float | None
    new_median: float | None


@dataclass(frozen=True, slots=True)
class MovedGroup:
    """A group whose metric moved far: its key, the metric in both versions, and the rows that it had in both."""

    key: Mapping[str, Any]
    old: float
    new: float
    old_rows: int
    new_rows: int


@dataclass(frozen=True, slots=True)
class LostGroup:
    """A group that had a model and has none: its key, its statuses, and what was said of it."""

    key: Mapping[str, Any]
    old: str
    new: str
    error: str | None


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """How the groups of two versions differ.

    Attributes:
        old: groups that were.
        new: groups that are.
        gained: groups of both that have a model and had none.
        lost: groups of both that had a model and have none.
        added: groups that were not.
        vanished: groups that are no more.
        same_rows: groups of both with the same rows.
        statuses: all groups by what they were and are, most first.
        metrics: all metrics of either, the first of the definition first.
        by: the metric that the groups are ranked by: the first that both versions have.
        worst: groups that lost most in it, worst first.
        best: groups that gained most in it, best first.
        without: groups that lost their model; the first of the new table.
    """

    old: int
    new: int
    gained: int
    lost: int
    added: int
    vanished: int
    same_rows: int
    statuses: tuple[StatusChange, ...]
    metrics: tuple[MetricChange, ...]
    by: str | None
    worst: tuple[MovedGroup, ...]
    best: tuple[MovedGroup, ...]
    without: tuple[LostGroup, ...]

    @property
    def differ(self) -> bool:
        """Whether a group came or went, has another status, or another value of a metric."""
        return any(change.old != change.new for change in self.statuses) or any(
            m.compared != m.equal or m.old_median != m.new_median for m in self.metrics
        )


def compare_groups(old: pa.Table, new: pa.Table, keys: Sequence[str], *, metrics: Sequence[str] = ()) -> GroupChanges:
    """Compare two group tables.

    Args:
        old: that of the one version.
        new: that of the other.
        keys: the group columns, of both; a null is a key like any other.
        metrics: names of metrics in the order in which they count; others come behind.
    """
    before = matched_rows(old, new, keys)
    both = np.flatnonzero(before >= 0)
    pairs = before[both], both
    gone = np.ones(old.num_rows, bool)
    gone[pairs[0]] = False
    had, have = served(old)[pairs[0]], served(new)[pairs[1]]
    in_old, in_new = metric_names(old), metric_names(new)
    names = dict.fromkeys(name for name in [*metrics, *in_new, *in_old] if name in {*in_old, *in_new})
    values = {name: (_metric(old, name, in_old), _metric(new, name, in_new)) for name in names}
    changes = {name: _metric_change(name, *values[name], *pairs) for name in names}
    by = next((name for name, m in changes.items() if m.compared and m.higher_is_better is not None), None)
    gains = np.empty(0) if by is None else _gains(*values[by], *pairs, higher_is_better=METRICS[by].higher_is_better)

    def ranked(order: npt.NDArray[np.float64]) -> tuple[MovedGroup, ...]:
        first = np.argsort(-order, kind="stable")[:SHOWN]
        first = first[order[first] > 0]
        return () if by is None else _moved(old, new, keys, *values[by], pairs[0][first], pairs[1][first])

    without = np.flatnonzero(had & ~have)[:SHOWN]
    return GroupChanges(
        old=old.num_rows,
        new=new.num_rows,
        gained=int((~had & have).sum()),
        lost=int((had & ~have).sum()),
        added=int((before < 0).sum()),
        vanished=int(gone.sum()),
        same_rows=_same_rows(old, new, *pairs),
        statuses=_statuses(old, new, before, np.flatnonzero(gone)),
        metrics=tuple(changes.values()),
        by=by,
        worst=ranked(-gains),
        best=ranked(gains),
        without=_lost(old, new, keys, pairs[0][without], pairs[1][without]),
    )


Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def matched_rows(old: pa.Table, new: pa.Table, keys: Sequence[str]) -> Rows:
    """Return for each row of the new table the row of the same group in the old one, or -1."""
    codes = np.zeros(old.num_rows + new.num_rows, np.int64)
    for key in keys:
        values = pa.concat_arrays([c for half in _alike(old[key], new[key]) for c in half.chunks])
        index = values.dictionary_encode(null_encoding="encode").indices.to_numpy()
        codes = np.unique(codes * (index.max(initial=0) + 1) + index, return_inverse=True)[1]
    rows = np.full(codes.max(initial=-1) + 1, -1, np.int64)
    rows[codes[: old.num_rows]] = np.arange(old.num_rows)
    return rows[codes[old.num_rows :]]


def _alike(old: pa.ChunkedArray, new: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return two columns in one type: that of the new, or text where the old is of another kind."""
    try:
        return old.cast(new.type), new
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return old.cast(pa.string()), new.cast(pa.string())


def _metric(table: pa.Table, name: str, known: Sequence[str]) -> Values:
    """Return a metric of each row; NaN where there is none."""
    if name not in known:
        return np.full(table.num_rows, np.nan)
    values: Values = column(table, f"metrics.{name}").to_numpy()
    return values


def _metric_change(name: str, old: Values, new: Values, was: Rows, now: Rows) -> MetricChange:
    metric = METRICS.get(name)
    before, after = old[was], new[now]
    compared = ~(np.isnan(before) | np.isnan(after))
    more, less = int((after > before).sum()), int((after < before).sum())
    better, worse = (more, less) if metric and metric.higher_is_better else (less, more)
    return MetricChange(
        name=name,
        higher_is_better=metric.higher_is_better if metric else None,
        compared=int(compared.sum()),
        better=better if metric else 0,
        worse=worse if metric else 0,
        equal=int(((before == after) & compared).sum()),
        old_median=_median(old),
        new_median=_median(new),
    )


def _median(values: Values) -> float | None:
    known = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # between two infinite values
        return float(np.median(known)) if len(known) else None


def _gains(old: Values, new: Values, was: Rows, now: Rows, *, higher_is_better: bool) -> Values:
    """Return by how much the metric of each pair is better; 0 where it cannot be told."""
    with np.errstate(invalid="ignore"):  # of two infinite values
        gains = new[now] - old[was]
    return np.nan_to_num(gains if higher_is_better else -gains, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _moved(
    old: pa.Table, new: pa.Table, keys: Sequence[str], before: Values, after: Values, was: Rows, now: Rows
) -> tuple[MovedGroup, ...]:
    found = zip(
        _taken(new.select(list(keys)), now).to_pylist(),
        before[was].tolist(),
        after[now].tolist(),
        _taken(old["n_rows"], was).to_pylist(),
        _taken(new["n_rows"], now).to_pylist(),
        strict=True,
    )
    return tuple(MovedGroup(*group) for group in found)


def _lost(old: pa.Table, new: pa.Table, keys: Sequence[str], was: Rows, now: Rows) -> tuple[LostGroup, ...]:
    found = zip(
        _taken(new.select(list(keys)), now).to_pylist(),
        _taken(old["status"], was).to_pylist(),
        _taken(new["status"], now).to_pylist(),
        _taken(new["error"], now).to_pylist(),
        strict=True,
    )
    return tuple(LostGroup(*group) for group in found)


def _same_rows(old: pa.Table, new: pa.Table, was: Rows, now: Rows) -> int:
    same = pc.equal(_taken(old["data_digest"], was), _taken(new["data_digest"], now))
    return int(pc.sum(same).as_py() or 0)


def _statuses(old: pa.Table, new: pa.Table, before: Rows, gone: Rows) -> tuple[StatusChange, ...]:
    was = old["status"].take(pa.array(before, mask=before < 0))  # null of a group that was not there
    counted = (
        pa.table(
            {
                "old": pa.chunked_array([*was.chunks, *_taken(old["status"], gone).chunks], pa.string()),
                "new": pa.chunked_array([*new["status"].chunks, pa.nulls(len(gone), pa.string())], pa.string()),
            }
        )
        .group_by(["old", "new"])
        .aggregate([([], "count_all")])
    )
    rows = counted.sort_by([("count_all", "descending"), ("old", "ascending"), ("new", "ascending")]).to_pylist()
    return tuple(StatusChange(row["old"], row["new"], row["count_all"]) for row in rows)


def _taken(values: Any, rows: Rows) -> Any:
    return values.take(pa.array(rows, pa.int64()))
