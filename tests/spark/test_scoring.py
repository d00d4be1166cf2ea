"""Scoring a table: every row once, by the model that answers it in Python too, however models and rows meet."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from support import RecordingReporter, workspace_of, write_project

from modelfactory import ModelStore, open_store
from modelfactory.commands.build import build
from modelfactory.diagnostics import Code, InputError
from modelfactory.serving import scoring

FAMILIES = """\
families:
- name: price
  group_by: [shop, size]
  source: rows
  features: [a, b]
  label: y
  estimator: LinearRegression
  min_rows: 5
  fallback: price_by_shop
- name: price_by_shop
  group_by: [shop]
  source: rows
  features: [a, {name: colour, kind: categorical}]
  label: y
  min_rows: 8
  preprocess: {categorical: [{class: OneHotEncoder, params: {handle_unknown: ignore}}], numeric: [SimpleImputer]}
  estimator: {class: DecisionTreeRegressor, params: {max_depth: 4}}
  fallback: global
- name: line
  group_by: [shop]
  source: rows
  features: [a, b, size]
  label: y
  preprocess: {numeric: [StandardScaler]}
  estimator: {class: Ridge, params: {alpha: 0.5}}
  fallback: global
- name: kind
  group_by: [shop]
  source: rows
  where: kind is not null
  features: [a, b]
  label: kind
  estimator: {class: DecisionTreeClassifier, params: {max_depth: 3}}
- name: cluster
  group_by: [shop]
  source: rows
  features: [a]
  estimator: {class: KMeans, params: {n_clusters: 2, n_init: 1}}
- name: strict
  group_by: [shop]
  source: rows
  features: [{name: colour, kind: categorical}]
  label: y
  preprocess: {categorical: [OneHotEncoder]}
  estimator: Ridge
"""


def training_rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 400
    rows = pd.DataFrame(
        {
            "shop": rng.choice(["n", "s", "e"], n),
            "size": rng.integers(1, 4, n).astype("int32"),
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "colour": rng.choice(["red", "blue"], n),
        }
    )
    rows["y"] = 2 * rows["a"] - rows["b"] + rows["size"] + rng.normal(size=n) / 10
    rows["kind"] = np.where(rows["a"] > 0, "up", "down")
    rows.loc[(rows["shop"] == "s") & (rows["b"] > 0.5), "kind"] = "flat"
    tiny = pd.DataFrame({"shop": "w", "size": [1, 2], "a": [0.0, 1.0], "b": 0.0, "colour": "red", "y": [1.0, 2.0]})
    return pd.concat([rows, tiny.astype({"size": "int32"})], ignore_index=True)


def rows_to_score() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 300
    rows = pd.DataFrame(
        {
            "extra": rng.integers(0, 9, n),
            "b": rng.normal(size=n),
            "colour": rng.choice(["red", "blue", "green"], n),
            "size": pd.array(rng.integers(1, 6, n), dtype="Int64"),
            "a": rng.normal(size=n),
            "shop": rng.choice(np.array(["n", "s", "e", "w", "new", None], dtype=object), n),
            "id": np.arange(n),
        }
    )
    rows.loc[:20, "a"] = np.nan
    rows.loc[15:25, "b"] = np.inf
    rows.loc[30:40, "size"] = pd.NA
    rows.loc[40:45, "colour"] = None
    return pd.concat([rows, rows.iloc[50:60]], ignore_index=True)


@pytest.fixture(scope="module")
def project(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = "sources: [{name: rows, path: rows.parquet}, {name: new, path: new.parquet}]"
    folder = tmp_path_factory.mktemp("scoring") / "p"
    write_project(folder, {"families/f.yml": FAMILIES, "sources/s.yml": source})
    training_rows().to_parquet(folder / "rows.parquet")
    rows_to_score().to_parquet(folder / "new.parquet")
    assert build(workspace_of(folder), RecordingReporter(), session=spark).exit_code == 0
    return folder


@pytest.fixture
def store(project: Path) -> ModelStore:
    return open_store(project / "store")


@pytest.fixture(params=["the models go to the rows", "the models come with the rows"])
def met(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the models come with the rows":
        monkeypatch.setattr(scoring, "FEW_MODELS", 0)
        monkeypatch.setattr(scoring, "LINEAR_BYTES", 0)


def given(spark: SparkSession, project: Path) -> DataFrame:
    return spark.read.parquet(str(project / "new.parquet"))


def as_said(value: Any) -> Any:
    """Return a value such that two of the same are equal."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, dict):
        return {name: as_said(item) for name, item in value.items()}
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return round(float(value), 9) if isinstance(value, float) else value


