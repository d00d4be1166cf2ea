"""Builds of which nothing becomes current: on a sample, and on no rows at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.inspect import list_families
from modelfactory.commands.report import BuildResult
from modelfactory.commands.scope import Sample, Scope
from modelfactory.commands.selecting import last_results
from modelfactory.store.store import Store
from modelfactory.store.verifying import verify_store

FAMILIES = """
families:
- name: sales
  group_by: shop
  source: rows
  features: [a, b]
  label: y
  estimator: {class: DecisionTreeRegressor, params: {max_depth: 3}}
  evaluate: {holdout: 0.3, metrics: [rmse]}
  fallback: global
  min_rows: 10
  tests: [{coverage: {min: 0.8}}, no_lost_groups: {}]
- name: kinds
  group_by: [shop, day]
  sql: "select r.*, y > 0 as up, timestamp_seconds(pick) as day
    from {{ source('rows') }} r join {{ ref('sales') }} s on r.shop = s.shop"
  features: [a, {name: shop, kind: categorical}]
  label: up
  estimator: DecisionTreeClassifier
  preprocess: {categorical: [{class: OneHotEncoder, params: {handle_unknown: ignore}}]}
"""
SHOPS, ROWS = 12, 40


def project(folder: Path, families: str = FAMILIES) -> Path:
    """Write a project of two families, one of which reads the other's groups; two shops have five rows only."""
    rng, n = np.random.default_rng(3), SHOPS * ROWS
    shop = np.arange(n) % SHOPS
    a, b = rng.normal(size=(2, n))
    rows = pa.table({"shop": [f"shop {k:02}" for k in shop], "pick": shop % 2, "a": a, "b": b, "y": a * shop - b})
    few = (shop < 2) & (np.arange(n) >= SHOPS * 5)
    (folder / "data").mkdir(parents=True)
    pq.write_table(rows.filter(pa.array(~few)), folder / "data/rows.parquet")
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "sources/rows.yml": "sources: [{name: rows, path: data/rows.parquet}]\n",
            "families/all.yml": families,
        },
    )


def run(folder: Path, spark: Any, *select: str, **scope: Any) -> tuple[BuildResult, RecordingReporter]:
    said = RecordingReporter()
    return build(workspace_of(folder, *select), said, session=spark, scope=Scope(**scope)), said


def files(folder: Path) -> dict[str, str]:
    """Return the files of a store by name, but its samples."""
    found = {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file() and f.name != ".lock"}
    return {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in found.items() if not n.startswith("build-sample")}


def models(family: Any) -> dict[str, Any]:
    return {key["shop"]: model for key, model in family.models()}


def test_a_sample_is_real_in_all_but_what_it_becomes(spark: Any, tmp_path: Path) -> None:
    folder = project(tmp_path)
    result, said = run(folder, spark, sample=Sample(groups=4, rows=25))
    sales, kinds = result.families
    assert (sales.status, sales.version, dict(sales.statuses)) == ("success", None, {"trained": 4})
    assert [(test.name, test.status) for test in sales.tests] == [("coverage", "pass"), ("no_lost_groups", "skipped")]
    assert ("family sales: a sample of 4 out of 12 groups",) in said.of("note")
    assert (kinds.status, sum(kinds.statuses.values())) == ("success", 4)  # it reads the groups of the sample

    sample = open_store(folder / "store/build-sample")
    family = sample.family("sales")
    groups = family.groups().to_pylist(maps_as_pydicts="strict")
    assert all(row["n_rows"] == ROWS and row["n_train"] + row["n_test"] == 25 for row in groups)
    assert all(row["warnings"] == ["fitted on a sample of 25 rows out of 40"] for row in groups)
    assert all({"rmse"} == row["metrics"].keys() for row in groups)
    whole = family.record.global_model
    assert whole is not None
    assert (whole.status, whole.n_rows, family.record.rows) == ("trained", 4 * ROWS, 4 * ROWS)
    assert family.predict(pq.read_table(folder / "data/rows.parquet")).num_rows > 0

    # Nothing of it is published, and nobody takes it for the last run.
    assert files(folder / "store") == {}
    assert [item.state for item in list_families(workspace_of(folder))[0]] == ["never built"] * 2
    assert last_results(folder) is None
    (results,) = folder.glob("target/runs/*/trial_results.json")
    assert [r["status"] for r in json.loads(results.read_text())["results"]] == ["success", "success"]


