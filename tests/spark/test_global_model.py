"""`fallback: global`: one model more, on the rows of all groups; and what a version records for scoring."""

from __future__ import annotations

import io
import json
import pickle
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression
from support import RecordingReporter, workspace_of, write_project

from modelfactory.cli.console import Console
from modelfactory.commands.build import build
from modelfactory.commands.report import FamilyResult
from modelfactory.plan import steps
from modelfactory.store.groups import read_groups
from modelfactory.store.manifest import GlobalModelRecord, VersionRecord

FAMILY = """
families:
  - name: sales
    group_by: [shop]
    source: rows
    features: [a, b]
    label: {label}
    estimator: {estimator}
    {more}
"""
GLOBAL = "fallback: global"


def project(
    folder: Path, rows: pd.DataFrame, more: str = GLOBAL, *, estimator: str = "LinearRegression", label: str = "y"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "rows.parquet", row_group_size=50)
    family = FAMILY.format(label=label, estimator=estimator, more=more.replace("\n", "\n    "))
    return write_project(
        folder,
        {
            "mf_project.yml": "name: demo\nestimator_packages: [sklearn, spark_estimators]\n",
            "sources/rows.yml": "sources: [{name: rows, path: rows.parquet}]\n",
            "families/sales.yml": family,
        },
    )


def run(folder: Path, spark: Any, reporter: Any = None) -> FamilyResult:
    return build(workspace_of(folder), reporter or RecordingReporter(), session=spark).families[0]


def version(folder: Path) -> VersionRecord:
    found = workspace_of(folder).store.current("sales")
    assert found is not None
    return found


