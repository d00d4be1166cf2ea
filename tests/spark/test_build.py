"""`build` on small data: outcomes, accounting, publishing."""

from __future__ import annotations

import json
import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression
from support import RecordingReporter, workspace_of, write_project

from modelfactory import open_store
from modelfactory.commands.build import build
from modelfactory.commands.inspect import list_families, list_groups
from modelfactory.commands.report import FamilyResult
from modelfactory.commands.scope import Scope
from modelfactory.diagnostics import InputError
from modelfactory.plan.outcomes import GROUP_COLUMNS
from modelfactory.store.candidates import candidate_of
from modelfactory.store.store import Store

FAMILY = """
families:
  - name: sales
    group_by: [{keys}]
    source: rows
    features: [{features}]
    label: y
    estimator: {estimator}
    {more}
"""


def project(
    folder: Path,
    table: pa.Table | pd.DataFrame,
    *,
    keys: str = "shop",
    features: str = "a, b",
    estimator: str = "LinearRegression",
    more: str = "",
) -> Path:
    """Write a project with one family over one Parquet file."""
    table = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data/rows.parquet")
    packages = "estimator_packages: [sklearn, spark_estimators]"
    family = FAMILY.format(keys=keys, features=features, estimator=estimator, more=more.replace("\n", "\n    "))
    return write_project(
        folder,
        {
            "mf_project.yml": f"name: demo\n{packages}\n",
            "sources/rows.yml": "sources:\n  - {name: rows, path: data/rows.parquet}\n",
            "families/sales.yml": family,
        },
    )


def run(folder: Path, spark: Any, *, full_refresh: bool = False) -> FamilyResult:
    """Build the only family of a project."""
    scope = Scope(full_refresh=full_refresh)
    return build(workspace_of(folder), RecordingReporter(), session=spark, scope=scope).families[0]


def groups(folder: Path, *, where: str | None = None) -> list[dict[str, Any]]:
    """Return the current group table of the family."""
    table = list_groups(workspace_of(folder), "sales", where=where, sort=None, limit=None)
    return table.to_pylist(maps_as_pydicts="strict")


def models(folder: Path) -> dict[Any, Any]:
    """Return the models of the current version by key (a single value where there is one group column)."""
    store = Store(folder / "store")
    manifest = store.manifest("sales")
    assert manifest is not None
    version = manifest.version()
    assert version is not None
    found = {}
    for file in store.files("sales", version, "models"):
        for row in pq.read_table(file).to_pylist():
            key = tuple(row[name] for name in version.group_by)
            found[key[0] if len(key) == 1 else key] = pickle.loads(row["model"])
    return found


def frame(**sizes: int) -> pd.DataFrame:
    """Make rows of a linear law for each shop, with small whole numbers so that sums are exact."""
    rng = np.random.default_rng(7)
    parts = []
    for shop, n in sizes.items():
        a, b = rng.integers(0, 50, n).astype(float), rng.integers(0, 50, n).astype(float)
        parts.append(pd.DataFrame({"shop": shop, "a": a, "b": b, "y": 3 * a - b + rng.integers(0, 9, n)}))
    return pd.concat(parts, ignore_index=True)


def test_a_folder_whose_name_looks_like_a_pattern(spark, tmp_path):
    folder = project(tmp_path / "a [1] {b}", frame(x=9, y=12))
    assert run(folder, spark).statuses == {"trained": 2}


@pytest.mark.parametrize(
    "estimator", ["LinearRegression", "{class: RandomForestRegressor, params: {n_estimators: 50}}"]
)
def test_a_model_is_loaded_however_it_is_stored(spark, tmp_path, estimator):
    folder = project(tmp_path, frame(x=90, y=12), estimator=estimator)
    run(folder, spark)
    model = open_store(folder / "store").family("sales").model(shop="x")
    assert model.n_features_in_ == 2


