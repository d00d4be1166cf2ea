"""A search becomes candidates in a stable order; what is varied, and how, is part of what a family means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.model_selection import ParameterGrid
from support import workspace_of, write_project

from modelfactory.commands.inspect import final_estimators
from modelfactory.plan.costs import expected_seconds
from modelfactory.plan.meaning import ChangeKind, differences
from modelfactory.plan.steps import EstimatorCall, TrainStep
from modelfactory.plan.text import plan_text

FAMILY: dict[str, Any] = {"name": "f", "group_by": ["k"], "source": "s", "features": ["x", "z"], "label": "y"}
BASE = FAMILY | {"estimator": "Ridge", "search": {"params": {"alpha": [0.1, 1, 10]}, "folds": 3, "metric": "mae"}}


@pytest.fixture(scope="session", autouse=True)
def _learnt(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Learn all classes at once, not one process for each test."""
    names = (
        "Ridge Lasso LinearRegression RandomForestRegressor SVR StandardScaler PCA MLPRegressor BaggingRegressor "
        "LogisticRegression sklearn.linear_model.Ridge VotingRegressor"
    )
    family = FAMILY | {"pipeline": [{"name": f"s{i}", "class": name} for i, name in enumerate(names.split())]}
    write_project(folder := tmp_path_factory.mktemp("learnt"), {"families/f.yml": document(family)})
    with pytest.raises(Exception, match="transform"):
        workspace_of(folder)


def document(family: dict[str, Any]) -> str:
    given = {key: value for key, value in family.items() if value is not None}
    return yaml.safe_dump({"sources": [{"name": "s", "path": "data.parquet"}], "families": [given]}, sort_keys=False)


def step(folder: Path, **changes: Any) -> TrainStep:
    files = {"families/f.yml": document({**BASE, **changes})}
    return workspace_of(write_project(folder, files)).plan.steps[0]


def names(made: TrainStep) -> list[str]:
    return [candidate.name for candidate in made.fit.candidates]


def found(made: TrainStep) -> list[EstimatorCall]:
    return [candidate.estimator for candidate in made.fit.candidates]


# Candidates -------------------------------------------------------------------------------------------------------


def test_a_family_without_a_search_has_one_candidate(tmp_path: Path) -> None:
    made = step(tmp_path, search=None)
    assert made.fit.search is None
    assert names(made) == ["Ridge()"]
    assert made.fit.linear_solve is not None


def test_values_are_candidates_in_their_order_as_arguments_are(tmp_path: Path) -> None:
    made = step(tmp_path)
    assert names(made) == ["Ridge(alpha=0.1)", "Ridge(alpha=1.0)", "Ridge(alpha=10.0)"]
    assert made.fit.search is not None
    assert (made.fit.search.folds, made.fit.search.metric) == (3, "mae")
    assert made.fit.estimator == made.fit.candidates[0].estimator
    assert made.fit.linear_solve is None


def test_the_grid_is_walked_as_scikit_learn_walks_it(tmp_path: Path) -> None:
    """By sorted names, the last running fastest; the order in which they are written is none."""
    params = {"solver": ["svd", "lsqr"], "alpha": [1.0, 0.1], "fit_intercept": [True, False]}
    made = step(tmp_path, search={"params": params})
    assert [dict(call.params) for call in found(made)] == list(ParameterGrid(params))


def test_several_estimators_each_with_its_own_grid(tmp_path: Path) -> None:
    forest = {"class": "RandomForestRegressor", "params": {"n_estimators": 5}, "search": {"max_depth": [2, None]}}
    made = step(tmp_path, search={"estimators": ["LinearRegression", forest], "params": {"alpha": [2]}})
    assert names(made) == [
        "Ridge(alpha=2.0)",
        "LinearRegression()",
        "RandomForestRegressor(max_depth=2, n_estimators=5)",
        "RandomForestRegressor(max_depth=None, n_estimators=5)",
    ]
    assert final_estimators(made) == ["Ridge", "LinearRegression", "RandomForestRegressor"]
    assert made.fit.search is not None
    assert (made.fit.search.folds, made.fit.search.metric) == (5, "rmse")


def test_the_estimator_may_be_left_out_and_its_own_value_varied(tmp_path: Path) -> None:
    made = step(tmp_path, estimator=None, search={"estimators": ["Lasso", "LinearRegression"]})
    assert names(made) == ["Lasso()", "LinearRegression()"]
    made = step(tmp_path, estimator={"class": "Ridge", "params": {"alpha": 5, "tol": 0.1}})
    assert names(made)[0] == "Ridge(alpha=0.1, tol=0.1)"


