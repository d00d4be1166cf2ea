"""`fallback: global`: one model more, on the rows of all groups; and what a version records for scoring."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.linear_model import LinearRegression
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.cli.console import Console
from modelfactory.commands.build import build
from modelfactory.commands.report import FamilyResult
from modelfactory.plan import steps
from modelfactory.store.groups import read_groups
from modelfactory.store.manifest import GlobalModelRecord, VersionRecord
from modelfactory.store.store import Store

Rows = pd.DataFrame
FAMILY = {"group_by": ["shop"], "source": "rows", "features": ["a", "b"], "label": "y", "estimator": "LinearRegression"}


def project(folder: Path, rows: Rows, more: Mapping[str, Rows] | None = None, **families: Mapping[str, Any]) -> Path:
    """Write a project whose source `rows` all families read that do not name one of `more`."""
    sources = {"rows": rows, **(more or {})}
    for name, frame in sources.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=50)
    documents = {
        "sources": [{"name": name, "path": f"{name}.parquet"} for name in sources],
        "families": [{"name": name, **FAMILY, "fallback": "global", **keys} for name, keys in families.items()],
    }
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "families/f.yml": yaml.safe_dump(documents),
        },
    )


def run(folder: Path, spark: Any, reporter: Any = None) -> dict[str, FamilyResult]:
    found = build(workspace_of(folder), reporter or RecordingReporter(), session=spark).families
    return {family.family: family for family in found}


def version(folder: Path, family: str) -> VersionRecord:
    found = Store(folder / "store").current(family)
    assert found is not None
    return found


def global_model(folder: Path, family: str) -> GlobalModelRecord:
    found = version(folder, family).global_model
    assert found is not None
    return found


def table(folder: Path, family: str, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of the current version."""
    files = Store(folder / "store").files(family, version(folder, family), name)
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def outcomes(folder: Path, family: str) -> list[dict[str, Any]]:
    """Return the group table without what a clock has measured."""
    files = Store(folder / "store").files(family, version(folder, family), "groups")
    return read_groups(files).drop_columns(["fit_seconds", "cpu_seconds"]).to_pylist(maps_as_pydicts="strict")


def frame(**sizes: int) -> pd.DataFrame:
    """Rows of a law of their own for each shop; the shop `nobody` has null for its key."""
    rng = np.random.default_rng(7)
    parts = []
    for number, (shop, n) in enumerate(sizes.items()):
        a, b = rng.normal(size=n), rng.normal(size=n)
        key = None if shop == "nobody" else shop
        parts.append(pd.DataFrame({"shop": key, "a": a, "b": b, "y": (number + 1) * a - b + rng.normal(size=n)}))
    return pd.concat(parts, ignore_index=True)


ROWS = frame(one=60, two=40, small=4, nobody=30)