class TestOutcomes:
    def test_every_group_has_one_outcome_and_the_rows_add_up(self, spark, tmp_path):
        rows = frame(big=40, small=4, single=1)
        rows.loc[rows.index[:6], "y"] = np.nan
        nobody = frame(nobody=5).assign(shop=None)
        folder = project(tmp_path, pd.concat([rows, nobody]), more="min_rows: 5\nevaluate: {holdout: 0.25}")
        result = run(folder, spark)
        found = {g["shop"]: g for g in groups(folder)}
        assert {k: g["status"] for k, g in found.items()} == {
            "big": "trained",
            "small": "too_few_rows",
            "single": "too_few_rows",
            None: "null_key",
        }
        assert sum(g["n_rows"] for g in found.values()) == len(rows) + len(nobody)
        assert found["big"]["n_rows"] == 40
        assert found["big"]["n_train"] + found["big"]["n_test"] == 34
        assert found["big"]["warnings"] == ["6 rows without a label left out"]
        assert result.statuses == {"trained": 1, "too_few_rows": 2, "null_key": 1}
        assert list(models(folder)) == ["big"]

    def test_the_group_table_has_the_columns_of_the_contract(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=9))
        run(folder, spark)
        assert tuple(groups(folder)[0]) == ("shop", *GROUP_COLUMNS)

    def test_a_failed_group_is_a_row_and_its_neighbours_are_trained(self, spark, tmp_path):
        rows = frame(one=10, two=10, three=10)
        rows.loc[rows.shop == "two", "a"] = -1.0
        folder = project(tmp_path, rows, estimator="spark_estimators.FailsOnNegative", more="max_failed: 1")
        result = run(folder, spark)
        found = {g["shop"]: g for g in groups(folder)}
        assert result.status == "success"
        assert (found["two"]["status"], found["two"]["error_type"]) == ("failed", "ValueError")
        assert found["two"]["error"] == "a negative number and more"
        assert found["two"]["model_version"] is None
        assert found["one"]["status"] == found["three"]["status"] == "trained"
        assert set(models(folder)) == {"one", "three"}
        assert result.faults[0].count == 1
        assert result.faults[0].example == {"shop": "two"}

    def test_too_many_failures_leave_the_former_version_current(self, spark, tmp_path):
        rows = frame(one=10, two=10)
        folder = project(tmp_path, rows, estimator="spark_estimators.FailsOnNegative")
        assert run(folder, spark).version == 1
        rows.loc[rows.shop == "two", "a"] = -1.0
        project(tmp_path, rows, estimator="spark_estimators.FailsOnNegative")
        refused = run(folder, spark)
        manifest = Store(folder / "store").manifest("sales")
        assert (refused.status, refused.version, refused.exit_code) == ("error", None, 1)
        assert manifest is not None
        assert manifest.current == 1
        assert len(manifest.versions) == 1
        candidate = candidate_of(Store(folder / "store"), "sales", manifest)
        assert candidate is not None
        assert (candidate.version.number, candidate.version.statuses) == (2, {"reused": 1, "failed": 1})
        assert candidate.why == ["1 of 2 groups of family `sales` failed, 0 may; the version is not published"]
        assert not (folder / "store/sales/_staging").exists()

    def test_a_group_over_its_time_is_a_row(self, spark, tmp_path):
        rows = frame(one=10, two=10)
        rows.loc[rows.shop == "two", "a"] = -1.0
        more = "timeout: 1s\nmax_failed: 50%"
        folder = project(tmp_path, rows, estimator="spark_estimators.Slow", more=more)
        run(folder, spark)
        assert {g["shop"]: g["status"] for g in groups(folder)} == {"one": "trained", "two": "timed_out"}

    def test_big_groups_are_not_shipped(self, spark, tmp_path):
        folder = project(tmp_path, frame(big=30, fit=20), more="max_rows: 20")
        run(folder, spark)
        assert {g["shop"]: g["status"] for g in groups(folder)} == {"big": "too_many_rows", "fit": "trained"}

    def test_big_groups_can_be_fitted_on_a_sample(self, spark, tmp_path):
        rows = frame(big=300, fit=20, none=5)
        rows["y"] = rows["y"].where(rows.index >= 50)  # the first 50 rows of the big one
        twice = pd.concat([rows, rows[rows.shop == "big"]])  # rows that are equal have one hash
        more = "max_rows: 40\non_too_many: sample\nevaluate: {holdout: 0.25, metrics: [mae]}"
        folder = project(tmp_path / "a", twice, estimator="spark_estimators.Remember", more=more)
        run(folder, spark)
        found = {g["shop"]: g for g in groups(folder)}
        assert {shop: (g["status"], g["n_rows"], g["n_train"] + g["n_test"]) for shop, g in found.items()} == {
            "big": ("trained", 600, 40),
            "fit": ("trained", 20, 20),
            "none": ("trained", 5, 5),
        }
        assert found["big"]["warnings"] == [
            "100 rows without a label left out",
            "fitted on a sample of 40 rows out of 500",
        ]
        assert found["fit"]["warnings"] == []
        model = models(folder)["big"]
        known = {tuple(row) for row in twice[["a", "b", "y"]].dropna().astype(float).to_numpy()}
        assert {(*x, y) for x, y in zip(model.X_, model.y_, strict=True)} <= known

        # The same sample whatever the order of the rows; another with another seed.
        def sample(name: str, table: pd.DataFrame, seed: int) -> np.ndarray:
            again = project(tmp_path / name, table, estimator="spark_estimators.Remember", more=f"{more}\nseed: {seed}")
            run(again, spark)
            return models(again)["big"].X_

        shuffled = twice.sample(frac=1, random_state=1)
        np.testing.assert_array_equal(sample("b", shuffled, 0), model.X_)
        assert not np.array_equal(sample("c", twice, 1), model.X_)

    def test_null_keys_can_be_an_error_or_a_group(self, spark, tmp_path):
        rows = pd.concat([frame(x=9), frame(n=9).assign(shop=None)])
        refused = run(project(tmp_path, rows, more="null_keys: error"), spark)
        assert refused.exit_code == 2
        assert refused.diagnostics[0].code == "MF306"
        folder = project(tmp_path, rows, more="null_keys: group")
        run(folder, spark)
        assert {g["shop"]: g["status"] for g in groups(folder)} == {"x": "trained", None: "trained"}
        assert set(models(folder)) == {"x", None}

    def test_a_classifier_group_of_one_class_is_an_outcome(self, spark, tmp_path):
        rows = frame(mixed=20, same=20)
        rows["y"] = np.where(rows.shop == "same", "no", np.where(rows.a > 25, "yes", "no"))
        folder = project(tmp_path, rows, estimator="LogisticRegression", more="evaluate: {folds: 2}")
        run(folder, spark)
        assert {g["shop"]: g["status"] for g in groups(folder)} == {"mixed": "trained", "same": "one_class"}
        assert models(folder)["mixed"].classes_.tolist() == ["no", "yes"]

    def test_an_input_without_rows_writes_nothing(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=3), more="where: a < 0")
        refused = run(folder, spark)
        assert refused.exit_code == 2
        assert refused.diagnostics[0].code == "MF304"
        assert refused.diagnostics[0].file == "families/sales.yml"
        assert not (folder / "store").exists()

    @pytest.mark.parametrize(
        ("more", "status", "shop", "label", "said"),
        [
            ("min_rows: 10", "too_few_rows", "x", "number", "has too few rows: `min_rows` is 10"),
            ("max_rows: 3", "too_many_rows", "x", "number", "has too many rows: `max_rows` is 3"),
            ("", "null_key", None, "number", "has a null key: `null_keys` is `skip`"),
            ("", "one_class", "x", "class", "has one class only"),
        ],
    )
    def test_a_version_without_models_is_not_published(self, spark, tmp_path, more, status, shop, label, said):
        rows = frame(x=6).assign(shop=pd.Series([shop] * 6, dtype=object))
        if label == "class":
            rows["y"] = "same"
        table = pa.table({name: pa.array(rows[name], pa.string() if name == "shop" else None) for name in rows.columns})
        estimator = "LogisticRegression" if label == "class" else "LinearRegression"
        folder = project(tmp_path, table, estimator=estimator, more=more)
        result = run(folder, spark)
        assert (result.status, result.statuses, result.exit_code) == ("error", {status: 1}, 1)
        (why,) = result.diagnostics
        assert why.code == "MF604"
        assert why.help is not None
        assert why.help == f"the only group {said}; `mf show sales --candidate` shows what came of it"
        (kept,) = folder.glob("store/sales/v000001-*/groups/*.parquet")
        assert pq.read_table(kept).select(["status", "n_rows"]).to_pylist() == [{"status": status, "n_rows": 6}]
        assert not (folder / "store/sales/manifest.json").exists()

    def test_a_version_without_models_leaves_the_former_one_current(self, spark, tmp_path):
        rows = frame(one=10, two=10, three=10, four=200)
        more = "max_failed: 100%"
        folder = project(tmp_path, rows, estimator="spark_estimators.FailsOnNegative", more=more)
        assert run(folder, spark).version == 1
        rows.loc[rows.shop == "four", "a"] = -1.0  # a failure is within `max_failed`, and is not what most groups have
        project(tmp_path, rows, estimator="spark_estimators.FailsOnNegative", more=f"{more}\nmin_rows: 100")
        refused = run(folder, spark)
        assert (refused.status, refused.version, refused.exit_code) == ("error", None, 1)
        (why,) = refused.diagnostics
        assert why.code == "MF604"
        assert "3 of 4 groups have too few rows: `min_rows` is 100" in str(why.help)
        manifest = Store(folder / "store").manifest("sales")
        assert manifest is not None
        assert (manifest.current, len(manifest.versions)) == (1, 1)
        assert not (folder / "store/sales/_staging").exists()

    def test_a_file_in_the_way_ends_its_family_only(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=9))
        text = (folder / "families/sales.yml").read_text()
        (folder / "families/sales.yml").write_text(text + text.split("families:\n")[1].replace("sales", "other"))
        (folder / "store").mkdir()
        (folder / "store/sales").write_text("in the way")
        result = build(workspace_of(folder), RecordingReporter(), session=spark)
        assert [f.status for f in result.families] == ["error", "success"]
        assert result.families[0].diagnostics[0].code == "MF403"
        document = json.loads((folder / f"target/runs/{result.run_id}/run_results.json").read_text())
        assert [r["status"] for r in document["results"]] == ["error", "success"]


