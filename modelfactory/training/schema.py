"""The form of outcomes on their way from the workers; needs pyarrow alone, so that the driver loads no scikit-learn."""

from __future__ import annotations

import pyarrow as pa

CHAMPION_COLUMNS = ("_mf_champion", "_mf_champion_format", "_mf_champion_sha256")
"""Columns in which models travel to the workers that new ones have to beat, behind those of rows."""
MODEL_FIELDS = ("model", "format", "sha256")
"""Fields of an outcome that belong to the model table."""
_NUMBERS = pa.map_(pa.string(), pa.float64())
OUTCOME_SCHEMA = pa.schema(
    [
        ("_mf_group", pa.int64()),
        ("_mf_fitted", pa.bool_()),
        ("status", pa.string()),
        ("data_digest", pa.string()),
        ("n_train", pa.int64()),
        ("n_test", pa.int64()),
        ("metrics", _NUMBERS),
        ("baseline", _NUMBERS),
        ("fit_seconds", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("model", pa.binary()),
        ("format", pa.string()),
        ("sha256", pa.string()),
        ("model_bytes", pa.int64()),
        ("error_type", pa.string()),
        ("error", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("classes", pa.list_(pa.string())),
        ("champion", _NUMBERS),
        ("chosen", pa.string()),
        ("candidates", _NUMBERS),
    ]
)
_SPARK_TYPES = {
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.float64(): "double",
    pa.binary(): "binary",
    _NUMBERS: "map<string,double>",
    pa.list_(pa.string()): "array<string>",
}
OUTCOME_DDL = ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in OUTCOME_SCHEMA)
"""The same schema in Spark's words."""
