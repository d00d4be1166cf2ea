"""Predicting frames: every row comes out once, in its order, answered as scikit-learn itself would."""

from __future__ import annotations

import datetime as dt
import functools
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import FEATURES, Group, asked, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

import modelfactory as mf
from modelfactory.diagnostics import InputError

TEXT = {"k": pa.string()}
TREE = DecisionTreeRegressor(max_depth=4, random_state=0)


def family_of(
    root: Path,
    groups: list[Group],
    keys: dict[str, pa.DataType] = TEXT,
    /,
    *,
    packages: tuple[str, ...] = (),
    **more: Any,
) -> mf.Family:
    publish(root, "f", keys, groups, **more)
    return mf.open_store(root, packages=packages).family("f")


def by_hand(groups: list[Group], rows: pd.DataFrame) -> list[float | None]:
    """Return what each row's own model says, asked for that row alone."""
    models = {group.key[0]: group.model for group in groups}
    return [
        None if models.get(key) is None else asked(models[key], rows.iloc[[i]])[0]
        for i, key in enumerate(rows["k"].tolist())
    ]


# Frames -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trees() -> list[Group]:
    return [*sample_groups(TREE, ["a", "b", "c"]), Group(key=("d",), status="failed")]


@pytest.fixture(scope="module")
def family(trees: list[Group], tmp_path_factory: pytest.TempPathFactory) -> mf.Family:
    return family_of(tmp_path_factory.mktemp("store"), trees)


def mixed_rows(n: int = 50, keys: str = "abcdz", seed: int = 3) -> pd.DataFrame:
    rows = sample_rows(n, seed=seed)
    return rows.assign(k=np.random.default_rng(seed).choice(list(keys), n))