class TestModels:
    def test_models_are_those_of_scikit_learn(self, spark, tmp_path):
        rows = frame(one=30, two=50)
        folder = project(tmp_path, rows)
        run(folder, spark)
        for shop, model in models(folder).items():
            mine = rows[rows.shop == shop]
            direct = LinearRegression().fit(mine[["a", "b"]], mine["y"])
            np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-12)
            assert list(model.feature_names_in_) == ["a", "b"]

    def test_a_tree_predicts_the_same_to_the_last_bit(self, spark, tmp_path):
        from sklearn.tree import DecisionTreeRegressor

        rows = frame(one=60, two=80)
        estimator = "{class: DecisionTreeRegressor, params: {random_state: 3, min_samples_leaf: 4}}"
        folder = project(tmp_path, rows, estimator=estimator)
        run(folder, spark)
        for shop, model in models(folder).items():
            mine = rows[rows.shop == shop]
            direct = DecisionTreeRegressor(random_state=3, min_samples_leaf=4).fit(mine[["a", "b"]], mine["y"])
            assert (model.predict(mine[["a", "b"]]) == direct.predict(mine[["a", "b"]])).all()

    @pytest.mark.parametrize(
        "estimator", ["LinearRegression", "{class: RandomForestRegressor, params: {n_estimators: 4}}"]
    )
    def test_row_order_bins_and_batches_change_no_model(self, spark, tmp_path, monkeypatch, estimator):
        rows = frame(one=40, two=35, three=50, four=12)
        more = "evaluate: {holdout: 0.3}"
        hashes = []
        for name, shuffled, slots in (("a", rows, 1), ("b", rows.sample(frac=1, random_state=1), 3)):
            monkeypatch.setattr("modelfactory.commands.train.slots_of", lambda _spark, slots=slots: slots)
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 7 if slots == 3 else 50000)
            folder = project(tmp_path / name, shuffled, estimator=estimator, more=more)
            run(folder, spark)
            hashes.append({g["shop"]: (g["model_sha256"], g["data_digest"], g["metrics"]) for g in groups(folder)})
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 50000)
        assert hashes[0] == hashes[1]

    def test_groups_with_the_same_rows_have_different_random_states(self, spark, tmp_path):
        rows = pd.concat([frame(x=20), frame(x=20).assign(shop="y")])
        folder = project(tmp_path, rows, estimator="{class: RandomForestRegressor, params: {n_estimators: 2}}")
        run(folder, spark)
        found = models(folder)
        assert found["x"].random_state != found["y"].random_state

    def test_several_kinds_of_family(self, spark, tmp_path):
        rows = frame(one=30, two=30)
        rows["kind"] = np.where(rows.b % 2 == 0, "even", "odd")
        rows.loc[3, "kind"] = None
        rows["w"] = 1.0 + rows.a
        more = (
            "weight: w\npreprocess:\n  numeric: [SimpleImputer, StandardScaler]\n"
            "  categorical: [{class: OneHotEncoder, params: {handle_unknown: ignore}}]"
        )
        folder = project(tmp_path, rows, features="a, {name: kind, kind: categorical}", estimator="Ridge", more=more)
        run(folder, spark)
        model = models(folder)["one"]
        assert list(model.feature_names_in_) == ["a", "kind"]
        assert list(model.named_steps) == ["preprocess", "estimator"]
        mine = rows[rows.shop == "one"]
        direct = pickle.loads(pickle.dumps(model)).fit(mine[["a", "kind"]], mine.y, estimator__sample_weight=mine.w)
        np.testing.assert_allclose(model.predict(mine[["a", "kind"]]), direct.predict(mine[["a", "kind"]]), rtol=1e-9)

    def test_an_unsupervised_family_needs_no_label(self, spark, tmp_path):
        folder = project(tmp_path, frame(one=30), estimator="{class: KMeans, params: {n_clusters: 2, n_init: 2}}")
        text = (folder / "families/sales.yml").read_text().replace("    label: y\n", "")
        (folder / "families/sales.yml").write_text(text)
        assert run(folder, spark).statuses == {"trained": 1}
        assert models(folder)["one"].cluster_centers_.shape == (2, 2)