def test_the_next_sample_takes_its_place_and_reuses_nothing(spark: Any, tmp_path: Path) -> None:
    folder = project(tmp_path)
    run(folder, spark, "sales")
    published = files(folder / "store")
    real = models(open_store(folder / "store").family("sales"))
    drawn = []
    for groups in (3, 3, 5):
        (result,) = run(folder, spark, "sales", sample=Sample(groups=groups))[0].families
        assert dict(result.statuses) == {"trained": groups}
        family = open_store(folder / "store/build-sample").family("sales")
        assert [v.number for v in family.versions] == [1]
        tried = models(family)
        drawn.append(tried.keys())
        # All rows of a group give the model that a build would give it.
        for shop, model in tried.items():
            np.testing.assert_array_equal(model.tree_.threshold, real[shop].tree_.threshold)
    assert drawn[0] == drawn[1] < drawn[2]
    assert files(folder / "store") == published
    assert verify_store(Store(folder / "store/build-sample")).leftovers == ()
    assert verify_store(Store(folder / "store")).leftovers == ()


def test_a_sample_that_would_be_held_back_can_be_looked_at(spark: Any, tmp_path: Path) -> None:
    families = FAMILIES.replace(
        "{class: DecisionTreeRegressor, params: {max_depth: 3}}", "spark_estimators.FailsOnNegative"
    )
    folder = project(tmp_path, families)
    result, _ = run(folder, spark, sample=Sample(groups=2))
    sales, kinds = result.families
    assert (result.exit_code, sales.status, kinds.status) == (1, "error", "skipped")
    assert dict(sales.statuses) == {"failed": 2}
    assert sales.diagnostics[0].help == "nothing of a sample is published; it can be looked at all the same"
    assert open_store(folder / "store/build-sample").family("sales").groups()["status"].to_pylist() == ["failed"] * 2


def test_everything_runs_on_no_rows_and_leaves_nothing(spark: Any, tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = {key: spark.conf.get(key, None) for key in ("spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions")}
    result, _ = run(folder, spark, empty=True)
    assert [(f.family, f.status, f.version, f.trial) for f in result.families] == [
        ("sales", "success", None, "empty"),
        ("kinds", "success", None, "empty"),  # which reads the groups of the other
    ]
    assert (result.exit_code, files(folder / "store")) == (0, {})
    assert not (folder / "store").exists()
    assert last_results(folder) is None
    assert {key: spark.conf.get(key, None) for key in before} == before


def test_a_worker_that_could_not_train_is_found_on_no_rows(spark: Any, tmp_path: Path) -> None:
    families = FAMILIES.replace("{class: DecisionTreeRegressor, params: {max_depth: 3}}", "spark_estimators.Unmakeable")
    result, _ = run(project(tmp_path, families), spark, empty=True)
    sales, kinds = result.families
    assert (result.exit_code, sales.status, kinds.status) == (1, "error", "skipped")
    assert "there is no such machine" in sales.diagnostics[0].message


def test_a_column_that_the_query_lacks_is_found_on_no_rows(spark: Any, tmp_path: Path) -> None:
    folder = project(tmp_path, FAMILIES.replace("select r.*", "select r.shop, r.y, r.pick"))
    result, _ = run(folder, spark, empty=True)
    assert [f.status for f in result.families] == ["success", "error"]
    assert "`a`" in result.families[1].diagnostics[0].message
    assert result.exit_code == 2