def test_it_is_fitted_on_all_rows_and_the_groups_are_as_without_it(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows.loc[:4, "y"] = np.nan
    measured = {"min_rows": 5, "evaluate": {"holdout": 0.25, "metrics": ["mae"]}}
    folder = project(tmp_path, rows, plain={"min_rows": 5, "fallback": None}, both={"min_rows": 5}, measured=measured)
    reporter = RecordingReporter()
    results = run(folder, spark, reporter)
    assert results["plain"].statuses == results["both"].statuses
    assert outcomes(folder, "plain") == outcomes(folder, "both")
    (model,) = table(folder, "both", "global")
    learnt = rows.dropna(subset="y")
    expected = LinearRegression().fit(learnt[["a", "b"]], learnt["y"])
    fitted = pickle.loads(model["model"])
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(fitted.intercept_, expected.intercept_, rtol=1e-9)
    assert list(fitted.feature_names_in_) == ["a", "b"]
    unseen = pd.DataFrame({"shop": ["elsewhere", "small"], "a": [1.0, 2.0], "b": [0.0, -1.0]})
    answers = open_store(folder / "store").family("both").predict(unseen)
    assert answers["served_by"].tolist() == ["fallback:global"] * 2
    np.testing.assert_allclose(answers["prediction"], expected.predict(unseen[["a", "b"]]), rtol=1e-9)
    record, others = version(folder, "both"), version(folder, "plain")
    found = record.global_model
    assert found is not None
    assert (found.status, found.n_rows, found.n_train, found.model_sha256) == ("trained", 129, 129, model["sha256"])
    assert model["shop"] is None
    assert [(f.path.split("/", 1)[1], f.table, f.rows) for f in record.files if f.table == "global"] == [
        ("global/part-00000.parquet", "global", 1)
    ]
    assert {file.table for file in others.files} == {"groups", "models"}
    for name in ("statuses", "rows", "rows_without_label", "metrics", "baseline", "classes", "label_type"):
        assert getattr(record, name) == getattr(others, name), name
    assert others.global_model is None
    assert record.fingerprints.definition != others.fingerprints.definition
    assert (others.classes, others.label_type, others.container) == (None, None, "matrix")
    assert reporter.of("family_scheduled") == [(name, 4, 2) for name in results]
    assert all(done <= 2 for _, done in reporter.of("family_progress"))
    split = global_model(folder, "measured")
    assert split.n_train + split.n_test == split.n_rows == 129
    assert split.n_test > 0
    assert 0 < split.metrics["mae"] < split.baseline["mae"]
    assert version(folder, "measured").metrics["mae"].count == 2


def test_a_sample_depends_on_the_rows_and_the_seed_alone(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "GLOBAL_ROWS", 300)
    rows = frame(one=500, two=500, three=500)
    remember = {"estimator": "spark_estimators.Remember"}
    folder = project(
        tmp_path,
        rows,
        {"shuffled": rows.sample(frac=1, random_state=3)},
        first=remember,
        again={**remember, "source": "shuffled"},
        other={**remember, "seed": 1},
        smaller={**remember, "max_rows": 60, "on_too_many": "sample"},
    )
    assert [result.statuses for result in run(folder, spark).values()] == [{"trained": 3}] * 4
    first, again, other, smaller = (global_model(folder, name) for name in ("first", "again", "other", "smaller"))
    assert first.model_sha256 == again.model_sha256 != other.model_sha256
    assert [model.n_rows for model in (first, again, other, smaller)] == [1500] * 4
    assert 240 < first.n_train < 360  # four times its spread about the 300
    assert 240 < other.n_train < 360
    assert 30 < smaller.n_train <= 60


def test_rows_with_an_inexact_number_are_left_out(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.assign(a=np.arange(len(ROWS)))
    rows.loc[70, "a"] = 2**53 + 1  # of shop `two`
    folder = project(tmp_path, rows, f={"max_failed": 1})
    assert run(folder, spark)["f"].statuses == {"trained": 2, "null_key": 1, "failed": 1}
    found = global_model(folder, "f")
    assert (found.status, found.n_rows, found.n_train) == ("trained", len(rows), len(rows) - 1)


def test_a_global_model_that_fails_is_told_and_the_version_is_published(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.assign(a=ROWS["a"].abs())
    rows.loc[rows.shop == "small", "a"] = -1.0  # too small to be fitted as a group
    keys = {"min_rows": 5, "max_failed": 0, "estimator": "spark_estimators.FailsOnNegative"}
    folder = project(tmp_path, rows, f=keys)
    console, said = Console(), io.StringIO()
    console.err.file = said
    result = run(folder, spark, console)["f"]
    assert (result.status, result.statuses) == ("success", {"trained": 2, "too_few_rows": 1, "null_key": 1})
    found = global_model(folder, "f")
    assert (found.status, found.error_type, found.error) == ("failed", "ValueError", "a negative number and more")
    assert found.model_sha256 is None
    assert not table(folder, "f", "global")
    assert "    global model failed: ValueError: a negative number and more\n" in said.getvalue()
    (results,) = folder.glob("target/runs/*/run_results.json")
    (told,) = json.loads(results.read_text())["results"]
    assert (told["faults"], told["global_fault"]["error_type"]) == ([], "ValueError")


LABELS = {
    "boolean": ([True, False], [True, True], ["false", "true"]),
    "bigint": ([1, 2], [2, 30], ["1", "2", "30"]),
    "double": ([1.0, 2.0], [1e7, 2.0], ["1.0", "1.0E7", "2.0"]),
    "string": (["b", "a"], ["é", "a"], ["a", "b", "é"]),
}
"""By the type in which they travel, labels of two groups and all classes as text."""


def test_classes_are_those_of_all_models_in_the_words_of_spark(spark: Any, tmp_path: Path) -> None:
    rows = frame(one=20, two=20, small=4)
    for kind, (one, two, _) in LABELS.items():
        rows[kind] = one * 10 + two * 10 + one * 2
    rows["unseen"] = ["x", "y"] * 20 + ["z"] * 4  # `z` is known to the global model alone
    bayes = {"estimator": "GaussianNB", "min_rows": 5}
    families = {kind: {**bayes, "label": kind} for kind in LABELS}
    unseen = {**bayes, "label": "unseen"}
    folder = project(tmp_path, rows, **families, unseen=unseen, without={**unseen, "fallback": None})
    run(folder, spark)
    for kind, (_, _, known) in LABELS.items():
        record = version(folder, kind)
        assert (record.label_type, record.classes) == (kind, known)
        in_sql = spark.read.parquet(f"file://{folder}/rows.parquet").selectExpr(f"cast({kind} as string) c").distinct()
        assert sorted(row.c for row in in_sql.collect()) == known
        (model,) = table(folder, kind, "global")
        assert sorted(model["outcome"]["classes"]) == known
    assert version(folder, "unseen").classes == ["x", "y", "z"]
    assert version(folder, "without").classes == ["x", "y"]


def test_a_sample_of_one_class_gives_no_model(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "GLOBAL_ROWS", 8)
    rows = frame(one=400, two=400)
    rows["late"] = np.arange(800) % 200 == 0
    folder = project(tmp_path, rows, f={"estimator": "GaussianNB", "label": "late"})
    assert run(folder, spark)["f"].statuses == {"trained": 2}
    found = global_model(folder, "f")
    assert (found.status, found.n_train, found.model_sha256) == ("one_class", 0, None)
    assert not table(folder, "f", "global")