def global_model(folder: Path) -> GlobalModelRecord:
    found = version(folder).global_model
    assert found is not None
    return found


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of the current version."""
    files = workspace_of(folder).store.files("sales", version(folder), name)
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """Return the group table without what a clock has measured."""
    files = workspace_of(folder).store.files("sales", version(folder), "groups")
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
MEASURED = "min_rows: 5\nevaluate: {holdout: 0.25, metrics: [mae]}"


def test_it_is_fitted_on_all_rows_and_the_groups_are_as_without_it(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows.loc[:4, "y"] = np.nan
    plain, both = (project(tmp_path / name, rows, f"min_rows: 5\n{more}") for name, more in (("p", ""), ("g", GLOBAL)))
    reporter = RecordingReporter()
    assert run(both, spark, reporter).statuses == run(plain, spark).statuses
    assert outcomes(both) == outcomes(plain)
    (model,) = table(both, "global")
    learnt = rows.dropna(subset="y")
    expected = LinearRegression().fit(learnt[["a", "b"]], learnt["y"])
    fitted = pickle.loads(model["model"])
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(fitted.intercept_, expected.intercept_, rtol=1e-9)
    assert list(fitted.feature_names_in_) == ["a", "b"]
    record, others = version(both), version(plain)
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
    (scheduled,) = reporter.of("family_scheduled")
    assert scheduled == ("sales", 4, 2)
    assert all(done <= 2 for _, done in reporter.of("family_progress"))


def test_it_is_measured_as_a_group_is(spark: Any, tmp_path: Path) -> None:
    folder = project(tmp_path, ROWS, f"{MEASURED}\n{GLOBAL}")
    run(folder, spark)
    found = global_model(folder)
    assert found.n_train + found.n_test == found.n_rows == len(ROWS)
    assert found.n_test > 0
    assert 0 < found.metrics["mae"] < found.baseline["mae"]
    assert version(folder).metrics["mae"].count == 2


def test_a_sample_depends_on_the_rows_and_the_seed_alone(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "GLOBAL_ROWS", 300)
    rows = frame(one=500, two=500, three=500)
    estimator = "spark_estimators.Remember"
    shuffled = rows.sample(frac=1, random_state=3)
    folders = [
        project(tmp_path / "a", rows, estimator=estimator),
        project(tmp_path / "b", shuffled, estimator=estimator),
        project(tmp_path / "c", rows, f"{GLOBAL}\nseed: 1", estimator=estimator),
        project(tmp_path / "d", rows, f"{GLOBAL}\nmax_rows: 60\non_too_many: sample", estimator=estimator),
    ]
    for folder in folders:
        assert run(folder, spark).statuses == {"trained": 3}
    first, again, other, smaller = map(global_model, folders)
    assert first.model_sha256 == again.model_sha256 != other.model_sha256
    assert [model.n_rows for model in (first, again, other, smaller)] == [1500] * 4
    assert 240 < first.n_train < 360  # four times its spread about the 300
    assert 240 < other.n_train < 360
    assert 30 < smaller.n_train <= 60


def test_rows_with_an_inexact_number_are_left_out(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.assign(a=np.arange(len(ROWS)))
    rows.loc[70, "a"] = 2**53 + 1  # of shop `two`
    folder = project(tmp_path, rows, f"{GLOBAL}\nmax_failed: 1")
    assert run(folder, spark).statuses == {"trained": 2, "null_key": 1, "failed": 1}
    found = global_model(folder)
    assert (found.status, found.n_rows, found.n_train) == ("trained", len(rows), len(rows) - 1)


def test_a_global_model_that_fails_is_told_and_the_version_is_published(spark: Any, tmp_path: Path) -> None:
    rows = ROWS.assign(a=ROWS["a"].abs())
    rows.loc[rows.shop == "small", "a"] = -1.0  # too small to be fitted as a group
    folder = project(
        tmp_path, rows, f"{GLOBAL}\nmin_rows: 5\nmax_failed: 0", estimator="spark_estimators.FailsOnNegative"
    )
    console = Console()
    said = io.StringIO()
    with redirect_stderr(said):
        console.err.file = said
        result = run(folder, spark, console)
    assert (result.status, result.statuses) == ("success", {"trained": 2, "too_few_rows": 1, "null_key": 1})
    found = global_model(folder)
    assert (found.status, found.error_type, found.error) == ("failed", "ValueError", "a negative number and more")
    assert found.model_sha256 is None
    assert not table(folder, "global")
    assert "    global model failed: ValueError: a negative number and more\n" in said.getvalue()
    (results,) = folder.glob("target/runs/*/run_results.json")
    (told,) = json.loads(results.read_text())["results"]
    assert (told["faults"], told["global_fault"]["error_type"]) == ([], "ValueError")


@pytest.mark.parametrize(
    ("labels", "kind", "known"),
    [
        ({"one": [1, 2], "two": [2, 30]}, "bigint", ["1", "2", "30"]),
        ({"one": [1.0, 2.0], "two": [1e7, 2.0]}, "double", ["1.0", "1.0E7", "2.0"]),
        ({"one": ["b", "a"], "two": ["é", "a"]}, "string", ["a", "b", "é"]),
        ({"one": [True, False], "two": [True, True]}, "boolean", ["false", "true"]),
    ],
)
def test_classes_are_those_of_all_models_in_the_words_of_spark(
    spark: Any, tmp_path: Path, labels: dict[str, list[Any]], kind: str, known: list[str]
) -> None:
    rows = frame(one=20, two=20)
    rows["late"] = labels["one"] * 10 + labels["two"] * 10
    folder = project(tmp_path, rows, estimator="GaussianNB", label="late")
    run(folder, spark)
    record = version(folder)
    assert (record.label_type, record.classes) == (kind, known)
    assert global_model(folder).status == "trained"
    in_sql = spark.read.parquet(f"file://{folder}/rows.parquet").selectExpr("cast(late as string) late").distinct()
    assert sorted(row.late for row in in_sql.collect()) == known
    (model,) = table(folder, "global")
    assert model["outcome"]["classes"] == [text for text in model["outcome"]["classes"] if text in known]
    assert len(model["outcome"]["classes"]) == len(known)


def test_a_class_that_only_untrained_groups_have_is_known_to_the_global_model(spark: Any, tmp_path: Path) -> None:
    rows = frame(one=20, two=20, small=3)
    rows["kind"] = ["x", "y"] * 20 + ["z"] * 3
    more = "min_rows: 5\npreprocess: {numeric: [StandardScaler]}"
    for name, extra, known in (("p", "", ["x", "y"]), ("g", GLOBAL, ["x", "y", "z"])):
        folder = project(tmp_path / name, rows, f"{more}\n{extra}", estimator="GaussianNB", label="kind")
        run(folder, spark)
        assert version(folder).classes == known


def test_groups_of_two_classes_whose_sample_has_one(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "GLOBAL_ROWS", 3)
    rows = frame(one=400, two=400)
    rows["late"] = np.arange(800) % 100 == 0
    folder = project(tmp_path, rows, estimator="GaussianNB", label="late")
    assert run(folder, spark).statuses == {"trained": 2}
    found = global_model(folder)
    assert found.status in ("one_class", "too_few_rows")
    assert (found.n_train, found.model_sha256) == (0, None)
    assert not table(folder, "global")