@pytest.mark.parametrize(
    "index",
    [
        lambda n: pd.RangeIndex(5, 5 + n),
        lambda n: pd.Index(np.random.default_rng(0).permutation(n)),
        lambda n: pd.Index([7] * n, name="seven"),
        lambda n: pd.MultiIndex.from_product([["u", "v"], range(n // 2)], names=["s", "t"]),
        lambda n: pd.date_range("2024-01-01", periods=n),
    ],
)
def test_answers_have_the_order_and_the_index_of_the_rows(family: mf.Family, trees: list[Group], index: Any) -> None:
    rows = mixed_rows()
    rows.index = index(len(rows))
    before = rows.copy(deep=True)
    answers = family.predict(rows)
    pd.testing.assert_frame_equal(rows, before)
    pd.testing.assert_index_equal(answers.index, rows.index)
    assert answers.columns.tolist() == ["prediction", "model_version", "served_by", "reason"]
    want = by_hand(trees, rows)
    np.testing.assert_allclose(answers["prediction"], np.array(want, dtype=float), rtol=1e-12)
    assert [name == "group" for name in answers["served_by"]] == [value is not None for value in want]
    why = {"d": "failed", "z": "unseen"}
    assert answers["reason"].tolist() == [why.get(key) for key in rows["k"]]
    assert answers["model_version"].dtype == pd.Int32Dtype()
    assert answers["model_version"].isna().tolist() == [key in "dz" for key in rows["k"]]


@pytest.mark.parametrize("chunks", [1, 7])
def test_tables_of_arrow_are_answered_as_tables(family: mf.Family, chunks: int) -> None:
    rows = mixed_rows()
    table = pa.concat_tables([pa.Table.from_pandas(rows.iloc[i::chunks]) for i in range(chunks)])
    answers = family.predict(table)
    assert answers.schema.field("prediction").type == pa.float64()
    assert answers.schema.field("model_version").type == pa.int32()
    same = family.predict(table.to_pandas())
    assert answers["prediction"].to_pylist() == [None if np.isnan(v) else v for v in same["prediction"]]
    assert answers["served_by"].to_pylist() == same["served_by"].tolist()
    if chunks == 1:
        assert family.predict(table.to_batches()[0]) == answers


def test_other_columns_and_another_order_of_columns_change_nothing(family: mf.Family) -> None:
    rows = mixed_rows()
    more = rows.assign(other=object(), prediction=1.0)[["other", "x1", "k", "prediction", "x0"]]
    more.insert(0, 17, "a column whose name is no text")
    pd.testing.assert_frame_equal(family.predict(more), family.predict(rows))


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row_are_frames_too(family: mf.Family, trees: list[Group], n: int) -> None:
    rows = mixed_rows(n, keys="a")
    answers = family.predict(rows)
    assert len(answers) == n
    assert answers["prediction"].tolist() == by_hand(trees, rows)
    assert family.predict(pa.Table.from_pandas(rows)).num_rows == n
    empty = pd.DataFrame({"k": [], "x0": [], "x1": []})  # pandas gives it doubles for a key
    assert len(family.predict(empty)) == 0


def test_what_is_no_frame_is_refused(family: mf.Family) -> None:
    for rows in ([{"k": "a"}], {"k": ["a"]}, np.zeros((2, 2)), None):
        with pytest.raises(TypeError, match="a pandas DataFrame or a pyarrow Table, not"):
            family.predict(rows)


def test_all_missing_columns_are_told_with_the_nearest_name(family: mf.Family) -> None:
    rows = mixed_rows().rename(columns={"x1": "X1", "k": "key"})
    with pytest.raises(InputError) as caught:
        family.predict(rows)
    told = [(str(d.code), d.message, d.help) for d in caught.value.diagnostics]
    assert ("MF302", "numeric feature `x1` is not a column of the rows", "did you mean `X1`?") in told
    assert any(message.startswith("group column `k`") for _, message, _ in told)
    assert len(told) == 2
    twice = pd.concat([mixed_rows(), mixed_rows()[["x0"]]], axis=1)
    with pytest.raises(InputError, match="`x0` stands twice"):
        family.predict(twice)


@pytest.mark.parametrize("value", [2**70, Decimal("Infinity"), "\ud800"])
def test_values_that_no_type_holds_are_told(family: mf.Family, value: Any) -> None:
    rows = sample_rows(2, "a")
    for column in ("k", FEATURES[0]):
        odd = rows.assign(**{column: pd.Series([value, None], dtype=object)})
        with pytest.raises(InputError, match=f"`{column}`"):
            family.predict(odd)


def test_columns_may_be_called_by_numbers(tmp_path: Path) -> None:
    group = Group(key=("a",), model=LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]))
    family = family_of(tmp_path, [group], features=["0"])
    assert family.predict(pd.DataFrame({"k": ["a"], 0: [3.0]}))["prediction"].tolist() == pytest.approx([6.0])


def test_a_key_column_of_another_kind_is_told(family: mf.Family) -> None:
    with pytest.raises(InputError, match=r"MF303.*`k` is string; here `k` is int64"):
        family.predict(mixed_rows().assign(k=1))


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", None],
        pd.Categorical(["a", "b", None]),
        pd.array(["a", "b", None], "string"),
        np.array(["a", "b", "z"]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_keys_of_any_text_type_are_found(family: mf.Family, values: Any) -> None:
    assert family.predict(sample_rows(3).assign(k=values))["served_by"].tolist() == ["group", "group", "none"]


def test_threads_get_the_same_answers(tmp_path: Path) -> None:
    groups = sample_groups(TREE, "abcdefgh")
    publish(tmp_path, "f", TEXT, groups)
    rows = mixed_rows(400, "abcdefghz")
    want = mf.open_store(tmp_path).family("f").predict(rows)
    shared = mf.open_store(tmp_path, cache_bytes=10_000).family("f")
    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(lambda _: shared.predict(rows), range(16)):
            pd.testing.assert_frame_equal(answers, want)


# Values of features -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "doubles"),
    [
        (pd.array([1, 2, 3], "Int64"), [1, 2, 3]),
        (np.array([1, 2, 3], np.int8), [1, 2, 3]),
        (np.array([1.5, 2, 3], np.float32), [1.5, 2, 3]),
        ([True, False, True], [1, 0, 1]),
        (pd.array([True, False, True], "boolean"), [1, 0, 1]),
        ([Decimal("1.5"), Decimal(2), Decimal(3)], [1.5, 2, 3]),
        ([1, 2.5, 3], [1, 2.5, 3]),
        (pd.Series([1, 2.5, 3], dtype=object), [1, 2.5, 3]),
        ([dt.date(1970, 1, 2), dt.date(1970, 1, 3), dt.date(1969, 12, 31)], [1, 2, -1]),
        (
            pd.to_datetime(["1970-01-01 00:00:01.5", "1970-01-02 00:00:00.0", "1969-12-31 00:00:00.0"]),
            [1.5, 86400, -86400],
        ),
        (
            pd.to_datetime(["1970-01-01 00:00:01.5", "1970-01-02 00:00:00.0", "1969-12-31 00:00:00.0"], utc=True),
            [1.5, 86400, -86400],
        ),
        (pd.Categorical([1, 2, 1]), [1, 2, 1]),
        (np.array([2**53, -(2**53), 0]), [2**53, -(2**53), 0]),
        (pd.array([1, 2, 3], "int64[pyarrow]"), [1, 2, 3]),
    ],
    ids=lambda v: str(getattr(v, "dtype", type(v).__name__)),
)
def test_numeric_features_are_seen_as_doubles(tmp_path: Path, values: Any, doubles: list[float]) -> None:
    groups = sample_groups(LinearRegression(), ["a"])
    rows = sample_rows(3, seed=5).assign(k="a")
    answers = family_of(tmp_path, groups).predict(rows.assign(x1=values))
    np.testing.assert_allclose(answers["prediction"], asked(groups[0].model, rows.assign(x1=doubles)), rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2", "3"], "numeric feature `x1` is string and must be a number, a date or a timestamp"),
        ([1, "b", None], "column `x1` holds values of several types"),
        ([[1], [2], [3]], "numeric feature `x1` is list"),
        ([1j, 2j, 3j], "`x1`"),
        (pd.to_timedelta([1, 2, 3]), "numeric feature `x1` is duration"),
    ],
    ids=str,
)
def test_a_numeric_feature_that_is_none_is_told(family: mf.Family, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        family.predict(sample_rows(3).assign(k="a", x1=values))


@pytest.mark.parametrize("estimator", [LinearRegression(), HistGradientBoostingRegressor(max_iter=3)])
def test_whole_numbers_that_a_double_cannot_hold_are_not_rounded_in_silence(tmp_path: Path, estimator: Any) -> None:
    groups = sample_groups(estimator, ["a"])
    rows = sample_rows(4).assign(k=["a", "a", "a", "z"], x1=pd.array([2**53 + 1, 1, None, 2**60 + 1], "Int64"))
    answers = family_of(tmp_path, groups).predict(rows)
    takes_missing = isinstance(estimator, HistGradientBoostingRegressor)
    assert answers["reason"].tolist() == [
        "inexact_numbers",
        None,
        None if takes_missing else "missing_values",
        "unseen",
    ]
    assert answers["served_by"].tolist() == ["none", "group", "group" if takes_missing else "none", "none"]
    assert answers["prediction"].isna().tolist() == [True, False, not takes_missing, True]
    even = family_of(tmp_path, groups).predict(rows.assign(x1=[2**60, Decimal(2**70), Decimal("0.1"), None]))
    assert even["reason"].tolist() == [None, None, None, "unseen"]
    wide = family_of(tmp_path, groups).predict(rows.assign(x1=[2**64 - 1, 1, 2, 3]))
    assert wide["reason"].tolist() == ["inexact_numbers", None, None, "unseen"]
    lowest = family_of(tmp_path, groups).predict(rows.assign(x1=[-(2**63), 1 - 2**63, 2, 3]))
    assert lowest["reason"].tolist() == [None, "inexact_numbers", None, "unseen"]


HOLES = (np.nan, None, np.inf, -np.inf)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), GaussianNB()], ids=lambda e: type(e).__name__)
def test_rows_with_holes_cost_no_other_row_its_answer(tmp_path: Path, estimator: Any) -> None:
    labels = [0, 1] if isinstance(estimator, GaussianNB) else []
    groups = sample_groups(estimator, ["a", "b"], classes=lambda _: labels)
    task = "classification" if labels else "regression"
    rows = mixed_rows(30, "ab")
    for i, hole in enumerate(HOLES):
        rows.loc[i, "x0"] = hole
    answers = family_of(tmp_path, groups, task=task).predict(rows)
    assert answers["reason"].tolist()[:4] == ["missing_values", "missing_values", "infinite_values", "infinite_values"]
    assert answers["served_by"].tolist() == ["none"] * 4 + ["group"] * 26
    assert answers["prediction"].isna().sum() == 4
    assert answers["prediction"].tolist()[4:] == pytest.approx(by_hand(groups, rows.iloc[4:]), rel=1e-12)


