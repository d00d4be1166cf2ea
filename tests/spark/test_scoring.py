"""Scoring a table: every row once, by the model that answers it in Python too, however models and rows meet."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_samples import Group, publish
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from sklearn.linear_model import LinearRegression
from support import RecordingReporter, launched_in, workspace_of, write_project

from modelfactory import ModelStore, open_store
from modelfactory.commands import score
from modelfactory.commands.build import build
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.diagnostics import BuildFailed, Code, InputError
from modelfactory.serving import scoring
from modelfactory.spark.inputs import as_double, as_text

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
    source = """\
    sources:
    - {name: rows, path: rows.parquet}
    - {name: new, path: new.parquet}
    - {name: secret, path: "${env:SECRET:-none}/*"}
    """
    folder = tmp_path_factory.mktemp("scoring") / "p"
    write_project(folder, {"families/f.yml": FAMILIES, "sources/s.yml": source})
    training_rows().to_parquet(folder / "rows.parquet")
    rows_to_score().to_parquet(folder / "new.parquet")
    assert build(workspace_of(folder), RecordingReporter(), session=spark).exit_code == 0
    return folder


@pytest.fixture
def store(project: Path) -> ModelStore:
    return open_store(project / "store")


WAYS = ["the models go to the rows", "the models come with the rows"]


def meet(way: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scoring, "BINS_PER_SLOT", 1)
    if way == WAYS[1]:
        patch.setattr(scoring, "FEW_MODELS", 0)
        patch.setattr(scoring, "LINEAR_BYTES", 0)


Scored = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def scored(spark: SparkSession, project: Path) -> Scored:
    """All rows as a family has scored them, in the order of the input; several tests look at the same."""

    @functools.cache
    def found(family: str, way: str, fallback: bool) -> pd.DataFrame:
        with pytest.MonkeyPatch.context() as patch:
            meet(way, patch)
            rows = open_store(project / "store").family(family).score(given(spark, project), fallback=fallback)
            return pd.DataFrame([row.asDict() for row in rows.collect()], columns=rows.columns, dtype=object)

    return lambda family, way, fallback=True: found(family, way, fallback)


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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("family", "fallback"),
    [
        ("price", True),
        ("price", False),
        ("price_by_shop", True),
        ("line", True),
        ("kind", True),
        ("cluster", True),
        ("strict", True),
    ],
)
def test_every_row_comes_out_once_with_the_answer_that_python_gives(
    scored: Scored, store: ModelStore, family: str, way: str, fallback: bool
) -> None:
    rows, found = rows_to_score(), scored(family, way, fallback=fallback)
    names = ["prediction", *(["probability"] if family == "kind" else []), "model_version", "served_by", "reason"]
    assert found.columns.tolist() == [*rows.columns, *names]
    said = store.family(family).predict(rows, fallback=fallback)
    assert list(said.columns) == names
    assert Counter(as_texts(found[["id", *names]])) == Counter(as_texts(said.assign(id=rows["id"])[["id", *names]]))


def as_texts(rows: pd.DataFrame) -> list[str]:
    return [repr([as_said(value) for value in row]) for row in rows.itertuples(index=False, name=None)]


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


@pytest.mark.parametrize("way", WAYS)
def test_who_answers_and_why(scored: Scored, way: str) -> None:
    found = scored("price", way)
    plain = found[np.isfinite(found["a"].astype(float)) & np.isfinite(found["b"].astype(float))]
    known = plain["shop"].isin(["n", "s", "e"]) & plain["size"].isin([1, 2, 3])
    assert set(plain.loc[known, "served_by"]) == {"group"}
    assert plain.loc[known, "reason"].isna().all()
    assert set(plain.loc[plain["shop"].isin(["n", "s", "e"]) & ~known, "served_by"]) == {"fallback:price_by_shop"}
    others = plain[~plain["shop"].isin(["n", "s", "e"])]
    assert set(others["served_by"]) == {"fallback:global"}
    assert set(others["reason"]) == {"unseen", "too_few_rows"}
    own = found[found["shop"].isin(["n", "s", "e"]) & found["size"].isin([1, 2, 3])]
    assert set(own.loc[own["a"].isna(), "reason"]) <= {"missing_values", "infinite_values"}
    assert own.loc[own["a"].isna(), "prediction"].isna().all()


@pytest.mark.parametrize("way", WAYS)
def test_probabilities_name_every_class_of_the_family(scored: Scored, way: str) -> None:
    found = scored("kind", way).dropna(subset="prediction")
    assert len(found) > 100
    assert {tuple(said) for said in found["probability"]} == {("down", "flat", "up")}
    assert all(sum(said.values()) == pytest.approx(1) for said in found["probability"])
    assert {said["flat"] for said in found.loc[found["shop"] == "n", "probability"]} == {0.0}
    likeliest = [max(said, key=said.__getitem__) for said in found["probability"]]
    assert found["prediction"].tolist() == likeliest


@pytest.mark.parametrize("way", WAYS)
def test_a_category_that_a_model_refuses_costs_its_rows_alone(scored: Scored, way: str) -> None:
    found = scored("strict", way)
    found = found[found["shop"].isin(["n", "s", "e"])]
    refused = found["colour"] == "green"
    assert found.loc[refused, "reason"].str.startswith("predict_failed: ValueError: ").all()
    assert set(found.loc[refused, "served_by"]) == {"none"}
    plain = found["colour"].isin(["red", "blue"])
    assert found.loc[plain, "prediction"].notna().all()


def test_a_key_is_found_by_its_value_not_its_type(spark: SparkSession, store: ModelStore, project: Path) -> None:
    rows = given(spark, project).where("size <= 3 and shop in ('n', 's') and a > -9 and abs(b) < 9 and not isnan(a)")
    types = ["int", "bigint", "smallint", "double", "decimal(9,2)", "string"]
    ways = [
        store.family("price").score(rows.withColumn("size", F.col("size").cast(kind)), fallback=False)
        .select(F.lit(kind).alias("kind"), "served_by")
        for kind in types
    ]  # fmt: skip
    found = functools.reduce(DataFrame.union, ways).groupBy("kind", "served_by").count().collect()
    assert {(row["kind"], row["served_by"]) for row in found} == {(kind, "group") for kind in types}
    assert len({row["count"] for row in found}) == 1


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store of one family, whose group is a moment without a zone and a double."""
    folder = tmp_path_factory.mktemp("moments")
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    groups = [Group(key=(dt.datetime(2024, 3, 1, 5), 2.0**31), model=model)]
    publish(folder, "f", {"at": pa.timestamp("us"), "far": pa.float32()}, groups, features=["x"])
    return open_store(folder)


