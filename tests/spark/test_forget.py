"""Forgetting what Spark has written: files as Spark writes them, models that it reads, and groups that come back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import RecordingReporter, workspace_of, write_project

from modelfactory import NoModel, open_store
from modelfactory.commands.build import build
from modelfactory.diagnostics import Code
from modelfactory.plan.outcomes import GLOBAL
from modelfactory.serving import scoring
from modelfactory.store.forgetting import forget
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store

FAMILY = """
families:
- name: sales
  group_by: [store_id, price, at]
  source: rows
  features: [a, b]
  label: y
  estimator: {class: DecisionTreeRegressor, params: {max_depth: 3}}
  evaluate: {holdout: 0.3, metrics: [rmse]}
  fallback: global
"""
KEYS = ["store_id", "price", "at"]


def project(folder: Path) -> Path:
    """Write rows of twelve groups, by three columns that Spark's writer and pyarrow's store in several ways."""
    rng, n = np.random.default_rng(3), 12 * 20
    group = np.arange(n) % 12
    a, b = rng.normal(size=(2, n))
    table = pa.table(
        {
            "store_id": pa.array(group + 100, pa.int32()),
            "price": pa.array(group).cast(pa.decimal128(21, 2)).cast(pa.decimal128(9, 2)),
            "at": pa.array(group * 10**9, pa.timestamp("us", "UTC")),
            "a": a,
            "b": b,
            "y": a * group - b,
        }
    )
    (folder / "data").mkdir(parents=True)
    pq.write_table(table, folder / "data/rows.parquet")
    return write_project(
        folder,
        {
            "sources/rows.yml": "sources: [{name: rows, path: data/rows.parquet}]\n",
            "families/sales.yml": FAMILY,
        },
    )


def test_what_spark_has_written_is_forgotten_and_the_rest_is_as_spark_wrote_it(spark, tmp_path, monkeypatch):
    folder = project(tmp_path)
    assert build(workspace_of(folder), RecordingReporter(), session=spark).exit_code == 0
    store = Store(folder / "store")
    before = store.current("sales")
    assert before is not None
    files = store.files("sales", before, "models")
    schema, rows = pq.ParquetFile(files[0]).schema, pq.read_table(folder / "data/rows.parquet").to_pandas()
    old = {tuple(row[k] for k in KEYS): row["model"] for f in files for row in pq.ParquetFile(f).read().to_pylist()}
    predicted = open_store(folder / "store").family("sales").predict(rows)

    found = forget(store, "sales", {"store_id": "103"}, run_id="forget1", delete=True)
    assert (found.groups, found.models) == (1, 1)
    after = store.current("sales")
    assert after is not None
    new = {}
    for file in store.files("sales", after, "models"):
        read = pq.ParquetFile(file)
        assert read.schema.equals(schema)
        assert b"org.apache.spark.sql.parquet.row.metadata" in read.metadata.metadata
        new |= {tuple(row[k] for k in KEYS): row["model"] for row in read.read().to_pylist()}
    assert new == {key: model for key, model in old.items() if key[0] != 103}
    assert (after.statuses, after.rows, after.served) == ({"trained": 11}, 220, 11)
    (groups,) = store.files("sales", after, "groups")
    kept = [dict(row)["rmse"] for row in pq.read_table(groups)["metrics"].to_pylist()]
    rmse = after.metrics["rmse"]
    assert (rmse.count, rmse.min, rmse.max) == (11, min(kept), max(kept))
    whole = [next(f.sha256 for f in version.files if f.table == GLOBAL) for version in (before, after)]
    assert whole[0] == whole[1]
    assert verify_store(store).damages == ()

    # Models that come with the rows are read by Spark, folder by folder.
    monkeypatch.setattr(scoring, "FEW_MODELS", 0)
    family = open_store(folder / "store").family("sales")
    scored = family.score(spark.createDataFrame(rows)).toPandas().set_index(["a", "b"])
    answers = scored.loc[list(zip(rows["a"], rows["b"], strict=True))]
    gone = (rows["store_id"] == 103).to_numpy()
    assert set(answers["reason"][gone]) == {"unseen"}
    assert set(answers["served_by"][gone]) == {"fallback:global"}
    np.testing.assert_array_equal(answers["prediction"][~gone], predicted["prediction"][~gone])


def test_a_group_that_the_input_still_has_is_trained_again_with_a_warning(spark, tmp_path):
    folder = project(tmp_path)
    build(workspace_of(folder), RecordingReporter(), session=spark)
    store = Store(folder / "store")
    forget(store, "sales", {"store_id": "103"}, run_id="forget1", delete=True)
    key = {"store_id": 103, "price": 3, "at": dt.datetime.fromtimestamp(3000, dt.UTC)}
    with pytest.raises(NoModel, match="forgotten on"):
        open_store(folder / "store").family("sales").model(**key)

    said = RecordingReporter()
    (result,) = build(workspace_of(folder), said, session=spark).families
    ((warnings,),) = said.of("warn")
    assert [(w.code, w.message) for w in warnings] == [
        (Code.FORGOTTEN, "the input of family `sales` has rows of 1 group that was forgotten, and trained again now")
    ]
    assert dict(result.reasons) == {"new": 1, "unchanged": 11}
    open_store(folder / "store").family("sales").model(**key)

    said = RecordingReporter()
    build(workspace_of(folder), said, session=spark)
    assert said.of("warn") == []  # it was told when it came back
    forget(store, "sales", {"store_id": "103"}, run_id="forget2", delete=True)
    rows = pq.read_table(folder / "data/rows.parquet").to_pandas()
    pq.write_table(
        pa.Table.from_pandas(rows[rows["store_id"] != 103], preserve_index=False), folder / "data/rows.parquet"
    )
    said = RecordingReporter()
    (result,) = build(workspace_of(folder), said, session=spark).families
    assert said.of("warn") == []
    # No group has changed, and the model of all rows is fitted on what is left of them.
    assert dict(result.reasons) == {"unchanged": 11}
    current = store.current("sales")
    assert current is not None
    assert current.global_model is not None
    assert (result.version, current.global_model.n_rows, current.global_model.model_version) == (3, 220, None)
