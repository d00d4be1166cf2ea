"""Declared tests: what they are compiled to, and those that could never be judged, told where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import workspace_of, write_project

from modelfactory.diagnostics import Code, Diagnostic, InputError
from modelfactory.plan.meaning import ChangeKind, differences
from modelfactory.plan.steps import DeclaredTest, TrainStep
from modelfactory.plan.text import plan_text

BASE: dict[str, Any] = {
    "name": "f",
    "group_by": ["k"],
    "source": "s",
    "features": ["x", {"name": "c", "kind": "categorical"}],
    "label": "y",
    "estimator": "Ridge",
    "preprocess": {"categorical": ["OneHotEncoder"]},
    "evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae"]},
}
KMEANS = {"estimator": "KMeans", "label": None, "evaluate": None, "features": ["x"], "preprocess": None}
LOGISTIC = {"estimator": "LogisticRegression", "evaluate": {"holdout": 0.2}}


def step(folder: Path, *tests: Any, **changes: Any) -> TrainStep:
    family = {key: value for key, value in {**BASE, **changes, "tests": list(tests)}.items() if value is not None}
    document = {"sources": [{"name": "s", "path": "s3://bucket/rows"}], "families": [family]}
    text = yaml.safe_dump(document, sort_keys=False, width=200)
    return workspace_of(write_project(folder, {"families/f.yml": text})).plan.steps[0]


def mistake(folder: Path, test: Any, **changes: Any) -> Diagnostic:
    with pytest.raises(InputError) as caught:
        step(folder, test, **changes)
    (found,) = caught.value.diagnostics
    return found


def marked(found: Diagnostic) -> str:
    """Return what the mark of a diagnostic stands under."""
    assert found.position is not None
    assert found.source_line is not None
    return found.source_line[found.position.column - 1 :][: found.position.length]


# What they become -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name", "parameters"),
    [
        ({"coverage": {"min": "95%"}}, "coverage", {"min": 0.95}),
        (
            {"metric": {"name": "rmse", "max": 45}},
            "metric rmse median",
            {"name": "rmse", "stat": "median", "min": None, "max": 45.0},
        ),
        ({"beats_baseline": {"metric": "mae"}}, "beats_baseline mae", {"metric": "mae", "min_share": 0.5}),
        (
            {"beats_current": {"metric": "mae", "tolerance": "5%", "name": "no step back"}},
            "no step back",
            {"metric": "mae", "min_share": 0.5, "tolerance": 0.05, "per_group": False},
        ),
        ("no_lost_groups", "no_lost_groups", {"max": (("share", None), ("count", 0))}),
        ({"no_lost_groups": {"max": "1%"}}, "no_lost_groups", {"max": (("share", 0.01), ("count", None))}),
        ({"max_model_bytes": {"max": "1.5mb"}}, "max_model_bytes", {"max": 1_500_000}),
        ({"max_model_bytes": {"max": "2 KiB"}}, "max_model_bytes", {"max": 2048}),
        ({"max_model_bytes": {"max": 10}}, "max_model_bytes", {"max": 10}),
        ({"finite_parameters": None}, "finite_parameters", {}),
        ({"prediction_range": {"min": 0}}, "prediction_range", {"min": 0.0, "max": None}),
        (
            {"coefficient_sign": {"feature": "x", "sign": "positive"}},
            "coefficient_sign x positive",
            {"feature": "x", "sign": "positive", "min_share": 1.0},
        ),
        (
            {"stable_metrics": {"metric": "rmse"}},
            "stable_metrics rmse",
            {"metric": "rmse", "versions": 3, "tolerance": 0.2},
        ),
        ({"sql": {"query": "select 1"}}, "sql", {"query": "select 1"}),
    ],
)
def test_each_becomes_a_name_and_all_its_parameters(
    tmp_path: Path, written: Any, name: str, parameters: dict[str, Any]
) -> None:
    (made,) = step(tmp_path, written).tests
    assert (made.name, made.severity, dict(made.parameters)) == (name, "error", parameters)


def test_a_test_may_only_warn(tmp_path: Path) -> None:
    (made,) = step(tmp_path, {"coverage": {"min": 1, "severity": "warn"}}).tests
    assert made == DeclaredTest(kind="coverage", name="coverage", severity="warn", parameters=(("min", 1.0),))
    assert made["min"] == 1.0


def test_the_range_of_predictions_is_measured_where_it_is_declared(tmp_path: Path) -> None:
    plain = step(tmp_path / "a").fit.evaluation
    ranged = step(tmp_path / "b", {"prediction_range": {"min": 0}}).fit.evaluation
    assert plain is not None
    assert ranged is not None
    assert plain.measured == ("rmse", "mae")
    assert ranged.measured == ("rmse", "mae", "min_prediction", "max_prediction")
    assert ranged.metrics == plain.metrics


def test_the_test_that_compares_with_the_current_version_is_at_hand(tmp_path: Path) -> None:
    made = step(tmp_path, {"coverage": {"min": 1}}, {"beats_current": {"metric": "rmse", "per_group": True}})
    assert made.champion_test == made.tests[1]
    assert made.champion_test is not None
    assert made.champion_test["per_group"] is True
    assert step(tmp_path / "none").champion_test is None


def test_what_is_not_linear_for_sure_may_have_coefficients(tmp_path: Path) -> None:
    sign = {"coefficient_sign": {"feature": "x", "sign": "negative"}}
    ridge = {"class": "Ridge"}
    for i, estimator in enumerate(
        (
            {"class": "GridSearchCV", "params": {"estimator": ridge, "param_grid": {"alpha": [1]}}},
            {"class": "SVR", "params": {"kernel": "linear"}},
            "HuberRegressor",
        )
    ):
        assert step(tmp_path / str(i), sign, estimator=estimator).tests


def test_a_plan_tells_them(tmp_path: Path) -> None:
    made = workspace_of(
        write_project(
            tmp_path,
            {
                "sources/s.yml": "sources: [{name: s, path: 's3://bucket/rows'}]",
                "families/f.yml": """
                families:
                  - name: f
                    group_by: k
                    source: s
                    features: x
                    label: y
                    estimator: Ridge
                    tests:
                      - coverage: {min: 0.95, severity: warn}
                      - no_lost_groups: {max: 1%}
                      - no_lost_groups
                      - finite_parameters
                      - sql:
                          name: no empty group
                          query: |
                            select k
                            from groups where n_rows = 0
                """,
            },
        )
    )
    text = plan_text(made.plan)
    assert (
        "  tests before publishing\n"
        "    coverage: min 0.95; only warns\n"
        "    no_lost_groups: max 1%\n"
        "    no_lost_groups: max 0\n"
        "    finite_parameters\n"
        "    sql as no empty group: query select k from groups where n_rows = 0\n"
    ) in text


# What a change of them asks for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "changed"),
    [
        ([{"coverage": {"min": 0.9}}], []),
        ([{"coverage": {"min": "90%", "severity": "error"}}], []),
        ([{"coverage": {"min": 0.8}}], ["tests.0.coverage.min"]),
        ([{"coverage": {"min": 0.9, "severity": "warn"}}], ["tests.0.coverage.severity"]),
        ([{"coverage": {"min": 0.9}}, "finite_parameters"], ["tests"]),
        ([{"coverage": {"min": 0.9}}, {"prediction_range": {"min": 0}}], ["tests"]),
        ([], ["tests"]),
    ],
    ids=str,
)
def test_a_change_asks_to_test_again_and_not_to_train(tmp_path: Path, tests: list[Any], changed: list[str]) -> None:
    old, new = step(tmp_path / "old", {"coverage": {"min": 0.9}}), step(tmp_path / "new", *tests)
    found = differences(old.meaning, new.meaning)
    assert [".".join(change.path) for change in found] == changed
    assert {change.kind for change in found} <= {ChangeKind.RETEST}
    assert new.definition_fingerprint == old.definition_fingerprint


def test_a_family_without_tests_means_what_it_meant(tmp_path: Path) -> None:
    assert "tests" not in step(tmp_path).meaning.tests


# What could never be judged ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "changes", "code", "mark", "said", "help"),
    [
        ({"metric": {"name": "rsme", "max": 1}}, {}, "MF212", "rsme", "unknown metric", "did you mean `rmse`?"),
        ({"metric": {"name": "r2", "max": 1}}, {}, "MF212", "r2", "does not measure", "add it to the `metrics`"),
        ({"beats_baseline": {"metric": "accuracy"}}, {}, "MF212", "accuracy", "unknown metric", "known: `mae`, `rmse`"),
        ({"stable_metrics": {"metric": "rms"}}, {}, "MF212", "rms", "unknown metric", "did you mean `rmse`?"),
        ({"beats_baseline": {"metric": "mae"}}, {"evaluate": None}, "MF211", "beats_baseline", "needs `evaluate`", ""),
        ({"metric": {"name": "mae", "max": 1}}, {"evaluate": None}, "MF211", "metric", "needs `evaluate`", "holdout"),
        ({"metric": {"name": "mae", "max": 1}}, KMEANS, "MF211", "metric", "needs `evaluate`", "holdout"),
        ({"beats_current": {"metric": "mae"}}, {"evaluate": None}, "MF211", "beats_current", "needs `evaluate`", ""),
        (
            {"beats_current": {"metric": "rmse"}},
            {"evaluate": {"folds": 3}},
            "MF211",
            "beats_current",
            "cannot go with `folds`",
            "`holdout` without `refit`",
        ),
        (
            {"beats_current": {"metric": "rmse"}},
            {"evaluate": {"by_time": {"column": "day"}}},
            "MF211",
            "beats_current",
            "cannot go with `by_time`",
            "`holdout` without `refit`",
        ),
        (
            {"beats_current": {"metric": "rmse"}},
            {"evaluate": {"holdout": 0.2, "refit": True}},
            "MF211",
            "beats_current",
            "cannot go with `refit: true`",
            "`holdout` without `refit`",
        ),
        ({"prediction_range": {"min": 0}}, {"evaluate": None}, "MF211", "prediction_range", "needs `evaluate`", ""),
        ({"prediction_range": {"min": 0}}, LOGISTIC, "MF211", "prediction_range", "this is classification", ""),
        (
            {"coefficient_sign": {"feature": "xx", "sign": "positive"}},
            {},
            "MF211",
            "xx",
            "there is no feature `xx`",
            "did you mean `x`?",
        ),
        (
            {"coefficient_sign": {"feature": "c", "sign": "positive"}},
            {},
            "MF211",
            "c",
            "`c` is categorical",
            "",
        ),
        (
            {"coefficient_sign": {"feature": "x", "sign": "positive"}},
            {"estimator": "SVR"},
            "MF211",
            "coefficient_sign",
            "SVR has no coefficients",
            "",
        ),
        (
            {"coefficient_sign": {"feature": "x", "sign": "positive"}},
            {"estimator": "KNeighborsRegressor"},
            "MF211",
            "coefficient_sign",
            "KNeighborsRegressor has no coefficients",
            "",
        ),
        ({"prediction_range": {}}, {}, "MF202", "{", "needs `min` or `max`", ""),
        ({"prediction_range": {"min": 2, "max": 1}}, {}, "MF202", "max", "`min` is above `max`", ""),
        ({"prediction_range": {"max": float("nan")}}, {}, "MF202", ".nan", "must be a finite number", ""),
        (
            {"stable_metrics": {"metric": "rmse", "tolerance": float("inf")}},
            {},
            "MF202",
            ".inf",
            "must be a finite number",
            "",
        ),
        ({"coverage": {"min": 95}}, {}, "MF202", "95", "less than or equal to 1", ""),
        ({"coverage": {"min": True}}, {}, "MF202", "true", "must be a number", ""),
        ({"max_model_bytes": {"max": "1 megabyte"}}, {}, "MF202", "1 megabyte", "must be a size", ""),
        ({"stable_metrics": {"metric": "rmse", "versions": 0}}, {}, "MF202", "0", "greater than or equal to 1", ""),
        ({"coverge": {"min": 1}}, {}, "MF201", "coverge", "unknown test `coverge`", "did you mean `coverage`?"),
        ("finite_parameter", {}, "MF201", "finite_parameter", "unknown test", "did you mean `finite_parameters`?"),
        ({"coverage": {"mim": 1}}, {}, "MF201", "mim", "unknown key `mim`", "did you mean `min`?"),
        ({"coverage": {"min": 1}, "sql": {"query": "x"}}, {}, "MF202", "sql", "needs one test, not `coverage`", ""),
        (
            {"coverage": {"min": 1}, "severity": "warn"},
            {},
            "MF201",
            "severity",
            "unknown test `severity`",
            "belongs below the name of the test",
        ),
    ],
)
def test_what_could_never_be_judged_is_a_mistake(
    tmp_path: Path, test: Any, changes: dict[str, Any], code: str, mark: str, said: str, help: str
) -> None:
    found = mistake(tmp_path, test, **changes)
    assert found.code == Code(code)
    assert said in found.message
    assert marked(found).strip("'") == mark
    assert help in (found.help or "")


def test_a_wrong_metric_in_evaluate_is_told_once(tmp_path: Path) -> None:
    changes = {"evaluate": {"holdout": 0.2, "metrics": ["rsme"]}}
    with pytest.raises(InputError) as caught:
        step(tmp_path, {"metric": {"name": "rmse", "max": 1}}, **changes)
    assert [found.message for found in caught.value.diagnostics] == ["unknown metric `rsme`"]


def test_a_query_needs_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    without = lambda name, *rest: None if name == "duckdb" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)
    found = mistake(tmp_path, {"sql": {"query": "select 1"}})
    assert (found.code, marked(found)) == (Code.NO_PACKAGE, "sql")
    assert found.help == "pip install 'modelfactory-spark[sql]'"