@pytest.mark.usefixtures("met")
@pytest.mark.parametrize("family", ["price", "price_by_shop", "line", "kind", "cluster", "strict"])
@pytest.mark.parametrize("fallback", [True, False])
def test_every_row_comes_out_once_with_the_answer_that_python_gives(
    spark: SparkSession, project: Path, store: ModelStore, family: str, fallback: bool
) -> None:
    rows = rows_to_score()
    scored = store.family(family).score(given(spark, project), fallback=fallback)
    names = ["prediction", *(["probability"] if family == "kind" else []), "model_version", "served_by", "reason"]
    assert scored.columns == [*rows.columns, *names]
    said = store.family(family).predict(rows, fallback=fallback)
    assert list(said.columns) == names
    expected = zip(rows["id"], *(said[name] for name in names), strict=True)
    found = [row.asDict() for row in scored.select("id", *names).collect()]
    as_text = [repr([as_said(value) for value in row]) for row in expected]
    assert Counter(repr([as_said(row[name]) for name in ("id", *names)]) for row in found) == Counter(as_text)


def test_a_formula_gives_what_workers_give(
    spark: SparkSession, project: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = given(spark, project)
    chosen = ["id", "prediction", "served_by", "reason"]
    by_formula = store.family("line").score(rows)
    assert "ArrowEvalPython" not in plan_of(by_formula)
    monkeypatch.setattr(scoring, "FORMULA_FEATURES", 0)
    by_workers = store.family("line").score(rows)
    assert "ArrowEvalPython" in plan_of(by_workers)
    left, right = (
        [repr([as_said(v) for v in row]) for row in way.select(*chosen).collect()] for way in (by_formula, by_workers)
    )
    assert Counter(left) == Counter(right)
    assert {"missing_values", "infinite_values"} <= {row["reason"] for row in by_formula.collect()}


def plan_of(frame: DataFrame) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        frame.explain()
    return text.getvalue()


@pytest.mark.usefixtures("met")
def test_who_answers_and_why(spark: SparkSession, project: Path, store: ModelStore) -> None:
    scored = store.family("price").score(given(spark, project)).toPandas()
    plain = scored[np.isfinite(scored["a"]) & np.isfinite(scored["b"])]
    known = plain["shop"].isin(["n", "s", "e"]) & plain["size"].isin([1, 2, 3])
    assert set(plain.loc[known, "served_by"]) == {"group"}
    assert plain.loc[known, "reason"].isna().all()
    assert set(plain.loc[plain["shop"].isin(["n", "s", "e"]) & ~known, "served_by"]) == {"fallback:price_by_shop"}
    others = plain[~plain["shop"].isin(["n", "s", "e"])]
    assert set(others["served_by"]) == {"fallback:global"}
    assert set(others["reason"]) == {"unseen", "too_few_rows"}
    own = scored[scored["shop"].isin(["n", "s", "e"]) & scored["size"].isin([1, 2, 3])]
    assert set(own.loc[own["a"].isna(), "reason"]) <= {"missing_values", "infinite_values"}
    assert own.loc[own["a"].isna(), "prediction"].isna().all()


@pytest.mark.usefixtures("met")
def test_probabilities_name_every_class_of_the_family(spark: SparkSession, project: Path, store: ModelStore) -> None:
    scored = store.family("kind").score(given(spark, project)).where("prediction is not null").toPandas()
    assert len(scored) > 100
    assert {tuple(found) for found in scored["probability"]} == {("down", "flat", "up")}
    assert all(sum(found.values()) == pytest.approx(1) for found in scored["probability"])
    assert {found["flat"] for found in scored.loc[scored["shop"] == "n", "probability"]} == {0.0}
    likeliest = [max(found, key=found.__getitem__) for found in scored["probability"]]
    assert scored["prediction"].tolist() == likeliest


@pytest.mark.usefixtures("met")
def test_a_category_that_a_model_refuses_costs_its_rows_alone(
    spark: SparkSession, project: Path, store: ModelStore
) -> None:
    scored = store.family("strict").score(given(spark, project)).where("shop in ('n', 's', 'e')").toPandas()
    refused = scored["colour"] == "green"
    assert scored.loc[refused, "reason"].str.startswith("predict_failed: ValueError: ").all()
    assert set(scored.loc[refused, "served_by"]) == {"none"}
    plain = scored["colour"].isin(["red", "blue"])
    assert scored.loc[plain, "prediction"].notna().all()


@pytest.mark.usefixtures("met")
@pytest.mark.parametrize(
    ("cast", "share"),
    [("bigint", 1.0), ("smallint", 1.0), ("double", 1.0), ("decimal(9,2)", 1.0), ("string", 1.0)],
)
def test_a_key_is_found_by_its_value_not_its_type(
    spark: SparkSession, store: ModelStore, project: Path, cast: str, share: float
) -> None:
    rows = given(spark, project).where("size <= 3 and shop in ('n', 's') and a > -9 and abs(b) < 9 and not isnan(a)")
    scored = store.family("price").score(rows.withColumn("size", F.col("size").cast(cast)), fallback=False)
    assert scored.where("served_by = 'group'").count() == rows.count() * share > 0


def test_a_number_that_is_no_whole_one_is_no_key_and_no_row_comes_twice(spark: SparkSession, store: ModelStore) -> None:
    rows = spark.createDataFrame(
        [("n", size, 0.0, 0.0) for size in (1.0, 1.5, float("nan"), 1e300, -1.0)],
        "shop string, size double, a double, b double",
    )
    scored = store.family("price").score(rows, fallback=False).collect()
    assert [row["reason"] for row in sorted(scored, key=lambda row: row["size"] != 1.0)] == [None, *["unseen"] * 4]


def test_text_that_is_no_number_is_no_key(spark: SparkSession, store: ModelStore) -> None:
    rows = spark.createDataFrame(
        [("n", "1", 0.0, 0.0), ("n", "one", 0.0, 0.0)], "shop string, size string, a double, b double"
    )
    scored = store.family("price").score(rows, fallback=False).collect()
    assert {(row["size"], row["reason"]) for row in scored} == {("1", None), ("one", "unseen")}


def test_what_does_not_fit_is_told_at_once(spark: SparkSession, project: Path, store: ModelStore) -> None:
    rows = given(spark, project)
    with pytest.raises(InputError) as caught:
        store.family("price").score(
            rows.drop("a", "shop").withColumnRenamed("b", "B").withColumn("served_by", F.lit(1))
        )
    assert [(d.code, d.message.split("`")[1]) for d in caught.value.diagnostics] == [
        (Code.MISSING_COLUMN, "shop"),
        (Code.MISSING_COLUMN, "a"),
        (Code.RESERVED_COLUMN, "served_by"),
    ]
    with pytest.raises(InputError, match="`colour` is array"):
        store.family("strict").score(rows.withColumn("colour", F.array("colour")))
    with pytest.raises(InputError, match="group column `shop` is int"):
        store.family("strict").score(rows.withColumn("shop", F.lit(1)))


def test_a_number_that_a_double_cannot_hold_is_not_rounded(spark: SparkSession, store: ModelStore) -> None:
    rows = spark.createDataFrame(
        [("n", 1, 2**53 + 1, 0.0), ("n", 1, 2**53, 0.0)], "shop string, size int, a bigint, b double"
    )
    scored = {
        row["a"]: (row["reason"], row["prediction"])
        for row in store.family("price").score(rows, fallback=False).collect()
    }
    assert scored[2**53 + 1] == ("inexact_numbers", None)
    assert scored[2**53][0] is None


def test_no_rows_are_no_answers(spark: SparkSession, project: Path, store: ModelStore) -> None:
    assert store.family("price").score(given(spark, project).limit(0)).count() == 0


def mf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelfactory", *arguments, "--project-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


def test_the_command_accounts_for_every_row(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    done = mf(
        project, "score", "price", "--input", "new", "--output", str(out), "--where", "id < 200", "--log-format", "json"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    written = pq.read_table(out).to_pandas()
    wanted = rows_to_score().query("id < 200")
    assert sorted(written["id"]) == sorted(wanted["id"])
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["n_rows"] == len(wanted)
    assert {name: n for name, n in told["served_by"].items() if n} == dict(Counter(written["served_by"]))
    assert told["reasons"] == dict(Counter(written["reason"].dropna()))


def test_what_was_at_the_output_stays_until_the_new_rows_are_whole(project: Path, tmp_path: Path) -> None:
    store = project / "store"
    out = tmp_path / "out.csv"
    first = mf(project, "score", "kind", "-i", str(project / "new.parquet"), "-o", str(out), "--where", "id < 60")
    assert first.returncode == 0, first.stderr
    before = [file.read_bytes() for file in sorted(out.glob("part-*"))]
    said = pd.concat([pd.read_csv(file) for file in out.glob("part-*")])["probability"].dropna()
    assert json.loads(said.iloc[0]).keys() == {"down", "flat", "up"}
    refused = mf(project, "score", "kind", "-i", "new", "-o", str(out))
    assert refused.returncode == 2
    assert "exists" in refused.stderr
    (models,) = store.glob("kind/v*/models/part-00000.parquet")
    whole = models.read_bytes()
    try:
        table = pq.read_table(models)
        data = pa.array([bytes([*model[:-2], model[-2] ^ 1, model[-1]]) for model in table["model"].to_pylist()])
        pq.write_table(table.set_column(table.schema.get_field_index("model"), "model", data), models)
        tampered = mf(project, "score", "kind", "-i", "new", "-o", str(out), "--mode", "overwrite")
    finally:
        models.write_bytes(whole)
    assert tampered.returncode == 2
    assert "error[MF507]" in tampered.stderr
    assert "SHA-256" in tampered.stderr
    assert "Traceback" not in tampered.stderr
    assert [file.read_bytes() for file in sorted(out.glob("part-*"))] == before
    again = mf(project, "score", "kind", "-i", "new", "-o", str(out), "--mode", "overwrite", "--where", "id = 7")
    assert again.returncode == 0, again.stderr
    assert sum(len(pd.read_csv(file)) for file in out.glob("part-*")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "-i", "new"), "no family `nobody`"),
        (("price", "-i", "neww"), "did you mean `new`?"),
        (("price", "-i", "gone/x.parquet"), "does not exist"),
        (("price", "-i", "new", "--version", "9"), "has no version 9"),
        (("price", "-i", "new", "--where", "idd = 1"), "--where"),
        (("price", "-i", "new", "--input-format", "csv"), "declared source"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(
    project: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = mf(project, "score", *arguments, "-o", str(tmp_path / "out"))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
