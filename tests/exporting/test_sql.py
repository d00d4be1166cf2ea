"""Linear families as SQL: a database gives the answers that `Family.predict` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import modelfactory as mf
from modelfactory.diagnostics import InputError
from modelfactory.exporting.exported import Exported
from modelfactory.exporting.sql_files import FILES, write_sql

TEXT = {"k": pa.string()}
SCALED = Pipeline([("scale", StandardScaler()), ("model", Ridge())])


def scored(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Run an exported query in DuckDB; the rows come in their order, with the columns of the answers."""
    with duckdb.connect() as database:
        database.register("input_rows", pa.table({"row": range(len(rows))} | dict(arrow(rows))))
        for table in folder.glob("*.parquet"):
            database.execute(f"create view {table.stem} as select * from read_parquet('{table}')")
        answers = database.sql((folder / "score.sql").read_text(encoding="utf-8")).to_arrow_table()
    assert answers.num_rows == len(rows)
    return answers.sort_by("row").select(["prediction", "model_version", "served_by", "reason"]).to_pandas()


def arrow(rows: pd.DataFrame) -> Any:
    """Turn rows into columns of Arrow in which NaN is NaN and None is null."""
    for name, values in rows.items():
        yield name, pa.array(values.tolist(), from_pandas=False)


def check_same(family: mf.Family, folder: Path, rows: pd.DataFrame, *, fallback: bool = True) -> None:
    want, found = family.predict(rows, fallback=fallback), scored(folder, rows)
    np.testing.assert_allclose(found["prediction"], want["prediction"], rtol=1e-9)
    for column in ("model_version", "served_by", "reason"):
        assert found[column].astype(object).where(found[column].notna(), None).tolist() == [
            None if pd.isna(value) else value for value in want[column]
        ]


CENTERED = Pipeline([("scale", StandardScaler(with_std=False)), ("model", LinearRegression())])


@pytest.mark.parametrize("estimator", [LinearRegression(), SCALED, CENTERED], ids=["plain", "scaled", "centered"])
def test_a_database_predicts_what_the_models_do(estimator: Any, tmp_path: Path) -> None:
    groups = [*sample_groups(estimator, ["a", "b", None]), Group(key=("few",), status="too_few_rows")]
    publish(tmp_path / "store", "f", TEXT, groups)
    family = mf.open_store(tmp_path / "store").family("f")
    assert write_sql(family.chain(), tmp_path / "out") == Exported(exported=3, without_model=1)
    rows = sample_rows(9, seed=5)
    rows["k"] = ["a", "b", None, "few", "unheard-of", "a", "b", "b", "few"]
    rows.loc[5, "x0"], rows.loc[6, "x1"], rows.loc[7, ["x0", "x1"]] = np.nan, -np.inf, [np.inf, np.nan]
    rows.loc[8, "x0"] = np.nan
    check_same(family, tmp_path / "out", rows)