def test_models_that_take_missing_values_answer_rows_that_have_them(tmp_path: Path) -> None:
    groups = sample_groups(HistGradientBoostingRegressor(max_iter=5), ["a", "b"])
    rows = mixed_rows(30, "ab")
    for i, hole in enumerate(HOLES):
        rows.loc[i, "x0"] = hole
    answers = family_of(tmp_path, groups).predict(rows)
    assert answers["reason"].tolist() == [None] * 30
    np.testing.assert_allclose(answers["prediction"], by_hand(groups, rows), rtol=1e-12)


def carriers(unknown: str) -> tuple[list[Group], dict[str, Any]]:
    """Models fitted from frames with a category."""
    estimator = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown=unknown), ["carrier"]), remainder="passthrough"), Ridge()
    )
    groups = []
    for seed, key in enumerate("ab"):
        rows = sample_rows(seed=seed).assign(carrier=(["UA", "AA", "B6", "DL"] * 10))
        label = sample_label(rows, seed=seed) + rows["carrier"].map({"UA": 1, "AA": 5, "B6": -3, "DL": 0})
        groups.append(Group(key=(key,), model=fitted(estimator, rows, label.to_numpy(), container="frame")))
    features = [*FEATURES, ("carrier", "categorical")]
    return groups, {"container": "frame", "features": features}