def test_every_candidate_has_the_same_preprocessing(tmp_path: Path) -> None:
    search = {"params": {"alpha": [1]}, "estimators": ["SVR"]}
    made = step(tmp_path, preprocess={"numeric": "StandardScaler"}, search=search)
    for call, last in zip(found(made), ("Ridge", "SVR"), strict=True):
        (scaler, scale), (name, final) = dict(call.params)["steps"]
        assert (scaler, scale.name, name, final.name) == ("standardscaler", "StandardScaler", "estimator", last)
    assert {candidate.weight_parameter for candidate in made.fit.candidates} == {"estimator__sample_weight"}
    assert names(made) == ["Ridge(alpha=1.0)", "SVR()"]


def test_parameters_of_steps(tmp_path: Path) -> None:
    pipeline = [{"name": "pca", "class": "PCA"}, {"name": "fit", "class": "Ridge"}]
    search = {"params": {"pca__n_components": [1, 2], "fit__alpha": [0.5], "tol": [0.1]}}
    made = step(tmp_path, estimator=None, pipeline=pipeline, search=search)
    assert names(made) == [f"Ridge(alpha=0.5, tol=0.1), pca__n_components={n}" for n in (1, 2)]
    for n, call in zip((1, 2), found(made), strict=True):
        (_, pca), (_, ridge) = dict(call.params)["steps"]
        assert dict(pca.params) == {"n_components": n}
        assert dict(ridge.params) == {"alpha": 0.5, "tol": 0.1}
    others = [{"class": "Lasso", "search": {"pca__n_components": [1]}}]
    made = step(tmp_path, pipeline=pipeline[:1], search={"estimators": others, "params": {"estimator__alpha": [3]}})
    assert names(made) == ["Ridge(alpha=3.0)", "Lasso(), pca__n_components=1"]
    made = step(tmp_path, estimator=None, pipeline=pipeline[:1], search={"estimators": ["Lasso", "Ridge"]})
    assert [[name for name, _ in dict(call.params)["steps"]] for call in found(made)] == [["pca", "estimator"]] * 2


def test_parameters_of_nested_estimators(tmp_path: Path) -> None:
    bagging = {"class": "BaggingRegressor", "params": {"estimator": {"class": "Ridge"}}}
    made = step(tmp_path, estimator=bagging, search={"params": {"estimator__alpha": [1], "n_estimators": [3]}})
    assert names(made) == ["BaggingRegressor(estimator=Ridge(alpha=1.0), n_estimators=3)"]
    both = [["a", {"class": "Ridge"}], ["b", {"class": "Lasso"}]]
    voting = {"class": "VotingRegressor", "params": {"estimators": both}}
    made = step(tmp_path, estimator=voting, search={"params": {"b__alpha": [1, 2]}})
    assert names(made)[1] == "VotingRegressor(estimators=[('a', Ridge()), ('b', Lasso(alpha=2.0))])"
    inner = [{"class": "Ridge"}, {"class": "Lasso", "params": {"alpha": 2}}]
    made = step(tmp_path, estimator="BaggingRegressor", search={"params": {"estimator": inner}})
    assert names(made)[1] == "BaggingRegressor(estimator=Lasso(alpha=2.0))"
    assert made.fit.container == "frame"


def test_values_that_are_tuples(tmp_path: Path) -> None:
    made = step(tmp_path, estimator="MLPRegressor", search={"params": {"hidden_layer_sizes": [[5], [5, 5]]}})
    assert names(made)[0] in ("MLPRegressor(hidden_layer_sizes=(5,))", "MLPRegressor(hidden_layer_sizes=[5])")


def test_classes_of_one_name_are_told_by_their_modules(tmp_path: Path) -> None:
    own = {"class": "training_samples.ExtraTreesRegressor", "search": {"n_estimators": [2]}}
    family = BASE | {"estimator": "ExtraTreesRegressor", "search": {"estimators": [own, "Ridge"]}}
    project = "name: d\nestimator_packages: [training_samples]\n"
    write_project(tmp_path, {"families/f.yml": document(family), "mf_project.yml": project})
    assert names(workspace_of(tmp_path).plan.steps[0]) == [
        "sklearn.ensemble.ExtraTreesRegressor()",
        "training_samples.ExtraTreesRegressor(n_estimators=2)",
        "Ridge()",
    ]