def test_a_mean_that_is_large_beside_its_scale_costs_no_digits(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x0": 1.7e9 + np.arange(40) * 1e-3, "x1": np.linspace(0, 1, 40)})
    model = fitted(SCALED, rows, sample_label(rows - rows.mean()))
    publish(tmp_path / "store", "f", TEXT, [Group(key=("a",), model=model)])
    family = mf.open_store(tmp_path / "store").family("f")
    write_sql(family.chain(), tmp_path / "out")
    check_same(family, tmp_path / "out", rows.assign(k="a"))


def chained(root: Path, coarse: Any = LinearRegression()) -> mf.Family:  # noqa: B008
    """A family by two columns, one by the first of them, and the model of all rows behind that."""
    whole = fitted(SCALED, sample_rows(seed=99), sample_label(sample_rows(seed=99)))
    own = [*sample_groups(LinearRegression(), [("a", 1), ("b", 1)]), Group(key=("a", 2), status="failed")]
    publish(root, "coarse", TEXT, [])
    of_coarse = [*sample_groups(coarse, ["a", "c"], features=("x1",)), Group(key=("d",), status="failed")]
    publish(root, "coarse", TEXT, of_coarse, features=("x1",))
    publish(root, "fine", {"k": pa.string(), "day": pa.int32()}, own, fallback="coarse")
    publish(root, "alone", TEXT, sample_groups(LinearRegression(), ["a"]), fallback="global", global_model=whole)
    return mf.open_store(root).family("fine")


def test_a_coarser_family_and_the_model_of_all_rows_stand_in(tmp_path: Path) -> None:
    family = chained(tmp_path / "store")
    write_sql(family.chain(), tmp_path / "out")
    rows = sample_rows(8, seed=4).assign(k=["a", "a", "c", "d", "q", "b", "a", None], day=[1, 2, 1, 1, 9, 1, 2, 1])
    rows.loc[6, "x1"] = np.nan
    check_same(family, tmp_path / "out", rows)
    write_sql(family.chain(fallback=False), tmp_path / "alone")
    check_same(family, tmp_path / "alone", rows, fallback=False)

    whole = mf.open_store(tmp_path / "store").family("alone")
    write_sql(whole.chain(), tmp_path / "whole")
    check_same(whole, tmp_path / "whole", rows)


def test_names_are_quoted_and_never_meet(tmp_path: Path) -> None:
    features = ("order", 'a "b"', "intercept", "Intercept_")
    keys = {"group": pa.string(), "coef_order": pa.int64()}
    groups = sample_groups(SCALED, [("it's", 1), ("b", 2)], features=features)
    publish(tmp_path / "store", "f", keys, groups, features=features)
    family = mf.open_store(tmp_path / "store").family("f")
    write_sql(family.chain(), tmp_path / "out")
    rows = sample_rows(3, features, seed=3).assign(group=["it's", "b", "b"], coef_order=[1, 2, 3])
    check_same(family, tmp_path / "out", rows)
    spark = (tmp_path / "out" / "score_spark.sql").read_text(encoding="utf-8")
    assert '`a "b"`' in spark
    assert "double precision" not in spark


@settings(max_examples=40, deadline=None)  # the first example may wait for other processes
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_name_is_quoted(name: str) -> None:
    dialect = FILES["score.sql"]
    with duckdb.connect() as database:
        assert database.sql(f"select 1 as {dialect.name(name)}").columns == [name]


def test_a_model_is_a_row_of_numbers(tmp_path: Path) -> None:
    groups = [*sample_groups(LinearRegression(), ["a"]), Group(key=("b",), status="failed")]
    publish(tmp_path / "store", "f", TEXT, groups)
    write_sql(mf.open_store(tmp_path / "store").family("f").chain(), tmp_path / "out")
    model = groups[0].model
    assert pq.read_table(tmp_path / "out" / "coefficients.parquet").to_pylist() == [
        {
            "k": "a",
            "status": "trained",
            "model_version": 1,
            "intercept": model.intercept_,
            "coef_x0": model.coef_[0],
            "coef_x1": model.coef_[1],
        },
        dict.fromkeys(["model_version", "intercept", "coef_x0", "coef_x1"]) | {"k": "b", "status": "failed"},
    ]


def test_what_is_not_linear_is_refused_by_name(tmp_path: Path) -> None:
    forest = RandomForestRegressor(n_estimators=2)
    family = chained(tmp_path / "store", coarse=forest)
    with pytest.raises(
        InputError, match=r"family `coarse` cannot be written as SQL: .*RandomForestRegressor"
    ) as caught:
        write_sql(family.chain(), tmp_path / "out")
    assert caught.value.diagnostics[0].help == "`--no-fallback` leaves it out"
    publish(
        tmp_path / "store",
        "c",
        TEXT,
        sample_groups(LogisticRegression(), ["a"], classes=lambda _: (0, 1)),
        task="classification",
    )
    publish(tmp_path / "store", "none", TEXT, [Group(key=("a",), status="failed")])
    store = mf.open_store(tmp_path / "store")
    with pytest.raises(InputError, match="LogisticRegression"):
        write_sql(store.family("c").chain(), tmp_path / "out")
    with pytest.raises(InputError, match="no group has a model"):
        write_sql(store.family("none").chain(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_family_whose_groups_have_different_models_is_refused_by_what_stands_in_the_way(tmp_path: Path) -> None:
    """A search chooses a model for each group: linear ones of different classes are one table, others are none."""
    store = tmp_path / "store"
    ridge, plain = sample_groups(Ridge(), ["a"]), sample_groups(LinearRegression(), ["b"])
    publish(store, "linear", TEXT, [*ridge, *plain])
    publish(store, "mixed", TEXT, [*ridge, *sample_groups(RandomForestRegressor(n_estimators=2), ["b", "c"])])
    publish(store, "unlike", TEXT, [*sample_groups(SCALED, ["a", "c"]), *plain])
    opened = mf.open_store(store)
    assert write_sql(opened.family("linear").chain(), tmp_path / "out") == Exported(exported=2, without_model=0)
    check_same(opened.family("linear"), tmp_path / "out", sample_rows(9).assign(k=list("abzabzabz")))
    with pytest.raises(InputError, match="not all linear regressors; one is RandomForestRegressor"):
        write_sql(opened.family("mixed").chain(), tmp_path / "mixed")
    with pytest.raises(InputError, match=r"are not alike: .*2 groups with StandardScaler, Ridge") as caught:
        write_sql(opened.family("unlike").chain(), tmp_path / "unlike")
    assert "1 group with LinearRegression" in str(caught.value.diagnostics[0].message)