class TestTypes:
    def remembered(self, spark, folder: Path, table: pa.Table, features: str) -> dict[Any, Any]:
        run(project(folder, table, features=features, estimator="spark_estimators.Remember"), spark)
        return models(folder)

    def test_numbers_dates_and_times_travel_as_double_in_every_group(self, spark, tmp_path):
        table = pa.table(
            {
                "shop": ["full", "full", "holes", "holes"],
                "i": pa.array([1, 2, None, 3], pa.int64()),
                "d": pa.array([Decimal("1.25"), Decimal("2.50"), None, Decimal("-3.75")], pa.decimal128(10, 2)),
                "t": pa.array([True, False, None, True]),
                "day": pa.array([date(1970, 1, 2), date(1969, 12, 31), None, date(2000, 1, 1)]),
                "at": pa.array([1_500_000, 0, None, 4_000_000], pa.timestamp("us", tz="UTC")),
                "local": pa.array([1_500_000, 0, None, 4_000_000], pa.timestamp("us")),
                "f": pa.array([0.1, float("nan"), None, 0.2], pa.float32()),
                "y": [1.0, 2.0, 3.0, 4.0],
            }
        )
        found = self.remembered(spark, tmp_path, table, "i, d, t, day, at, local, f")
        full = found["full"].X_[np.argsort(found["full"].y_)]
        assert full[0].tolist() == [1.0, 1.25, 1.0, 1.0, 1.5, 1.5, float(np.float32(0.1))]
        assert full[1, :6].tolist() == [2.0, 2.5, 0.0, -1.0, 0.0, 0.0]
        assert np.isnan(full[1, 6])
        holes = found["holes"].X_[np.argsort(found["holes"].y_)]
        assert np.isnan(holes[0]).all()
        assert {m.X_.dtype for m in found.values()} == {np.dtype("float64")}

    def test_categories_travel_as_text_in_every_group(self, spark, tmp_path):
        table = pa.table(
            {
                "shop": ["full", "holes", "holes"],
                "code": pa.array([7, None, 8], pa.int32()),
                "a": [0.5, None, 2.0],
                "y": [1.0, 2.0, 3.0],
            }
        )
        folder = tmp_path
        more = "pipeline:\n  - {name: model, class: spark_estimators.Remember}"
        features = "a, {name: code, kind: categorical}"
        project(folder, table, features=features, estimator="Ridge", more=more)
        text = (folder / "families/sales.yml").read_text().replace("    estimator: Ridge\n", "")
        (folder / "families/sales.yml").write_text(text)
        run(folder, spark)
        found = {k: m.steps[-1][1].X_.sort_values("a") for k, m in models(folder).items()}
        assert found["full"]["code"].tolist() == ["7"]
        assert found["holes"]["code"].tolist() == ["8", None]
        assert {str(x.dtypes.to_dict()) for x in found.values()} == {"{'a': dtype('float64'), 'code': dtype('O')}"}

    def test_a_whole_number_that_a_double_cannot_hold_fails_its_group_only(self, spark, tmp_path):
        table = pa.table({"shop": ["x", "x", "big"], "a": [1, 2, 2**53 + 1], "b": [1, 2, 3], "y": [1.0, 2.0, 3.0]})
        folder = project(tmp_path, table, more="max_failed: 1")
        run(folder, spark)
        found = {g["shop"]: g for g in groups(folder)}
        assert (found["big"]["status"], found["big"]["error_type"]) == ("failed", "InexactNumber")
        assert found["x"]["status"] == "trained"

    def test_keys_come_back_with_their_own_types_and_odd_names(self, spark, tmp_path):
        table = pa.table(
            {
                "Shop no.`1`": pa.array([1, 1, 2], pa.int16()),
                "day": pa.array([date(2020, 1, 1), date(2020, 1, 1), None]),
                "größe": pa.array([Decimal("1.50"), Decimal("1.50"), Decimal("2.00")], pa.decimal128(5, 2)),
                "a": [1.0, 2.0, 3.0],
                "b": [1.0, 2.0, 3.0],
                "y": [1.0, 2.0, 3.0],
            }
        )
        folder = project(tmp_path, table, keys='"Shop no.`1`", day, größe', more="null_keys: group")
        run(folder, spark)
        written = list_groups(workspace_of(folder), "sales", where=None, sort=None, limit=None)
        assert [written.schema.field(i).type for i in range(3)] == [pa.int16(), pa.date32(), pa.decimal128(5, 2)]
        assert [g["n_rows"] for g in groups(folder)] == [2, 1]
        assert set(models(folder)) == {(1, date(2020, 1, 1), Decimal("1.50")), (2, None, Decimal("2.00"))}

    def test_an_inexact_number_without_a_label_harms_nothing(self, spark, tmp_path):
        numbers = pa.array([1, 2, 2**53 + 1, 2**60], pa.int64())
        table = pa.table({"shop": ["x"] * 4, "a": numbers, "b": [1, 2, 3, 4], "y": [1.0, 2.0, None, 3.0]})
        assert run(project(tmp_path, table), spark).statuses == {"trained": 1}

    def test_decimal_classes_are_not_merged(self, spark, tmp_path):
        big = [Decimal(2**53), Decimal(2**53 + 1)] * 5
        table = pa.table(
            {
                "shop": ["x"] * 10,
                "a": [float(i) for i in range(10)],
                "b": [0.0] * 10,
                "y": pa.array(big, pa.decimal128(20, 0)),
            }
        )
        run(project(tmp_path, table, estimator="DecisionTreeClassifier"), spark)
        assert models(tmp_path)["x"].classes_.tolist() == [str(2**53), str(2**53 + 1)]

    def test_swapped_nulls_are_different_rows(self, spark, tmp_path):
        def digest(name: str, a: list[float | None], b: list[float | None]) -> str:
            numbers = pa.array(a, pa.float64()), pa.array(b, pa.float64())
            table = pa.table({"shop": ["x", "x"], "a": numbers[0], "b": numbers[1], "y": [1.0, 1.0]})
            folder = project(tmp_path / name, table, estimator="spark_estimators.Remember")
            run(folder, spark)
            return str(groups(folder)[0]["data_digest"])

        assert digest("one", [5.0, 5.0], [None, None]) != digest("two", [None, None], [5.0, 5.0])