def test_categories_are_seen_as_text(tmp_path: Path) -> None:
    groups, more = carriers("ignore")
    rows = mixed_rows(4, "ab").assign(carrier=pd.Categorical(["UA", "AA", "unheard-of", "DL"]))
    answers = family_of(tmp_path, groups, **more).predict(rows)
    models = {group.key[0]: group.model for group in groups}
    want = [
        models[row.k].predict(rows.iloc[[i]].astype({"carrier": object}))[0] for i, row in enumerate(rows.itertuples())
    ]
    np.testing.assert_allclose(answers["prediction"], want, rtol=1e-12)


def test_only_rows_of_an_unknown_category_fail(tmp_path: Path) -> None:
    groups, more = carriers("error")
    carrier = np.array(["UA", "AA", "DL", "B6"] * 25, dtype=object)
    carrier[[7, 40, 41, 99]] = "unheard-of"
    rows = mixed_rows(100, "ab").assign(carrier=carrier)
    answers = family_of(tmp_path, groups, **more).predict(rows)
    failed = np.flatnonzero(answers["reason"].notna()).tolist()
    assert failed == [7, 40, 41, 99]
    assert answers["reason"][7].startswith("predict_failed: ValueError: Found unknown categories")
    models = {group.key[0]: group.model for group in groups}
    sound = rows.drop(index=failed)
    for key, part in sound.groupby("k"):
        np.testing.assert_allclose(answers["prediction"][part.index], models[key].predict(part), rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, 2, None], ["1", "2", None]),
        ([True, False, None], ["true", "false", None]),
        ([dt.date(2024, 1, 2), dt.date(2024, 1, 3), None], ["2024-01-02", "2024-01-03", None]),
        (pd.array(["p", "q", None], "string[pyarrow]"), ["p", "q", None]),
    ],
    ids=str,
)
def test_other_types_of_category_are_seen_as_spark_casts_them(tmp_path: Path, values: Any, texts: list[Any]) -> None:
    values = pd.Series(values, dtype=None if not isinstance(values, list) else object)
    seen = pd.DataFrame({"c": texts * 5})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge(alpha=0.1)).fit(seen, [1.0, 5.0, 9.0] * 5)
    group = Group(key=("a",), model=model)
    more = {"container": "frame", "features": [("c", "categorical")]}
    answers = family_of(tmp_path, [group], **more).predict(pd.DataFrame({"k": "a", "c": values}))
    np.testing.assert_allclose(answers["prediction"], model.predict(seen[:3]), rtol=1e-12)


def test_a_category_that_is_a_double_is_told(tmp_path: Path) -> None:
    groups, more = carriers("ignore")
    empty = family_of(tmp_path, groups, **more).predict(mixed_rows(3, "ab").assign(carrier=np.nan))
    assert empty["served_by"].tolist() == ["group"] * 3, "a column without a value is of any type"
    with pytest.raises(InputError, match="categorical feature `carrier` is double and must be text"):
        family_of(tmp_path, groups, **more).predict(mixed_rows(3, "ab").assign(carrier=1.5))