@pytest.mark.parametrize("way", WAYS)
def test_odd_rows_are_rows(spark: SparkSession, moments: ModelStore, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    meet(way, monkeypatch)
    at, beside = "timestamp_ntz'2024-03-01 05:00:00' as at", "map('k', 1) as `a.map`, 7 as status, 8 as key_0"
    rows = spark.sql(" union all ".join(f"select {at}, {far} as far, 3 as x, {beside}" for far in (2**31 - 1, -1)))
    family = moments.family("f")
    assert [row["reason"] for row in family.score(rows).collect()] == ["unseen", "unseen"]  # 2**31 is another number
    known = family.score(rows.withColumn("far", F.lit(float(2**31)))).collect()
    assert [(row["prediction"], row["status"], row["key_0"], row["a.map"]) for row in known] == [
        (pytest.approx(6.0), 7, 8, {"k": 1})
    ] * 2


def test_moments_travel_alike_in_every_zone(spark: SparkSession) -> None:
    texts = ["1969-12-31 23:59:59.999999", "2024-03-31 02:30:00", "2024-10-27 02:30:00.5", "0001-01-01 00:00:00"]
    rows = spark.createDataFrame([(text,) for text in texts], "text string")

    def travelling() -> list[Any]:
        naive, utc = F.col("text").cast("timestamp_ntz"), F.expr("cast(text || 'Z' as timestamp)")
        return rows.select(
            as_double(naive, T.TimestampNTZType()), as_double(utc, T.TimestampType()), as_text(utc, T.TimestampType())
        ).collect()

    in_utc = travelling()
    assert [row[0] for row in in_utc] == [row[1] for row in in_utc]
    assert [row[2] for row in in_utc] == [
        row[0] for row in rows.selectExpr("cast(cast(text || 'Z' as timestamp) as string)").collect()
    ]
    spark.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    try:
        assert travelling() == in_utc
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


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
    wrong = rows.select("*", F.lit(1).alias("EXTRA"), F.lit(1).alias("_mf_number"))
    with pytest.raises(InputError, match="two columns `extra`") as caught:
        store.family("price").score(wrong)
    assert "`_mf_number`, which is one that scoring adds" in str(caught.value)
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


@pytest.fixture
def score_by(spark: SparkSession, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`mf score` in the session of the tests."""

    monkeypatch.setattr(score, "launched", launched_in(spark))

    def run(family: str, input: str, output: Path | str, **more: Any) -> Any:
        options = ProjectOptions(project_dir=project, variables={}, environ={"SECRET": "hunter2"})
        wanted = score.Scoring(family=family, input=input, output=str(output), **more)
        return score.score_table(options, RecordingReporter(), wanted)

    return run


def test_what_was_at_the_output_stays_until_the_new_rows_are_whole(
    project: Path, tmp_path: Path, score_by: Callable[..., Any]
) -> None:
    out = tmp_path / "an out%20 ü.csv"
    score_by("kind", str(project / "new.parquet"), out, where="id < 60")
    before = [file.read_bytes() for file in sorted(out.glob("part-*"))]
    said = pd.concat([pd.read_csv(file) for file in out.glob("part-*")])["probability"].dropna()
    assert json.loads(said.iloc[0]).keys() == {"down", "flat", "up"}
    with pytest.raises(InputError, match="exists"):
        score_by("kind", "new", out)
    (models,) = (project / "store").glob("kind/v*/models/part-00000.parquet")
    whole = models.read_bytes()
    try:
        table = pq.read_table(models)
        data = pa.array([bytes([*model[:-2], model[-2] ^ 1, model[-1]]) for model in table["model"].to_pylist()])
        pq.write_table(table.set_column(table.schema.get_field_index("model"), "model", data), models)
        with pytest.raises(InputError, match="SHA-256") as caught:
            score_by("kind", "new", out, mode="overwrite")
        assert [d.code for d in caught.value.diagnostics] == [Code.UNSAFE_MODEL]
    finally:
        models.write_bytes(whole)
    assert [file.read_bytes() for file in sorted(out.glob("part-*"))] == before
    score_by("kind", "new", out, mode="overwrite", where="id = 7")
    score_by("kind", "new", out, mode="append", where="id = 8")
    assert sorted(pd.concat([pd.read_csv(file) for file in out.glob("part-*")])["id"]) == [7, 8]
    with pytest.raises(InputError, match="has other columns"):
        score_by("price", "new", out, mode="append")
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_values_of_the_environment_are_told_by_name(
    project: Path, tmp_path: Path, score_by: Callable[..., Any]
) -> None:
    (project / "hunter2").mkdir(exist_ok=True)
    whole = (project / "new.parquet").read_bytes()
    (project / "hunter2" / "a.parquet").write_bytes(whole[:4] + bytes(400) + whole[404:])
    with pytest.raises(BuildFailed) as caught:
        score_by("price", "secret", tmp_path / "out")
    assert "hunter2" not in str(caught.value)
    assert "${env:SECRET}" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_who_does_not_stand_in_need_not_be_there(project: Path, tmp_path: Path, score_by: Callable[..., Any]) -> None:
    gone, away = project / "store" / "price_by_shop", project / "away"
    gone.rename(away)
    try:
        with pytest.raises(InputError, match="was never built"):
            score_by("price", "new", tmp_path / "out")
        assert score_by("price", "new", tmp_path / "out", fallback=False).rows == len(rows_to_score())
    finally:
        away.rename(gone)


@pytest.mark.parametrize(
    ("family", "more", "said"),
    [
        ("nobody", {"input": "new"}, "no family `nobody`"),
        ("price", {"input": "neww"}, "did you mean `new`?"),
        ("price", {"input": "gone/x.parquet"}, "does not exist"),
        ("price", {"input": "new", "version": 9}, "has no version 9"),
        ("price", {"input": "new", "where": "idd = 1"}, "--where"),
        ("price", {"input": "new", "input_format": "csv"}, "declared source"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(
    score_by: Callable[..., Any], tmp_path: Path, family: str, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        score_by(family, output=tmp_path / "out", **more)
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())
