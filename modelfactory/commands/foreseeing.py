"""Compare the groups of a census with those of a published version, and say what training them will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelfactory.commands.plans import GROUP_CHANGES, HEAVIEST, GroupChange, HeavyGroup, PlannedGroups
from modelfactory.plan.outcomes import Status
from modelfactory.plan.schedule import Schedule
from modelfactory.plan.steps import TrainStep
from modelfactory.spark.census import CensusTable
from modelfactory.store.groups import read_groups

_OLD, _NEW, _TRAINED = "_mf_old", "_mf_new", "_mf_trained"


def foresee(
    step: TrainStep, found: CensusTable, schedule: Schedule, published: Sequence[Any], *, slots: int, comparable: bool
) -> PlannedGroups:
    """Say what will become of the groups of a census.

    Args:
        step: the family's step.
        found: its census.
        schedule: what was decided of each group.
        published: files of the current version's group table; none if there is no version.
        slots: how many tasks Spark runs at once.
        comparable: whether the version was trained on the same columns of the same input.

    Raises:
        InputError: the group table cannot be read.
    """
    seconds, rows = schedule.seconds, found.census.n_usable
    decided = {str(status): int((schedule.status == status).sum()) for status in Status}
    to_train = np.flatnonzero(schedule.to_train)
    heaviest = to_train[np.argsort(-seconds[to_train], kind="stable")[:HEAVIEST]]
    keys = found.keys.take(pa.array(heaviest)).to_pylist()
    alone = schedule.global_fit.seconds if schedule.global_fit else 0.0
    total = float(seconds.sum()) + alone
    return PlannedGroups(
        changes=_changes(step, found, schedule, published),
        decided={status: n for status, n in decided.items() if n},
        rows=int(found.census.n_rows.sum()),
        median_rows=int(np.median(rows[to_train])) if len(to_train) else 0,
        cpu_seconds=total,
        wall_seconds=max(total / slots, float(seconds.max(initial=alone))),
        comparable=comparable,
        heaviest=tuple(
            HeavyGroup(key=key, rows=int(rows[i]), cpu_seconds=float(seconds[i]))
            for key, i in zip(keys, heaviest.tolist(), strict=True)
        ),
    )


def _changes(
    step: TrainStep, found: CensusTable, schedule: Schedule, published: Sequence[Any]
) -> dict[GroupChange, int]:
    """Count the groups to train by what has become of their rows, and those that are gone."""
    new = found.keys.append_column(_NEW, found.digests).append_column(_TRAINED, pa.array(schedule.to_train))
    old = _published(found.keys, published)
    if old is None:
        old = found.keys.schema.empty_table().append_column(_OLD, pa.array([], pa.string()))
    everything = pa.concat_tables([new, old], promote_options="default")
    # Grouping, unlike joining, takes null for a key like any other.
    both = everything.group_by(list(step.keys)).aggregate([(_OLD, "max"), (_NEW, "max"), (_TRAINED, "max")])
    before, now = both[f"{_OLD}_max"], both[f"{_NEW}_max"]
    was, trained = _flags(pc.is_valid(before)), _flags(pc.fill_null(both[f"{_TRAINED}_max"], False))
    same = _flags(pc.fill_null(pc.equal(before, now), False))
    counts = {
        "new": trained & ~was,
        "changed": trained & was & ~same,
        "unchanged": trained & same,
        "vanished": _flags(pc.is_null(now)),
    }
    return {change: int(counts[change].sum()) for change in GROUP_CHANGES}


def _published(keys: pa.Table, files: Sequence[Any]) -> pa.Table | None:
    """Return keys and digests of a group table, the keys in the census' types; None if they are others altogether."""
    if not files:
        return None
    groups = read_groups(files)
    try:
        named = groups.select([*keys.column_names, "data_digest"]).rename_columns([*keys.column_names, _OLD])
        columns = {name: named[name].cast(keys.schema.field(name).type) for name in keys.column_names}
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return pa.table({**columns, _OLD: pc.fill_null(named[_OLD].cast(pa.string()), "")})


def _flags(column: Any) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = column.to_numpy().astype(bool)
    return flags
