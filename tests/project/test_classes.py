"""Classes and their parameters are checked against what scikit-learn itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import facts_of, load, write_project

from modelfactory.diagnostics import Code
from modelfactory.project.classes import ClassFacts, Mistake, sklearn_names
from modelfactory.project.parameters import check_class


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClassFacts]:
    """Facts of the classes that the tests name."""
    names = [
        "Ridge", "RandomForestRegressor", "LogisticRegression", "BaggingRegressor", "StackingRegressor", "KMeans",
        "StandardScaler", "OneHotEncoder", "HistGradientBoostingRegressor", "sklearn.linear_model.Lasso", "SVR",
        "sklearn.linear_model.Rigde", "sklearn.metrics.accuracy_score", "QuantileTransformer", "MLPRegressor",
        "Pipeline", "GridSearchCV", "ClassifierChain", "OutputCodeClassifier", "FixedThresholdClassifier", "KMeans",
    ]  # fmt: skip
    families = "families:\n" + "".join(
        f"- {{name: f{i}, group_by: k, sql: select 1, features: x, estimator: {name}}}\n"
        for i, name in enumerate(names)
    )
    folder = write_project(tmp_path_factory.mktemp("classes"), {"families/f.yml": families})
    return facts_of(load(folder))


def check(facts: dict[str, ClassFacts], name: str, **params: Any) -> list[Mistake]:
    return list(check_class(name, params, facts, ("sklearn",)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Ridge", "regressor"),
        ("sklearn.linear_model.Lasso", "regressor"),
        ("LogisticRegression", "classifier"),
        ("KMeans", "unsupervised"),
        ("StandardScaler", "transformer"),
    ],
)
def test_the_kind_of_a_class_is_known(facts: dict[str, ClassFacts], name: str, kind: str) -> None:
    assert facts[name].kind == kind


def test_public_names_are_found_without_importing_scikit_learn() -> None:
    names = sklearn_names()
    assert names["Ridge"] == "sklearn.linear_model"
    assert names["ColumnTransformer"] == "sklearn.compose"
    assert names["OneHotEncoder"] == "sklearn.preprocessing"
    assert not any(name.startswith("_") for name in names)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Ridge", {}),
        ("Ridge", {"alpha": 1}),
        ("Ridge", {"alpha": 0.5, "solver": "auto", "max_iter": None}),
        ("RandomForestRegressor", {"max_depth": None, "max_features": "sqrt", "bootstrap": False}),
        ("RandomForestRegressor", {"max_features": 0.5, "min_samples_leaf": 5}),
        ("RandomForestRegressor", {"max_features": 1}),
        ("LogisticRegression", {"class_weight": "balanced"}),
        ("LogisticRegression", {"class_weight": {"a": 2.0}}),
        ("LogisticRegression", {"class_weight": {0: 1.0, 1: 2.0}}),
        ("OneHotEncoder", {"handle_unknown": "ignore", "drop": None}),
        ("MLPRegressor", {"hidden_layer_sizes": [10, 5]}),
        ("BaggingRegressor", {"estimator": {"class": "Ridge", "params": {"alpha": 2}}}),
        ("BaggingRegressor", {"estimator": {"class": "Ridge"}}),
        ("StackingRegressor", {"estimators": [["a", {"class": "Ridge"}], ["b", {"class": "SVR"}]]}),
    ],
)
def test_right_parameters_pass(facts: dict[str, ClassFacts], name: str, params: dict[str, Any]) -> None:
    assert check(facts, name, **params) == []


@pytest.mark.parametrize(
    ("name", "key", "near"),
    [
        ("RandomForestRegressor", "max_dept", "did you mean `max_depth`? (int >= 1 or null, default null)"),
        ("Ridge", "alfa", "did you mean `alpha`?"),
        ("Ridge", "ALPHA", "did you mean `alpha`?"),
        ("Ridge", "n_estimators", "`alpha`"),
    ],
)
def test_an_unknown_parameter_gets_the_nearest_right_one(
    facts: dict[str, ClassFacts], name: str, key: str, near: str
) -> None:
    (found,) = check(facts, name, **{key: 1})
    assert (found.code, found.path, found.key) == (Code.UNKNOWN_PARAMETER, ("params", key), True)
    assert near in (found.help or "")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Ridge", {"alpha": "big"}),
        ("Ridge", {"alpha": -1}),
        ("Ridge", {"alpha": True}),
        ("Ridge", {"alpha": None}),
        ("Ridge", {"alpha": float("nan")}),
        ("Ridge", {"solver": "choleski"}),
        ("Ridge", {"fit_intercept": "yes"}),
        ("RandomForestRegressor", {"n_estimators": 0}),
        ("RandomForestRegressor", {"n_estimators": 10.5}),
        ("RandomForestRegressor", {"max_features": 1.5}),
        ("KMeans", {"n_clusters": "3"}),
        ("BaggingRegressor", {"estimator": 5}),
        ("StandardScaler", {"with_mean": {}}),
    ],
)
def test_an_ill_typed_parameter_is_found_at_its_value(
    facts: dict[str, ClassFacts], name: str, params: dict[str, Any]
) -> None:
    (found,) = check(facts, name, **params)
    assert (found.code, found.path, found.key) == (Code.BAD_PARAMETER, ("params", *params), False)
    assert found.help


def test_a_misspelt_option_gets_the_nearest_right_one(facts: dict[str, ClassFacts]) -> None:
    (found,) = check(facts, "Ridge", solver="choleski")
    assert found.help == "did you mean `cholesky`?"


def test_nested_estimators_are_checked_where_they_stand(facts: dict[str, ClassFacts]) -> None:
    written = [["a", {"class": "Ridge", "params": {"alfa": 1}}], ["b", {"class": "Rigde"}]]
    found = check(facts, "StackingRegressor", estimators=written)
    assert [(m.code, m.path) for m in found] == [
        (Code.UNKNOWN_PARAMETER, ("params", "estimators", 0, 1, "params", "alfa")),
        (Code.UNKNOWN_CLASS, ("params", "estimators", 1, 1, "class")),
    ]


@pytest.mark.parametrize("params", [None, [1], "x", 5])
def test_parameters_of_a_nested_estimator_must_be_a_mapping(facts: dict[str, ClassFacts], params: object) -> None:
    (found,) = check(facts, "BaggingRegressor", estimator={"class": "Ridge", "params": params})
    assert found.path[:2] == ("params", "estimator")


def test_a_nested_estimator_with_an_unknown_key_is_told_so(facts: dict[str, ClassFacts]) -> None:
    (found,) = check(facts, "BaggingRegressor", estimator={"class": "Ridge", "param": {"alpha": 1}})
    assert found.code == Code.UNKNOWN_KEY
    assert "`params`" in (found.help or "")


def test_a_nested_estimator_by_its_bare_name_is_taken_or_explained(facts: dict[str, ClassFacts]) -> None:
    found = check(facts, "BaggingRegressor", estimator="Ridge")
    assert not found or "class: Ridge" in (found[0].help or "")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Rigde", "`Ridge`"),
        ("randomforestregressor", "`RandomForestRegressor`"),
        ("sklearn.linear_model.Rigde", "`sklearn.linear_model.Ridge`"),
        ("xgboost.XGBRegressor", "estimator_packages"),
        ("os.system", "estimator_packages"),
    ],
)
def test_an_unknown_class_gets_the_nearest_right_one(facts: dict[str, ClassFacts], name: str, near: str) -> None:
    (found,) = check(facts, name)
    assert (found.code, found.path) == (Code.UNKNOWN_CLASS, ("class",))
    assert near in (found.help or "")


def test_no_class_is_proposed_instead_of_itself(facts: dict[str, ClassFacts]) -> None:
    name = "sklearn.base.BaseEstimator"
    (found,) = check({**facts, name: ClassFacts(name, error="not a class with a `fit` method")}, name)
    assert f"`{name}`" not in (found.help or "")
    assert "cannot be imported" not in found.message


@pytest.mark.parametrize("name", ["sklearn.metrics.accuracy_score", "sklearn.linear_model.Rigde"])
def test_what_is_no_estimator_is_refused(facts: dict[str, ClassFacts], name: str) -> None:
    assert facts[name].error
    assert [m.code for m in check(facts, name)] == [Code.UNKNOWN_CLASS]


def test_the_facts_survive_their_cache(tmp_path: Path) -> None:
    folder = write_project(
        tmp_path,
        {"families/f.yml": "families: [{name: f, group_by: k, sql: select 1, features: x, estimator: Ridge}]\n"},
    )
    project = load(folder)
    assert facts_of(project) == facts_of(project)


# Parameters of nested estimators -----------------------------------------------------------------------------------

RIDGE = {"class": "Ridge"}
PIPELINE = {"class": "Pipeline", "params": {"steps": [["scale", {"class": "StandardScaler"}], ["fit", RIDGE]]}}


@pytest.mark.parametrize(
    ("name", "params", "hint"),
    [
        ("BaggingRegressor", {"estimator": RIDGE, "estimator__alpha": 1}, "`estimator: {class: Ridge, params: {alpha"),
        ("BaggingRegressor", {"estimator__alpha": 1}, "`estimator: {class: …, params: {alpha: …}}`"),
        ("Pipeline", {**PIPELINE["params"], "fit__alpha": 1}, "`fit: {class: Ridge, params: {alpha: …}}`"),
    ],
)
def test_a_parameter_written_as_scikit_learn_names_nested_ones(
    facts: dict[str, ClassFacts], name: str, params: dict[str, Any], hint: str
) -> None:
    (found,) = check(facts, name, **params)
    assert (found.code, found.path[1]) == (Code.UNKNOWN_PARAMETER, list(params)[-1])
    assert hint in (found.help or "")


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (RIDGE, {"alpha": [0.1, 1], "solver": ["auto", "svd"]}),
        (RIDGE, [{"alpha": [1]}, {"tol": [0.1]}]),
        (PIPELINE, {"fit__alpha": [1], "scale__with_mean": [True], "scale": ["passthrough"], "memory": [None]}),
        ({"class": "BaggingRegressor", "params": {"estimator": RIDGE}}, {"estimator__alpha": [1], "n_estimators": [2]}),
        ({"class": "BaggingRegressor"}, {"estimator__max_depth": [1]}),
    ],
)
def test_a_right_grid_passes(facts: dict[str, ClassFacts], estimator: Any, grid: Any) -> None:
    assert check(facts, "GridSearchCV", estimator=estimator, param_grid=grid) == []


@pytest.mark.parametrize(
    ("estimator", "grid", "path", "code", "words"),
    [
        (RIDGE, {"alfa": [1]}, ("alfa",), Code.UNKNOWN_PARAMETER, "`alfa` of Ridge"),
        (RIDGE, [{"alpha": [1]}, {"tool": [1]}], (1, "tool"), Code.UNKNOWN_PARAMETER, "`tool` of Ridge"),
        (RIDGE, {"alpha": [1, -1]}, ("alpha", 1), Code.BAD_PARAMETER, "cannot be -1"),
        (PIPELINE, {"fit__alfa": [1]}, ("fit__alfa",), Code.UNKNOWN_PARAMETER, "`alfa` of Ridge"),
        (PIPELINE, {"fits__alpha": [1]}, ("fits__alpha",), Code.UNKNOWN_PARAMETER, "`fits` of Pipeline"),
        (PIPELINE, {"scale__copy": [1]}, ("scale__copy", 0), Code.BAD_PARAMETER, "cannot be 1"),
    ],
)
def test_a_wrong_grid_is_found_at_the_name_or_the_value(
    facts: dict[str, ClassFacts], estimator: Any, grid: Any, path: Any, code: Code, words: str
) -> None:
    (found,) = check(facts, "GridSearchCV", estimator=estimator, param_grid=grid)
    assert (found.code, found.path) == (code, ("params", "param_grid", *path))
    assert words in found.message


def test_an_estimator_has_to_have_what_its_owner_calls(facts: dict[str, ClassFacts]) -> None:
    (found,) = check(facts, "FixedThresholdClassifier", estimator=RIDGE)
    assert (found.code, found.path) == (Code.BAD_PARAMETER, ("params", "estimator", "class"))
    assert "Ridge, which has no `predict_proba` or `decision_function`" in found.message
    assert check(facts, "FixedThresholdClassifier", estimator={"class": "LogisticRegression"}) == []


@pytest.mark.parametrize(
    ("steps", "path", "hint"),
    [
        ([["a", "Ridge"]], (0, 1), "write {class: Ridge}"),
        ([["a", "Rigde"]], (0, 1), "write {class: Ridge}"),
        ([RIDGE], (0,), "write [name, {class: …}]"),
        ([["a", 5]], (0, 1), "write {class: …}"),
    ],
)
def test_a_step_is_a_name_and_an_estimator(facts: dict[str, ClassFacts], steps: Any, path: Any, hint: str) -> None:
    (found,) = check(facts, "Pipeline", steps=steps)
    assert (found.code, found.path) == (Code.BAD_PARAMETER, ("params", "steps", *path))
    assert found.help == hint


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), (True, "true"), (1, "1"), ("x", "'x'"), ([1], "a list"), ({"a": 1}, "a mapping")],
)
def test_a_refused_value_is_shown_as_it_is_written(facts: dict[str, ClassFacts], value: Any, shown: str) -> None:
    (found,) = check(facts, "StandardScaler", copy=value) if value is not True else check(facts, "Ridge", alpha=value)
    assert found.message.endswith(f" cannot be {shown}")