class Stubborn(BaseEstimator):
    """Never predicts."""

    def fit(self, X: Any, y: Any) -> Stubborn:
        self.n_features_in_ = 2
        return self

    def predict(self, X: Any) -> Any:
        raise RuntimeError("I  would prefer\nnot to " + "x" * 1000)


def test_a_model_that_always_raises_costs_its_own_rows_only(tmp_path: Path) -> None:
    groups = [*sample_groups(TREE, ["a"]), *sample_groups(Stubborn(), ["s"])]
    rows = mixed_rows(2_000, "as")
    answers = family_of(tmp_path, groups, packages=(__name__.partition(".")[0],)).predict(rows)
    mute = (rows["k"] == "s").to_numpy()
    reasons = answers["reason"][mute]
    assert reasons.str.startswith("predict_failed: RuntimeError: I would prefer not to xxx").all()
    assert reasons.str.len().max() < 300
    np.testing.assert_allclose(answers["prediction"][~mute], by_hand(groups, rows[~mute]), rtol=1e-12)


# Many linear models -----------------------------------------------------------------------------------------------

LINEAR = {
    "plain": LinearRegression(),
    "without intercept": LinearRegression(fit_intercept=False),
    "ridge": Ridge(alpha=0.5),
    "python ints": ElasticNet(alpha=0.01),
    "scaled": make_pipeline(StandardScaler(), Ridge()),
    "centred": make_pipeline(StandardScaler(with_std=False), LinearRegression()),
    "unscaled": make_pipeline(StandardScaler(with_mean=False, with_std=False), LinearRegression()),
}


@pytest.mark.parametrize("name", LINEAR)
def test_many_linear_models_say_what_each_says(tmp_path: Path, name: str) -> None:
    groups = sample_groups(LINEAR[name], map(str, range(80)))
    family = family_of(tmp_path, groups)
    assert family._models.linear is not None
    rows = sample_rows(400).assign(k=[str(i % 83) for i in range(400)])
    rows.loc[3, "x1"] = np.nan
    rows.loc[5, "x0"] = np.inf
    answers = family.predict(rows)
    assert answers["reason"][[3, 5, 82]].tolist() == ["missing_values", "infinite_values", "unseen"]
    sound = rows.drop(index=[3, 5])
    want = np.array(by_hand(groups, sound), dtype=float)
    np.testing.assert_allclose(answers["prediction"][sound.index], want, rtol=1e-9)


def test_a_family_with_another_model_among_linear_ones_is_asked_one_by_one(tmp_path: Path) -> None:
    groups = sample_groups(LinearRegression(), map(str, range(80)))
    groups[40] = Group(key=("40",), model=sample_groups(TREE, ["40"])[0].model)
    groups[50] = Group(key=("50",), model=sample_groups(make_pipeline(StandardScaler(), Ridge()), ["50"])[0].model)
    family = family_of(tmp_path, groups)
    assert family._models.linear is None
    rows = sample_rows(160).assign(k=[str(i % 80) for i in range(160)])
    np.testing.assert_allclose(family.predict(rows)["prediction"], by_hand(groups, rows), rtol=1e-9)


# Classes ----------------------------------------------------------------------------------------------------------


def class_texts(labels: list[Any]) -> list[str]:
    return [str(label).lower() if isinstance(label, bool) else str(label) for label in labels]