class TestInput:
    def test_csv_with_options_sql_and_variables(self, spark, tmp_path):
        write_project(
            tmp_path,
            {
                "mf_project.yml": "name: demo\nvars: {least: 1}\n",
                "data/rows.csv": "shop;a;y\n" + "".join(f"s{i % 2};{i};{i * 2}\n" for i in range(20)),
                "sources/rows.yml": """
                    sources:
                      - name: rows
                        path: data/rows.csv
                        format: csv
                        options: {header: true, sep: ";", inferSchema: true}
                    """,
                "families/sales.yml": """
                    families:
                      - name: sales
                        group_by: shop
                        sql: select *, a * a as square from {{ source('rows') }} where a > {{ var('least') }}
                        where: a < ${env:MOST}
                        features: [a, square]
                        label: y
                        estimator: LinearRegression
                    """,
            },
        )
        workspace = workspace_of(tmp_path, environ={"MOST": "15"}, least=3)
        assert "${env:MOST}" in workspace.plan.steps[0].query
        result = build(workspace, RecordingReporter(), session=spark)
        assert result.exit_code == 0
        table = list_groups(workspace, "sales", where=None, sort=None, limit=None)
        assert sum(table["n_rows"].to_pylist()) == len(range(4, 15))
        manifest = (tmp_path / "store/sales/manifest.json").read_text()
        assert "${env:MOST}" in manifest

    def test_a_catalog_table_is_a_source(self, spark, tmp_path):
        spark.createDataFrame(frame(x=9)).createOrReplaceTempView("sold_things")
        folder = project(tmp_path, frame(x=1))
        (folder / "sources/rows.yml").write_text("sources: [{name: rows, table: sold_things}]\n")
        run(folder, spark)
        assert groups(folder)[0]["n_rows"] == 9

    def test_a_view_of_a_source_hides_no_table(self, spark, tmp_path):
        spark.createDataFrame(frame(x=7)).createOrReplaceTempView("shadow")
        folder = project(tmp_path, frame(x=9))
        (folder / "sources/rows.yml").write_text(
            "sources: [{name: shadow, path: data/rows.parquet}, {name: rows, table: shadow}]\n"
        )
        text = (folder / "families/sales.yml").read_text()
        other = text.split("families:\n")[1].replace("sales", "other").replace("source: rows", "source: shadow")
        (folder / "families/sales.yml").write_text("families:\n" + other + text.split("families:\n")[1])
        build(workspace_of(folder), RecordingReporter(), session=spark)
        assert groups(folder)[0]["n_rows"] == 7

    def test_the_input_may_not_have_a_needed_column_twice(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=9))
        text = (folder / "families/sales.yml").read_text()
        (folder / "families/sales.yml").write_text(
            text.replace("source: rows", "sql: \"select *, 1.0 as a from {{ source('rows') }}\"")
        )
        with pytest.raises(InputError) as caught:
            build(workspace_of(folder), RecordingReporter(), session=spark)
        assert [d.code for d in caught.value.diagnostics] == ["MF302"]

    @pytest.mark.parametrize("more", ["", "fallback: global"])
    def test_one_exchange_one_scan_and_pruned_columns(self, spark, tmp_path, more):
        from pyarrow.fs import LocalFileSystem

        from modelfactory.plan.schedule import schedule_groups
        from modelfactory.spark.census import take_census
        from modelfactory.spark.inputs import open_input, open_source
        from modelfactory.spark.training import Scratch, fitted_groups, placed_groups, rows_to_train

        rows = frame(x=9, y=9).assign(unused="long text")
        workspace = workspace_of(project(tmp_path, rows, more=more))
        step = workspace.plan.steps[0]
        assert not open_source(spark, step.sources[0], root=tmp_path, environ={})
        table, findings = open_input(spark, step, groups={}, environ={})
        assert table is not None
        assert not findings
        (found,) = take_census([table], classes=[False])
        schedule = schedule_groups(step, found.census, slots=2)
        scratch = Scratch(LocalFileSystem(), str(tmp_path), f"file://{tmp_path}")
        placed = placed_groups(spark, table, found, schedule, scratch)
        plan = (
            fitted_groups(
                step.fit,
                table,
                rows_to_train(step.fit, table, found.census, schedule.global_fit),
                placed,
                schedule.n_bins,
                lambda batches: batches,
            )
            ._jdf.queryExecution()
            .explainString(spark._jvm.org.apache.spark.sql.execution.ExplainMode.fromString("simple"))
        )
        assert plan.count("- Exchange ") == 1
        assert plan.count("FileScan parquet ") == 2  # the input and the schedule
        assert ("Generate explode" in plan) == bool(more)
        assert "unused" not in plan


