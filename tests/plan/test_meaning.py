"""What differs between two definitions: the innermost values, with what the change asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import workspace_of, write_project

from modelfactory.plan.meaning import MISSING, Change, ChangeKind, Meaning, differences, gravest

FAMILY: dict[str, Any] = {
    "name": "f",
    "group_by": ["k"],
    "source": "s",
    "features": ["x", "z"],
    "label": "y",
    "estimator": {"class": "RandomForestRegressor", "params": {"n_estimators": 10}},
    "preprocess": {"numeric": [{"class": "SimpleImputer", "params": {"strategy": "median"}}, "StandardScaler"]},
    "evaluate": {"holdout": 0.2, "metrics": ["rmse"]},
    "tags": ["a"],
}
BREAKING, RETRAIN, RETEST, METADATA = ChangeKind


def meaning(folder: Path, family: Mapping[str, Any], path: str = "data.parquet") -> Meaning:
    document = {"sources": [{"name": "s", "path": path}], "families": [dict(family)]}
    return workspace_of(write_project(folder, {"families/f.yml": yaml.safe_dump(document)})).plan.steps[0].meaning


def changes(folder: Path, **new: Any) -> list[tuple[str, Any, Any, ChangeKind]]:
    old = meaning(folder / "old", FAMILY)
    found = differences(old, meaning(folder / "new", {**FAMILY, **new}))
    return [(".".join(c.path), c.old, c.new, c.kind) for c in found]


FOREST = "sklearn.ensemble.RandomForestRegressor"
LOGISTIC = {"class": "sklearn.linear_model.LogisticRegression"}


@pytest.mark.parametrize(
    ("new", "found"),
    [
        ({}, []),
        ({"description": "what for"}, [("description", MISSING, "what for", METADATA)]),
        ({"tags": ["a", "b"]}, [("tags", ["a"], ["a", "b"], METADATA)]),
        ({"min_rows": 5}, [("min_rows", 1, 5, RETRAIN)]),
        ({"features": ["x", "z", "w"]}, [("features.w", MISSING, "numeric", BREAKING)]),
        ({"features": ["x"]}, [("features.z", "numeric", MISSING, BREAKING)]),
        ({"features": ["z", "x"]}, [("feature_order", ["x", "z"], ["z", "x"], BREAKING)]),
        ({"group_by": ["k", "j"]}, [("group_by", ["k"], ["k", "j"], BREAKING)]),
        ({"label": "v"}, [("label", "y", "v", BREAKING)]),
        (
            {"estimator": {"class": FOREST, "params": {"n_estimators": 20, "max_depth": 3}}},
            [("estimator.params.n_estimators", 10, 20, RETRAIN), ("estimator.params.max_depth", MISSING, 3, RETRAIN)],
        ),
        ({"estimator": {"class": FOREST, "params": {"n_estimators": 10, "max_depth": None, "bootstrap": True}}}, []),
        (
            {"preprocess": {"numeric": [{"class": "SimpleImputer"}, "StandardScaler"]}},
            [("preprocess.numeric.0.params.strategy", "median", MISSING, RETRAIN)],
        ),
        ({"fallback": "global"}, [("fallback", MISSING, "global", RETRAIN)]),
        ({"max_failed": 3}, [("max_failed.share", 0.01, MISSING, RETEST), ("max_failed.count", MISSING, 3, RETEST)]),
        ({"evaluate": {"holdout": 0.2, "metrics": ["mae"]}}, [("metrics", ["rmse"], ["mae"], RETEST)]),
        ({"evaluate": {"holdout": 0.3, "metrics": ["rmse"]}}, [("evaluate.holdout", 0.2, 0.3, RETRAIN)]),
        (
            {"estimator": LOGISTIC, "evaluate": {"holdout": 0.2}},
            [
                ("task", "regression", "classification", BREAKING),
                ("estimator.class", FOREST, LOGISTIC["class"], RETRAIN),
                ("estimator.params", {"n_estimators": 10}, {}, RETRAIN),
                ("metrics", ["rmse"], ["accuracy", "balanced_accuracy"], RETEST),
            ],
        ),
    ],
    ids=str,
)
def test_the_innermost_values_that_differ(
    tmp_path: Path, new: dict[str, Any], found: list[tuple[str, Any, Any, ChangeKind]]
) -> None:
    assert changes(tmp_path, **new) == found


def test_another_way_to_read_the_source_is_a_change_of_the_family(tmp_path: Path) -> None:
    one, other = meaning(tmp_path / "a", FAMILY), meaning(tmp_path / "b", FAMILY, "new.parquet")
    (change,) = differences(one, other)
    assert change == Change(
        path=("sources", "s", "path"), old="data.parquet", new="new.parquet", kind=ChangeKind.RETRAIN
    )


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"max_features": 1}, {"max_features": 1}),  # one feature
        ({"max_features": 0.5}, {"max_features": 0.5}),
        ({"max_features": 1.0}, {}),  # all features: the default
        ({"min_impurity_decrease": 1}, {"min_impurity_decrease": 1.0}),
        ({"min_samples_split": 2}, {}),
        ({"random_state": 1}, {"random_state": 1}),
    ],
    ids=str,
)
def test_one_is_one_point_nought_where_the_class_takes_them_for_the_same(
    tmp_path: Path, params: dict[str, Any], shown: dict[str, Any]
) -> None:
    family = {**FAMILY, "estimator": {"class": "RandomForestRegressor", "params": params}}
    found = meaning(tmp_path, family).models["estimator"].get("params", {})
    assert found == shown
    assert [type(value) for value in found.values()] == [type(value) for value in shown.values()]


def test_what_comes_from_the_environment_stays_a_reference_and_still_counts(tmp_path: Path) -> None:
    family = {**FAMILY, "min_rows": "${env:LEAST}", "owner": "${env:WHO}", "seed": 7}
    document = {"sources": [{"name": "s", "path": "x.parquet"}], "families": [family]}
    folder = write_project(tmp_path, {"families/f.yml": yaml.safe_dump(document)})
    steps = [workspace_of(folder, environ={"LEAST": least, "WHO": "hunter2"}).plan.steps[0] for least in ("41", "42")]
    assert steps[0].meaning == steps[1].meaning
    assert steps[0].meaning.models["min_rows"] == "${env:LEAST}"
    assert steps[0].meaning.metadata["owner"] == "${env:WHO}"
    assert steps[0].definition_fingerprint != steps[1].definition_fingerprint


SECRETS = {"WORD": "sesame77", "PART": "tok", "WHOLE": "tok-en-rest", "TEN": "10", "COLUMN": "hiddencolumn"}


def secretive(folder: Path, **keys: Any) -> Meaning:
    """Return the meaning of a family some of whose values come from the environment."""
    document = {"sources": [{"name": "s", "path": "x.parquet"}], "families": [{**FAMILY, **keys}]}
    variables = "name: p\nvars: {hidden: '${env:WORD}', twice: 'x ${var:hidden}'}\n"
    files = {"families/f.yml": yaml.safe_dump(document), "mf_project.yml": variables}
    return workspace_of(write_project(folder, files), environ=SECRETS).plan.steps[0].meaning


@pytest.mark.parametrize(
    "keys",
    [
        {"description": "${var:hidden}"},
        {"owner": "${var:twice}"},
        {"description": "tok_${env:WORD}"},
        {"tags": ["${var:hidden}", "a${env:WORD}b"]},
        {"meta": {"a": {"b": ["x${env:WORD}"]}}},
        {"where": "x > '${env:WORD}'"},
        {"label": "${env:COLUMN}"},
        {"features": ["x", "${env:COLUMN}"]},
        {"group_by": ["${env:COLUMN}"]},
        {"source": None, "sql": "select * from {{ source('s') }}_{{ env_var('WORD') }} {{ var('hidden') }}"},
        {"evaluate": {"by_time": {"column": "${env:COLUMN}"}}},
        {"owner": "${env:WHOLE} and ${env:PART}"},
    ],
    ids=str,
)
def test_no_value_of_the_environment_is_in_a_meaning(tmp_path: Path, keys: dict[str, Any]) -> None:
    found = repr(secretive(tmp_path, **keys))
    assert not [secret for secret in ("sesame77", "tok-en", "-en-rest", "hiddencolumn") if secret in found], found
    assert "${env:" in found


def test_what_only_looks_like_a_value_of_the_environment_stays(tmp_path: Path) -> None:
    found = secretive(tmp_path, description="on ${env:TEN} cores", seed=10, meta={"a": 10})
    assert found.metadata["description"] == "on ${env:TEN} cores"
    assert found.models["estimator"]["params"] == {"n_estimators": 10}
    assert (found.models["seed"], found.metadata["meta"]) == (10, {"a": 10})


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("KernelRidge", {"alpha": 1}),
        ("KNeighborsRegressor", {"p": 2, "n_neighbors": 5}),
        ("SVR", {"cache_size": 200}),
        ("MLPRegressor", {"hidden_layer_sizes": [100]}),
        ("RidgeCV", {"alphas": [0.1, 1.0, 10.0]}),
        ("HistGradientBoostingRegressor", {"learning_rate": 0.1, "max_iter": 100}),
    ],
)
def test_a_default_that_is_written_out_is_no_change(tmp_path: Path, name: str, params: dict[str, Any]) -> None:
    family = {**FAMILY, "estimator": {"class": name, "params": params}}
    assert meaning(tmp_path, family).models["estimator"]["params"] == {}


def test_nan_is_nan_and_one_is_not_true(tmp_path: Path) -> None:
    imputer = {"class": "SimpleImputer", "params": {"missing_values": float("nan"), "fill_value": float("inf")}}
    family = {**FAMILY, "preprocess": {"numeric": [imputer]}, "meta": {"l": [1, 2]}}
    first, again = meaning(tmp_path / "a", family), meaning(tmp_path / "b", family)
    assert differences(first, again) == ()
    kept = json.loads(json.dumps(first.models, allow_nan=False))
    assert kept == first.models
    other = meaning(tmp_path / "c", {**family, "meta": {"l": [True, 2.0]}})
    assert [change.path for change in differences(first, other)] == [("meta", "l")]


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("kxyz"), inner, max_size=3),
    max_leaves=8,
)
_meanings = st.builds(
    Meaning,
    models=st.dictionaries(st.sampled_from(["label", "where", "estimator"]), _plain),
    tests=st.dictionaries(st.sampled_from(["metrics", "timeout"]), _plain),
    metadata=st.dictionaries(st.sampled_from(["owner", "meta"]), _plain),
)


@settings(max_examples=200, deadline=None)
@given(_meanings, _meanings)
def test_nothing_differs_if_and_only_if_nothing_is_told(one: Meaning, other: Meaning) -> None:
    found = differences(one, other)
    assert bool(found) == (repr(one) != repr(other) and _sorted(one) != _sorted(other))
    assert gravest(found) == (found[0].kind if found else None)
    assert differences(one, one) == ()


def _sorted(value: Any) -> str:
    """Write a value so that key order is no difference, and 1 and true are one."""
    match value:
        case Meaning():
            return _sorted([value.models, value.tests, value.metadata])
        case dict():
            return "{" + ",".join(f"{key}:{_sorted(value[key])}" for key in sorted(value)) + "}"
        case list():
            return "[" + ",".join(_sorted(item) for item in value) + "]"
        case _:
            return repr(value)
