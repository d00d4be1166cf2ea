"""The function that runs on Spark's workers: batches of sorted rows in, batches of outcomes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import joblib
import pyarrow as pa
from threadpoolctl import threadpool_limits

from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import FitStep
from modelfactory.training.batches import split_groups, whole_groups
from modelfactory.training.estimators import Template, make_template
from modelfactory.training.fitting import FitOutcome, failed_group, fit_group

FORMAT = "pickle"
MODEL_FIELDS = ("model", "format", "sha256")
"""Fields of an outcome that belong to the model table."""
_BATCH_BYTES = 16 << 20
_BATCH_GROUPS = 5_000

OUTCOME_SCHEMA = pa.schema(
    [
        ("_mf_group", pa.int64()),
        ("_mf_fitted", pa.bool_()),
        ("status", pa.string()),
        ("data_digest", pa.string()),
        ("n_train", pa.int64()),
        ("n_test", pa.int64()),
        ("metrics", pa.map_(pa.string(), pa.float64())),
        ("baseline", pa.map_(pa.string(), pa.float64())),
        ("fit_seconds", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("model", pa.binary()),
        ("format", pa.string()),
        ("sha256", pa.string()),
        ("model_bytes", pa.int64()),
        ("error_type", pa.string()),
        ("error", pa.string()),
        ("warnings", pa.list_(pa.string())),
    ]
)
_SPARK_TYPES = {
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.float64(): "double",
    pa.binary(): "binary",
    pa.map_(pa.string(), pa.float64()): "map<string,double>",
    pa.list_(pa.string()): "array<string>",
}
OUTCOME_DDL = ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in OUTCOME_SCHEMA)
"""The same schema in Spark's words."""


def train_batches(step: FitStep, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Fit every group of a sorted stream.

    Args:
        step: what to do.
        batches: columns as in `training.batches`, sorted by group and then by the row's hash.

    Yields:
        Batches of `OUTCOME_SCHEMA`, one row per group.
    """
    template: Template | Exception
    try:
        template = make_template(step.estimator, step.seed)
    except Exception as error:
        template = error
    with threadpool_limits(1), joblib.parallel_config(backend="sequential"):
        pending: list[FitOutcome] = []
        size = 0
        for chunk in whole_groups(batches):
            for rows in split_groups(step, chunk):
                if isinstance(template, Template):
                    outcome = fit_group(step, template, rows)
                else:
                    outcome = failed_group(rows, template)
                pending.append(outcome)
                size += len(outcome.model or b"")
                if size >= _BATCH_BYTES or len(pending) >= _BATCH_GROUPS:
                    yield outcome_batch(pending)
                    pending, size = [], 0
        if pending:
            yield outcome_batch(pending)


def outcome_batch(outcomes: list[FitOutcome]) -> pa.RecordBatch:
    """Write outcomes as one batch of `OUTCOME_SCHEMA`."""
    fitted = [o.status == Status.TRAINED for o in outcomes]
    columns = {
        "_mf_group": [o.group for o in outcomes],
        "_mf_fitted": fitted,
        "status": [str(o.status) for o in outcomes],
        "metrics": [list(o.metrics.items()) for o in outcomes],
        "baseline": [list(o.baseline.items()) for o in outcomes],
        "model_bytes": [None if o.model is None else len(o.model) for o in outcomes],
        "format": [FORMAT if trained else None for trained in fitted],
        "warnings": [list(o.warnings) for o in outcomes],
    }
    arrays = [
        pa.array(columns.get(f.name) or [getattr(o, f.name) for o in outcomes], type=f.type) for f in OUTCOME_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA)