class TestVersions:
    def test_each_build_is_a_version_and_the_manifest_tells_all(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20, y=30), more="evaluate: {holdout: 0.2, metrics: [mae]}\nowner: me")
        run(folder, spark)
        (folder / "store/sales/v000007-dead").mkdir()
        assert run(folder, spark, full_refresh=True).version == 2
        manifest = Store(folder / "store").manifest("sales")
        assert manifest is not None
        first, second = manifest.versions
        assert manifest.current == 2
        assert first.fingerprints == second.fingerprints
        assert second.definition["owner"] == "me"
        assert second.statuses == {"trained": 2}
        assert second.rows == 50
        assert second.metrics["mae"].count == 2
        assert second.libraries.keys() >= {"python", "scikit-learn", "numpy", "pyspark"}
        assert {f.table for f in second.files} == {"groups", "models"}
        assert sum(f.rows for f in second.files if f.table == "models") == 2
        assert not (folder / "store/sales/v000007-dead").exists()
        import hashlib

        for file in second.files:
            data = (folder / "store/sales" / file.path).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)

    def test_run_results_and_listing(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20), more="evaluate: {holdout: 0.2, metrics: [mae, r2]}")
        listing = list_families(workspace_of(folder))[0][0]
        assert listing.state == "never built"
        result = build(workspace_of(folder), RecordingReporter(), session=spark)
        document = json.loads((folder / f"target/runs/{result.run_id}/run_results.json").read_text())
        assert document["results"][0]["groups"] == {"trained": 1}
        listing = list_families(workspace_of(folder))[0][0]
        assert (listing.state, listing.current_version, dict(listing.groups)) == ("current", 1, {"trained": 1})
        assert list(listing.metrics) == list(listing.baseline) == ["mae", "r2"]
        text = (folder / "families/sales.yml").read_text()
        (folder / "families/sales.yml").write_text(text + "    description: other words\n")
        assert list_families(workspace_of(folder))[0][0].state == "current"
        (folder / "families/sales.yml").write_text(text + "    seed: 5\n")
        assert list_families(workspace_of(folder))[0][0].state == "modified"

    def test_an_interrupted_build_leaves_nothing(self, spark, tmp_path, monkeypatch):
        folder = project(tmp_path, frame(x=20))
        run(folder, spark)
        before = sorted(str(p) for p in (folder / "store").rglob("*"))

        def interrupt(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("modelfactory.commands.train.group_table", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(folder, spark, full_refresh=True)
        assert sorted(str(p) for p in (folder / "store").rglob("*")) == before

    def test_rows_that_change_between_census_and_training_are_noticed(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20, y=20), more="where: hash(a, b, y, now()) % 2 = 0")
        result = run(folder, spark)
        assert (result.status, result.exit_code) == ("error", 1)
        assert result.diagnostics[0].code == "MF603"
        assert Store(folder / "store").manifest("sales") is None

    def test_the_data_fingerprint_knows_which_rows_belong_to_whom(self, spark, tmp_path):
        rows = frame(x=8, y=8)
        prints = []
        for name, shops in (("one", {}), ("swapped", {"x": "y", "y": "x"}), ("renamed", {"x": "z"})):
            folder = project(tmp_path / name, rows.assign(shop=rows.shop.replace(shops)))
            run(folder, spark)
            manifest = Store(folder / "store").manifest("sales")
            assert manifest is not None
            prints.append(manifest.versions[0].fingerprints.data)
        assert len(set(prints)) == 3

    def test_versions_without_a_manifest_are_not_removed(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=9))
        run(folder, spark)
        run(folder, spark, full_refresh=True)
        (folder / "store/sales/manifest.json").unlink()
        result = run(folder, spark)
        assert (result.status, result.diagnostics[0].code) == ("error", "MF403")
        assert len(list((folder / "store/sales").glob("v0*"))) == 2

    def test_random_columns_are_noticed(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20, y=20))
        text = (folder / "families/sales.yml").read_text()
        query = "sql: \"select shop, y, a, hash(b, now()) as b from {{ source('rows') }}\""
        (folder / "families/sales.yml").write_text(text.replace("source: rows", query))
        result = run(folder, spark)
        assert (result.status, result.diagnostics[0].code) == ("error", "MF603")

    def test_a_family_that_is_being_built_is_not_built_twice(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20))
        with Store(folder / "store").locked("sales"):
            result = run(folder, spark)
        assert (result.exit_code, result.diagnostics[0].code) == (5, "MF405")

    def test_of_several_families_those_that_are_free_are_built(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20))
        text = (folder / "families/sales.yml").read_text()
        (folder / "families/sales.yml").write_text(text + text.split("families:\n")[1].replace("sales", "other"))
        reporter = RecordingReporter()
        with Store(folder / "store").locked("sales"):
            result = build(workspace_of(folder), reporter, session=spark)
        assert [(f.status, f.exit_code) for f in result.families] == [("error", 5), ("success", 0)]
        assert [family for family, *_ in reporter.of("family_scheduled")] == ["other"]  # no census for nothing

    def test_all_inputs_are_checked_before_the_first_is_trained(self, spark, tmp_path):
        folder = project(tmp_path, frame(x=20))
        text = (folder / "families/sales.yml").read_text()
        other = text.replace("sales", "other").replace("[a, b]", "[a, nowhere, shop]").split("families:\n")[1]
        (folder / "families/sales.yml").write_text(text + other)
        with pytest.raises(InputError) as caught:
            build(workspace_of(folder), RecordingReporter(), session=spark)
        assert [d.code for d in caught.value.diagnostics] == ["MF302", "MF303"]
        assert not (folder / "store").exists()

    def test_the_reporter_hears_what_happens_in_order(self, spark, tmp_path):
        reporter = RecordingReporter()
        build(workspace_of(project(tmp_path, frame(x=20, y=2))), reporter, session=spark)
        names = [event[0] for event in reporter.events if event[0] not in {"family_progress", "timings"}]
        assert names == ["family_started", "family_scheduled", "family_finished", "build_finished"]
        assert reporter.of("family_scheduled") == [("sales", 2, 2)]