# What it means ----------------------------------------------------------------------------------------------------


def test_how_a_search_is_written_is_no_change(tmp_path: Path) -> None:
    short = step(tmp_path / "a", search={"params": {"alpha": [1, 2], "tol": [1]}, "estimators": ["Lasso"]})
    long = step(
        tmp_path / "b",
        estimator={"class": "sklearn.linear_model.Ridge", "params": {"alpha": 1.0}},
        search={
            "metric": "rmse",
            "folds": 5,
            "estimators": [{"class": "Lasso", "params": {"alpha": 1}, "search": {}}],
            "params": {"tol": [1.0], "alpha": [1.0, 2.0]},
        },
    )
    assert short.definition_fingerprint == long.definition_fingerprint
    assert short.meaning == long.meaning


@pytest.mark.parametrize(
    ("search", "path"),
    [
        ({"params": {"alpha": [1, 0.1, 10]}, "folds": 3, "metric": "mae"}, ("search", "params", "alpha")),
        ({"params": {"alpha": [0.1, 1, 10]}, "folds": 4, "metric": "mae"}, ("search", "folds")),
        ({"params": {"alpha": [0.1, 1, 10]}, "folds": 3, "metric": "rmse"}, ("search", "metric")),
        (
            {"params": {"alpha": [0.1, 1, 10]}, "folds": 3, "metric": "mae", "estimators": ["Lasso"]},
            ("search", "estimators"),
        ),
        (None, ("search",)),
    ],
)
def test_another_search_makes_other_models(tmp_path: Path, search: Any, path: tuple[str, ...]) -> None:
    old, new = step(tmp_path / "a"), step(tmp_path / "b", search=search)
    assert [(change.path, change.kind) for change in differences(old.meaning, new.meaning)] == [
        (path, ChangeKind.RETRAIN)
    ]
    assert old.definition_fingerprint != new.definition_fingerprint
    assert old.fit_fingerprint != new.fit_fingerprint


def test_a_value_of_one_of_several_estimators_is_named(tmp_path: Path) -> None:
    old, new = (
        step(
            tmp_path / str(n),
            search={"estimators": ["Lasso", {"class": "RandomForestRegressor", "search": {"n_estimators": [n]}}]},
        )
        for n in (5, 6)
    )
    (change,) = differences(old.meaning, new.meaning)
    assert (change.path, change.old, change.new) == (("search", "estimators", "1", "search", "n_estimators"), [5], [6])


def test_families_without_a_search_mean_what_they_have_always_meant(tmp_path: Path) -> None:
    assert "search" not in step(tmp_path, search=None).meaning.models


# What it costs ----------------------------------------------------------------------------------------------------


def seconds(made: TrainStep) -> float:
    rows = np.array([1000])
    return float(expected_seconds(made.fit, rows, rows)[0])


def test_a_search_costs_what_its_fits_cost(tmp_path: Path) -> None:
    forest = {"class": "RandomForestRegressor", "params": {"n_estimators": 50}}
    alone = seconds(step(tmp_path, estimator=forest, search=None))
    depths = {"params": {"max_depth": [2, 4, 8, 16]}, "folds": 5}
    chosen = seconds(step(tmp_path, estimator=forest, search=depths))
    assert chosen / alone == pytest.approx(4 * 5 * 0.8 + 1, rel=0.1)
    evaluate = {"holdout": 0.2, "refit": True}
    assert chosen < seconds(step(tmp_path, estimator=forest, search=depths, evaluate=evaluate)) < chosen + 1.1 * alone
    nested = seconds(step(tmp_path, estimator=forest, search=depths, evaluate={"folds": 3}))
    assert nested / chosen == pytest.approx(4, rel=0.01)


# What is told -----------------------------------------------------------------------------------------------------


def test_the_plan_names_every_candidate(tmp_path: Path) -> None:
    search = {"params": {"alpha": [1, 2]}, "estimators": ["SVR"], "metric": "r2"}
    write_project(tmp_path, {"families/f.yml": document(BASE | {"search": search, "fallback": "global"})})
    text = plan_text(workspace_of(tmp_path).plan)
    assert "highest mean r2 on 5 folds" in text
    for name in ("Ridge(alpha=1.0)", "Ridge(alpha=2.0)", "SVR()"):
        assert f"\n    {name}\n" in text
    assert "defaults: kernel='rbf'" in text
    assert "one model chosen by the same search on the rows of all groups" in text
    assert "chosen string, candidates map<string,double>" in " ".join(text.split())
