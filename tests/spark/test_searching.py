"""A build that chooses an estimator for every group, and what scores rows by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.inspect import show_family
from modelfactory.commands.report import FamilyResult
from modelfactory.store.store import Store

FAMILY = """\
families:
- name: f
  group_by: [k]
  source: rows
  features: [x, z]
  label: y
  preprocess: {numeric: StandardScaler}
  estimator: Ridge
  search:
    params: {alpha: [0.1, 10]}
    estimators:
    - {class: DecisionTreeRegressor, search: {max_depth: [1, 3]}}
    - spark_estimators.FailsOnNegative
    folds: 3
    metric: mae
  evaluate: {holdout: 0.2}
  fallback: global
"""
STRAIGHT, CURVED = ["a", "c", "e"], ["b", "d"]


def rows(n: int = 60) -> pd.DataFrame:
    """Return rows of groups that a line fits, and of groups that it does not."""
    parts = []
    for key in STRAIGHT + CURVED:
        rng = np.random.default_rng(ord(key))
        x, z = rng.uniform(-1, 1, (2, n))
        y = 3 * x + z if key in STRAIGHT else np.where(np.abs(x) > 0.5, 4.0, -4.0)
        parts.append(pd.DataFrame({"k": key, "x": x, "z": z, "y": y + 0.01 * rng.normal(size=n)}))
    return pd.concat(parts, ignore_index=True)


def write(folder: Path, table: pd.DataFrame) -> None:
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "rows.parquet")


def run(spark: Any, folder: Path) -> FamilyResult:
    return build(workspace_of(folder), RecordingReporter(), session=spark).families[0]


def test_every_group_keeps_the_best_candidate(spark: Any, tmp_path: Path) -> None:
    table = rows()
    folder = write_project(
        tmp_path,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "sources/s.yml": "sources: [{name: rows, path: rows.parquet}]",
            "families/f.yml": FAMILY,
        },
    )
    write(folder, table)
    assert run(spark, folder).statuses == {"trained": 5}
    family = open_store(folder / "store", packages=["spark_estimators"]).family("f")
    groups = {group["k"]: group for group in family.groups().to_pylist(maps_as_pydicts="strict")}
    assert {key: groups[key]["chosen"].partition("(")[0] for key in groups} == {
        **dict.fromkeys(STRAIGHT, "Ridge"),
        **dict.fromkeys(CURVED, "DecisionTreeRegressor"),
    }
    for key, group in groups.items():
        # A number below zero is in every group once it is standardised: the last candidate fails everywhere.
        assert list(group["candidates"]) == [
            "Ridge(alpha=0.1)",
            "Ridge(alpha=10.0)",
            "DecisionTreeRegressor(max_depth=1)",
            "DecisionTreeRegressor(max_depth=3)",
        ]
        assert group["candidates"][group["chosen"]] == min(group["candidates"].values())
        assert group["warnings"] == ["FailsOnNegative() failed: ValueError: a negative number and more"]
        final = family.model(k=key).steps[-1][1]
        assert repr(final).startswith(group["chosen"].removesuffix(")"))

    # Rows are answered by whatever model their group has, in Spark as anywhere.
    scored = family.score(spark.createDataFrame(table.assign(row=range(len(table))))).toPandas().sort_values("row")
    predicted = family.predict(table)
    np.testing.assert_allclose(scored["prediction"], predicted["prediction"], rtol=1e-12)
    assert set(scored["served_by"]) == {"group"}
    stranger = family.predict(table.assign(k="zzz"))
    assert set(stranger["served_by"]) == {"fallback:global"}

    manifest = Store(folder / "store").manifest("f")
    assert manifest is not None
    first = manifest.versions[0]
    assert sum(first.chosen.values()) == 5
    assert first.global_model is not None
    assert first.global_model.chosen in first.global_model.candidates
    assert show_family(workspace_of(folder), "f").listing.estimator == ("Ridge, DecisionTreeRegressor, FailsOnNegative")

    # A change of one group touches it alone; the others keep what they have chosen.
    write(folder, pd.concat([table, table[table.k == "a"].assign(y=0.0)]))
    assert run(spark, folder).statuses == {"trained": 1, "reused": 4}
    again = {group["k"]: group for group in open_store(folder / "store").family("f").groups().to_pylist()}
    assert [again[key]["model_sha256"] == groups[key]["model_sha256"] for key in "abcde"] == [False, *[True] * 4]
    assert (again["b"]["chosen"], dict(again["b"]["candidates"])) == (groups["b"]["chosen"], groups["b"]["candidates"])
