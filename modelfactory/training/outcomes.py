"""Write outcomes as Arrow batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from modelfactory.plan.outcomes import Status
from modelfactory.training.batches import Chunk, Floats
from modelfactory.training.encoding import PICKLE
from modelfactory.training.fitting import FitOutcome
from modelfactory.training.linear import SolvedGroups
from modelfactory.training.schema import OUTCOME_SCHEMA


def outcome_batch(outcomes: list[FitOutcome]) -> pa.RecordBatch:
    """Write outcomes of groups that were fitted one by one as a batch of `OUTCOME_SCHEMA`."""
    models = [o.model for o in outcomes]
    columns = {
        "_mf_group": [o.group for o in outcomes],
        "_mf_fitted": [o.status == Status.TRAINED for o in outcomes],
        "status": [str(o.status) for o in outcomes],
        "metrics": [list(o.metrics.items()) for o in outcomes],
        "baseline": [list(o.baseline.items()) for o in outcomes],
        "model": [m and m.data for m in models],
        "format": [m and m.format for m in models],
        "sha256": [m and m.sha256 for m in models],
        "model_bytes": [m and len(m.data) for m in models],
        "warnings": [list(o.warnings) for o in outcomes],
        "classes": [list(o.classes) for o in outcomes],
        "champion": [list(o.champion.items()) for o in outcomes],
        "candidates": [list(o.candidates.items()) for o in outcomes],
    }
    return _batch({f.name: columns.get(f.name) or [getattr(o, f.name) for o in outcomes] for f in OUTCOME_SCHEMA})


def solved_batch(
    chunk: Chunk, solved: SolvedGroups, contests: Sequence[tuple[Mapping[str, float], str]] = ()
) -> pa.RecordBatch:
    """Write groups that were solved at once as a batch of `OUTCOME_SCHEMA`; no Python object stands for a group.

    Args:
        chunk: the chunk.
        solved: what came of k of its groups.
        contests: metrics of the champion of each of them, and what there is to say of it; nothing without a contest.
    """
    k, length = solved.models.shape
    ends = np.arange(k + 1, dtype=np.int32) * np.int32(length)
    models = np.ascontiguousarray(solved.models)
    nothing = pa.ListArray.from_arrays(np.zeros(k + 1, dtype=np.int32), pa.array([], pa.string()))
    return _batch(
        {
            "_mf_group": chunk.groups[solved.index],
            "_mf_fitted": np.ones(k, dtype=bool),
            "status": pa.repeat(str(Status.TRAINED), k),
            "data_digest": [chunk.digests[i] for i in solved.index.tolist()],
            "n_train": solved.n_train,
            "n_test": solved.n_test,
            "metrics": _maps(solved.metrics, k),
            "baseline": _maps(solved.baseline, k),
            "fit_seconds": solved.fit_seconds,
            "cpu_seconds": solved.cpu_seconds,
            "model": pa.Array.from_buffers(pa.binary(), k, [None, pa.py_buffer(ends), pa.py_buffer(models)]),
            "format": pa.repeat(PICKLE, k),
            "sha256": [hashlib.sha256(row).hexdigest() for row in models],
            "model_bytes": np.full(k, length),
            "error_type": pa.nulls(k, pa.string()),
            "error": pa.nulls(k, pa.string()),
            "warnings": [[said] if said else [] for _, said in contests] or nothing,
            "classes": nothing,
            "champion": [list(metrics.items()) for metrics, _ in contests] or _maps({}, k),
            "chosen": pa.nulls(k, pa.string()),
            "candidates": _maps({}, k),
        }
    )


def _maps(by_name: Mapping[str, Floats], k: int) -> pa.Array:
    """Write arrays of numbers as one map for each group, without the numbers that are NaN."""
    values = np.stack(list(by_name.values()), axis=1) if by_name else np.empty((k, 0))
    has = ~np.isnan(values)
    ends = np.concatenate(([0], np.cumsum(has.sum(axis=1)))).astype(np.int32)
    names = np.tile(np.arange(len(by_name)), (k, 1))[has]
    keys = pa.array(list(by_name), pa.string()).take(pa.array(names))
    return pa.MapArray.from_arrays(ends, keys, pa.array(values[has]))


def _batch(columns: Mapping[str, Any]) -> pa.RecordBatch:
    arrays = [
        values if isinstance(values := columns[field.name], pa.Array) else pa.array(values, type=field.type)
        for field in OUTCOME_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA)