@pytest.mark.parametrize(
    ("labels", "label_type", "dtype"),
    [
        ([False, True], "boolean", pd.BooleanDtype()),
        ([-1, 0, 7], "bigint", pd.Int64Dtype()),
        (["no", "yes", "ü"], "string", object),
        ([0.0, 1.0, 2.0], "double", float),
    ],
    ids=str,
)
@pytest.mark.parametrize("recorded", [True, False])
def test_probabilities_name_the_classes_of_all_groups(
    tmp_path: Path, labels: list[Any], label_type: str, dtype: Any, recorded: bool
) -> None:
    groups = sample_groups(LogisticRegression(), "ab", classes=lambda i: labels if i else labels[:2])
    names = class_texts(labels)
    record = {"label_type": label_type, "classes": sorted(names)} if recorded else {}
    rows = mixed_rows(20, "abz")
    answers = family_of(tmp_path, groups, task="classification", **record).predict(rows)
    assert answers["prediction"].dtype == dtype
    for i, key in enumerate(rows["k"].tolist()):
        said, probability = answers["prediction"].iloc[i], answers["probability"].iloc[i]
        if key == "z":
            assert pd.isna(said)
            assert probability is None
            continue
        model = groups["ab".index(key)].model
        one = rows.iloc[[i]][list(FEATURES)]
        assert said == model.predict(one)[0]
        known = dict(zip(class_texts(model.classes_.tolist()), model.predict_proba(one)[0].tolist(), strict=True))
        want = {name: known.get(name, 0.0) for name in sorted(names)} if recorded else known
        assert probability == pytest.approx(want, rel=1e-12)
        assert list(probability) == list(want)


def test_probabilities_are_maps_in_arrow(tmp_path: Path) -> None:
    groups = sample_groups(GaussianNB(), "ab", classes=lambda _: ["p", "q"])
    record = {"label_type": "string", "classes": ["p", "q"]}
    family = family_of(tmp_path, groups, task="classification", **record)
    answers = family.predict(pa.Table.from_pandas(mixed_rows(9, "abz")))
    assert answers.schema.field("probability").type == pa.map_(pa.string(), pa.float64())
    for said, probability in zip(*(answers[name].to_pylist() for name in ("prediction", "probability")), strict=True):
        assert (probability is None) == (said is None)
        assert probability is None or max(probability, key=lambda pair: pair[1])[0] == said


def test_a_classifier_without_probabilities_has_null_in_their_place(tmp_path: Path) -> None:
    groups = sample_groups(SVC(), "ab", classes=lambda _: ["p", "q"])
    rows = mixed_rows(20, "abz")
    answers = family_of(tmp_path, groups, task="classification", label_type="string").predict(rows)
    assert answers["probability"].tolist() == [None] * 20
    assert [None if pd.isna(said) else said for said in answers["prediction"]] == by_hand(groups, rows)


def test_rows_that_fail_have_no_probability(tmp_path: Path) -> None:
    groups = sample_groups(RandomForestClassifier(3, random_state=0), "ab", classes=lambda _: [1, 2])
    groups += sample_groups(LogisticRegression(), "c", classes=lambda _: [1, 2])
    rows = mixed_rows(30, "abc")
    rows.loc[[1, 2, 3], "x0"] = np.inf
    answers = family_of(tmp_path, groups, task="classification", label_type="bigint").predict(rows)
    assert answers["reason"].tolist()[:5] == [None, *["infinite_values"] * 3, None]
    assert [value is None for value in answers["probability"]] == [i in (1, 2, 3) for i in range(30)]


# Without a label --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator", [KMeans(3, n_init=1, random_state=0), IsolationForest(n_estimators=5, random_state=0)]
)
def test_clusters_and_outliers_are_whole_numbers(tmp_path: Path, estimator: Any) -> None:
    groups = sample_groups(estimator, "ab", supervised=False)
    rows = mixed_rows(40, "abz")
    answers = family_of(tmp_path, groups, task="unsupervised").predict(rows)
    assert answers["prediction"].dtype == pd.Int64Dtype()
    assert "probability" not in answers
    assert [None if pd.isna(said) else said for said in answers["prediction"]] == by_hand(groups, rows)


def test_estimators_that_predict_nothing_are_told(tmp_path: Path) -> None:
    family = family_of(tmp_path, sample_groups(DBSCAN(), "a", supervised=False), task="unsupervised")
    with pytest.raises(InputError, match=r"MF506.*models of family `f` do not predict: DBSCAN has no `predict`"):
        family.predict(mixed_rows(3, "a"))
    assert family.model(k="a").labels_.shape == (40,)


def test_a_version_without_a_model_answers_no_row(tmp_path: Path) -> None:
    family = family_of(tmp_path, [Group(key=("a",), status="too_few_rows")])
    answers = family.predict(mixed_rows(10, "az"))
    assert set(answers["reason"]) == {"too_few_rows", "unseen"}
    publish(tmp_path, "f", TEXT, [])
    answers = mf.open_store(tmp_path).family("f").predict(mixed_rows(10, "az"))
    assert answers["reason"].tolist() == ["unseen"] * 10


# Any frame --------------------------------------------------------------------------------------------------------


@functools.cache
def kinds() -> dict[str, tuple[Any, bool]]:
    """Estimators, and whether rows with holes are answered."""
    return {
        "linear": (LinearRegression(), False),
        "scaled": (make_pipeline(StandardScaler(), Ridge()), False),
        "boosted": (HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=5), True),
    }


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Group], mf.Family]]:
    found = {}
    for name, (estimator, _) in kinds().items():
        groups = sample_groups(estimator, [*range(6), None])
        found[name] = groups, family_of(tmp_path_factory.mktemp(name), groups, {"k": pa.int32()})
    return found


ROW = st.tuples(
    st.none() | st.integers(0, 7),
    st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf]),
    st.floats(-1e6, 1e6),
)


@settings(deadline=None, max_examples=40)
@given(kind=st.sampled_from(sorted(kinds())), rows=st.lists(ROW, max_size=30), many=st.booleans())
def test_every_row_comes_out_once_as_its_own_model_answers_it(
    stores: dict[str, tuple[list[Group], mf.Family]], kind: str, rows: list[Any], many: bool
) -> None:
    groups, family = stores[kind]
    given_rows = rows * 4 if many else rows
    frame = pd.DataFrame(given_rows, columns=["k", *FEATURES]).astype({"k": "Int32", "x0": float, "x1": float})
    answers = family.predict(frame)
    assert len(answers) == len(frame)
    models = {group.key[0]: group.model for group in groups}
    for i, (key, x0, _) in enumerate(given_rows):
        said, reason = answers["prediction"].iloc[i], answers["reason"].iloc[i]
        if key not in models:
            assert (pd.isna(said), reason) == (True, "unseen")
        elif not np.isfinite(x0) and not kinds()[kind][1]:
            assert (pd.isna(said), reason) == (True, "missing_values" if np.isnan(x0) else "infinite_values")
        else:
            want = asked(models[key], frame.iloc[[i]])[0]
            np.testing.assert_allclose(said, want, rtol=1e-9, atol=1e-9)
            assert reason is None


# Groups with different models, as a search leaves them -------------------------------------------------------------


@pytest.mark.parametrize(
    "estimators",
    [
        (Ridge(), LinearRegression(), ElasticNet(alpha=0.1)),
        (Ridge(), TREE, ElasticNet(alpha=0.1)),
        (make_pipeline(StandardScaler(), Ridge()), LinearRegression(), make_pipeline(StandardScaler(), TREE)),
        (make_pipeline(StandardScaler(), Ridge()), LinearRegression(), Ridge(alpha=3.0)),
    ],
    ids=["linear", "a tree among them", "pipelines", "some are scaled"],
)
def test_every_group_is_answered_by_its_own_kind_of_model(estimators: Any, tmp_path: Path) -> None:
    groups = [group for key, one in zip("abc", estimators, strict=True) for group in sample_groups(one, [key])]
    rows = mixed_rows(keys="abcz")
    said = family_of(tmp_path, groups).predict(rows)["prediction"]
    for found, wanted in zip(said, by_hand(groups, rows), strict=True):
        assert pd.isna(found) if wanted is None else found == pytest.approx(wanted, rel=1e-12)


def test_classifiers_of_several_kinds_name_the_same_classes(tmp_path: Path) -> None:
    """A model that gives no probability leaves it out; the others name all classes, in one order."""
    kinds = (LogisticRegression(), GaussianNB(), SVC())
    groups = [
        group
        for key, one, classes in zip("abc", kinds, (("x", "y"), ("y", "z"), ("x", "z")), strict=True)
        for group in sample_groups(one, [key], classes=lambda _, classes=classes: classes)
    ]
    family = family_of(tmp_path, groups, task="classification", label_type="string", classes=["x", "y", "z"])
    rows = mixed_rows(30, keys="abc")
    answers = family.predict(rows)
    assert answers["prediction"].tolist() == by_hand(groups, rows)
    for key, probability in zip(rows["k"], answers["probability"], strict=True):
        if key == "c":
            assert probability is None or pd.isna(probability)
        else:
            assert list(probability) == ["x", "y", "z"]
            assert sum(probability.values()) == pytest.approx(1.0)
            assert probability["z" if key == "a" else "x"] == 0.0
