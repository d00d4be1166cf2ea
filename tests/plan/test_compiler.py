"""Families become steps; what no single file shows to be wrong is found, in place."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import workspace_of, write_project

from modelfactory.commands.compile import write_compiled
from modelfactory.diagnostics import Code, Diagnostic, InputError
from modelfactory.plan.fingerprint import plain
from modelfactory.plan.outcomes import GROUP_COLUMNS, MODEL_COLUMNS
from modelfactory.plan.steps import TrainStep

SOURCES = [
    {"name": "s", "path": "data.parquet"},
    {"name": "t", "table": "cat.odd schema.t"},
    {"name": "select", "path": "x", "options": {"header": True, "n": 5}},
]
BASE: dict[str, Any] = {
    "name": "f",
    "group_by": ["k"],
    "source": "s",
    "features": ["x"],
    "label": "y",
    "estimator": "Ridge",
}


CLASSES = """
    Ridge LinearRegression LogisticRegression KMeans KNeighborsRegressor MLPRegressor BaggingRegressor SVR PCA
    SimpleImputer StandardScaler MinMaxScaler OneHotEncoder sklearn.linear_model.Ridge
"""


@pytest.fixture(scope="session", autouse=True)
def _learnt(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Learn all classes that the tests name at once, not one process for each."""
    steps = [{"name": f"s{i}", "class": name} for i, name in enumerate(CLASSES.split())]
    folder = tmp_path_factory.mktemp("learnt")
    with contextlib.suppress(InputError):
        workspace_of(write_project(folder, {"families/f.yml": document(pipeline=steps)}))


def document(**changes: Any) -> str:
    family = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    return yaml.safe_dump({"sources": SOURCES, "families": [family]}, sort_keys=False, width=200)


def step(folder: Path, *, environ: dict[str, str] | None = None, **changes: Any) -> TrainStep:
    return workspace_of(write_project(folder, {"families/f.yml": document(**changes)}), environ=environ).plan.steps[0]


def mistakes(folder: Path, *, environ: dict[str, str] | None = None, **changes: Any) -> tuple[Diagnostic, ...]:
    with pytest.raises(InputError) as caught:
        step(folder, environ=environ, **changes)
    return caught.value.diagnostics


def marked(found: Diagnostic) -> str:
    """Return what the mark of a diagnostic stands under."""
    assert found.position is not None
    assert found.source_line is not None
    start = found.position.column - 1
    return found.source_line[start : start + found.position.length]


# Input -----------------------------------------------------------------------------------------------------------


def test_only_the_columns_that_are_needed_are_read_each_once(tmp_path: Path) -> None:
    made = step(tmp_path, weight="x", evaluate={"by_time": {"column": "day"}}, where="y > 0")
    assert made.query == "select k, x, y, day\nfrom mf_source_s\nwhere y > 0"


@pytest.mark.parametrize(
    ("name", "relation"), [("s", "mf_source_s"), ("t", "cat.`odd schema`.t"), ("select", "mf_source_select")]
)
def test_a_source_is_read_by_its_name_or_its_table(tmp_path: Path, name: str, relation: str) -> None:
    assert step(tmp_path, source=name).relation == relation


def test_odd_column_names_are_quoted(tmp_path: Path) -> None:
    made = step(tmp_path, group_by=["a b", "order"], features=["x`y"])
    assert made.query.startswith("select `a b`, `order`, `x``y`, y\n")


def test_a_query_is_rendered_into_parentheses(tmp_path: Path) -> None:
    made = step(tmp_path, source=None, sql="select *\nfrom {{ source('s') }} -- all;\n;\n")
    assert made.relation == "(\n  select *\n  from s -- all;\n)" or made.relation.count(";") == 1
    assert [source.name for source in made.sources] == ["s"]


def test_line_breaks_inside_a_text_of_the_query_stay_as_they_are(tmp_path: Path) -> None:
    assert "'one\ntwo'" in step(tmp_path, source=None, sql="select 'one\ntwo' as x from {{ source('s') }}").relation


def test_a_query_may_stand_in_a_file(tmp_path: Path) -> None:
    write_project(tmp_path, {"sql/q.sql": "select 1 as k from {{ source('s') }}\n"})
    assert step(tmp_path, source=None, sql_file="sql/q.sql").relation == "(\nselect 1 as k from mf_source_s\n)"


@pytest.mark.parametrize("sql", ["", "  ", "{# later #}", "-- later"])
def test_a_query_that_says_nothing_is_a_mistake(tmp_path: Path, sql: str) -> None:
    (found,) = mistakes(tmp_path, source=None, sql=sql)
    assert found.position is not None


def test_options_of_the_reader_are_text_and_sorted(tmp_path: Path) -> None:
    assert step(tmp_path, source="select").sources[0].options == (("header", "true"), ("n", "5"))


def test_a_mistake_in_a_query_is_found_at_its_line_of_the_file(tmp_path: Path) -> None:
    text = document(source=None, sql="@").replace("sql: '@'", "sql: |\n    select *\n    from {{ source('gone') }}\n")
    with pytest.raises(InputError) as caught:
        workspace_of(write_project(tmp_path, {"families/f.yml": text}))
    (found,) = caught.value.diagnostics
    assert found.code == Code.BAD_SQL_TEMPLATE
    assert "line 2 of the query" in found.message or "gone" in (found.source_line or "")


# Columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [*GROUP_COLUMNS, *MODEL_COLUMNS, "Status", "N_ROWS", "_mf_group"])
def test_a_key_may_not_be_named_like_a_column_of_the_result(tmp_path: Path, column: str) -> None:
    (found,) = mistakes(tmp_path, group_by=["k", column])
    assert found.code == Code.RESERVED_COLUMN
    assert marked(found) == column


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ["_mf_x"]},
        {"label": "_mf_x"},
        {"weight": "_mf_x"},
        {"evaluate": {"by_time": {"column": "_mf_x"}}},
    ],
    ids=str,
)
def test_no_column_may_be_named_like_an_internal_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    (found,) = mistakes(tmp_path, **changes)
    assert (found.code, marked(found)) == (Code.RESERVED_COLUMN, "_mf_x")


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"features": ["x", "x"]}, "x"),
        ({"features": ["x", "X"]}, "X"),
        ({"features": ["x", "y"]}, "y"),
        ({"features": ["x", "Y"]}, "Y"),
        ({"group_by": ["k", "k"]}, "k"),
        ({"group_by": ["k", "K"]}, "K"),
        ({"group_by": ["k", "y"]}, "y"),
        ({"group_by": ["k", "Y"]}, "Y"),
    ],
    ids=str,
)
def test_a_column_has_one_part_to_play_and_case_is_no_difference_in_spark(
    tmp_path: Path, changes: dict[str, Any], at: str
) -> None:
    (found,) = mistakes(tmp_path, **changes)
    assert (found.code, marked(found)) == (Code.CONFLICT, at)


# Estimators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Ridge()"),
        (
            {"estimator": {"class": "Ridge", "params": {"solver": "lsqr", "alpha": 2}}},
            "Ridge(alpha=2.0, solver='lsqr')",
        ),
        (
            {"preprocess": {"numeric": ["SimpleImputer", "StandardScaler"]}},
            "Pipeline(steps=[('simpleimputer', SimpleImputer()), ('standardscaler', StandardScaler()), "
            "('estimator', Ridge())])",
        ),
        (
            {"preprocess": {"numeric": ["StandardScaler", "StandardScaler"]}},
            "Pipeline(steps=[('standardscaler-1', StandardScaler()), ('standardscaler-2', StandardScaler()), "
            "('estimator', Ridge())])",
        ),
        (
            {
                "features": ["x", {"name": "c", "kind": "categorical"}],
                "preprocess": {"categorical": "OneHotEncoder"},
            },
            "Pipeline(steps=[('preprocess', ColumnTransformer(transformers=[('numeric', 'passthrough', ['x']), "
            "('categorical', OneHotEncoder(), ['c'])])), ('estimator', Ridge())])",
        ),
        (
            {"pipeline": [{"name": "scale", "class": "StandardScaler"}]},
            "Pipeline(steps=[('scale', StandardScaler()), ('estimator', Ridge())])",
        ),
        (
            {"estimator": None, "pipeline": [{"name": "a", "class": "PCA"}, {"name": "b", "class": "SVR"}]},
            "Pipeline(steps=[('a', PCA()), ('b', SVR())])",
        ),
        (
            {"estimator": {"class": "MLPRegressor", "params": {"hidden_layer_sizes": [5, 3]}}},
            "MLPRegressor(hidden_layer_sizes=[5, 3])",
        ),
        (
            {"estimator": {"class": "BaggingRegressor", "params": {"estimator": {"class": "SVR", "params": {"C": 2}}}}},
            "BaggingRegressor(estimator=SVR(C=2.0))",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_estimators_are_compiled_to_calls(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    assert step(tmp_path, **changes).fit.estimator.text() == text


def test_numbers_alone_travel_as_a_matrix_and_categories_as_a_frame(tmp_path: Path) -> None:
    assert step(tmp_path / "a").fit.container == "matrix"
    mixed = {"features": ["x", {"name": "c", "kind": "categorical"}], "preprocess": {"categorical": "OneHotEncoder"}}
    assert step(tmp_path / "b", **mixed).fit.container == "frame"


@pytest.mark.parametrize(
    ("estimator", "label", "task"),
    [("Ridge", "y", "regression"), ("LogisticRegression", "y", "classification"), ("KMeans", None, "unsupervised")],
)
def test_the_class_tells_the_task(tmp_path: Path, estimator: str, label: str | None, task: str) -> None:
    assert step(tmp_path, estimator=estimator, label=label).fit.task == task


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"label": None}, Code.CONFLICT),
        ({"estimator": "KMeans"}, Code.CONFLICT),
        ({"estimator": "KNeighborsRegressor", "weight": "w"}, Code.CONFLICT),
        ({"features": [{"name": "x", "kind": "categorical"}]}, Code.CONFLICT),
        ({"preprocess": {"categorical": "OneHotEncoder"}}, Code.CONFLICT),
        ({"preprocess": {"numeric": "Ridge"}}, Code.CONFLICT),
        ({"pipeline": [{"name": "a", "class": "Ridge"}]}, Code.CONFLICT),
        ({"pipeline": [{"name": "a", "class": "PCA"}, {"name": "a", "class": "PCA"}]}, Code.CONFLICT),
        ({"pipeline": [{"name": "estimator", "class": "PCA"}]}, Code.CONFLICT),
        ({"pipeline": [{"name": "a__b", "class": "PCA"}]}, Code.BAD_VALUE),
        ({"pipeline": [{"name": "steps", "class": "PCA"}]}, Code.BAD_VALUE),
        ({"estimator": "KMeans", "label": None, "evaluate": {"holdout": 0.2}}, Code.CONFLICT),
        ({"evaluate": {"holdout": 0.2, "metrics": ["rsme"]}}, Code.UNKNOWN_METRIC),
        ({"evaluate": {"holdout": 0.2, "metrics": ["accuracy"]}}, Code.UNKNOWN_METRIC),
        ({"evaluate": {"holdout": 0.2, "metrics": ["rmse", "rmse"]}}, Code.CONFLICT),
        ({"where": "x > ${env:NOPE}"}, Code.UNKNOWN_VARIABLE),
        ({"estimator": "Rigde"}, Code.UNKNOWN_CLASS),
        ({"estimator": {"class": "Ridge", "params": {"alfa": 1}}}, Code.UNKNOWN_PARAMETER),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_found_before_training(tmp_path: Path, changes: dict[str, Any], code: Code) -> None:
    (found,) = mistakes(tmp_path, **changes)
    assert found.code in (code, Code.CONFLICT)
    assert found.file == "families/f.yml"
    assert found.position is not None


@pytest.mark.parametrize("params", [None, [1], 5])
def test_odd_parameters_of_a_nested_estimator_are_no_crash(tmp_path: Path, params: object) -> None:
    nested = {"class": "BaggingRegressor", "params": {"estimator": {"class": "SVR", "params": params}}}
    (found,) = mistakes(tmp_path, estimator=nested)
    assert found.position is not None


def test_mistakes_of_files_and_of_classes_come_in_one_pass(tmp_path: Path) -> None:
    other = document(name="g", estimator="Rigde", source=None, sql="select 1").replace("sources:", "sources: []\n_:")
    other = other[other.index("families:") :]
    files = {"families/f.yml": document(nope=1), "families/g.yml": other}
    with pytest.raises(InputError) as caught:
        workspace_of(write_project(tmp_path, files))
    assert [(d.file, d.code) for d in caught.value.diagnostics] == [
        ("families/f.yml", Code.UNKNOWN_KEY),
        ("families/g.yml", Code.UNKNOWN_CLASS),
    ]


def test_mistakes_of_all_families_come_at_once(tmp_path: Path) -> None:
    text = yaml.safe_dump(
        {
            "sources": SOURCES,
            "families": [
                {**BASE, "name": "a", "estimator": "Rigde", "group_by": ["status"]},
                {**BASE, "name": "b", "evaluate": {"folds": 3, "metrics": ["rsme", "r3"]}},
            ],
        }
    )
    with pytest.raises(InputError) as caught:
        workspace_of(write_project(tmp_path, {"families/f.yml": text}), "b")
    assert len(caught.value.diagnostics) == 4


def test_a_mistake_in_shared_defaults_is_told_once(tmp_path: Path) -> None:
    families = [{key: value for key, value in BASE.items() if key != "estimator"} | {"name": name} for name in "abc"]
    files = {
        "families/_defaults.yml": "estimator: {class: Rigde}\n",
        "families/f.yml": yaml.safe_dump({"sources": SOURCES, "families": families}),
    }
    with pytest.raises(InputError) as caught:
        workspace_of(write_project(tmp_path, files))
    assert [(d.file, d.code) for d in caught.value.diagnostics] == [("families/_defaults.yml", Code.UNKNOWN_CLASS)]


# The same every time ---------------------------------------------------------------------------------------------


def test_compiling_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        write_compiled(workspace_of(write_project(tmp_path, {"families/f.yml": document()})))
        written.append({f.name: f.read_bytes() for f in (tmp_path / "target" / "compiled").iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["f.json", "f.sql"]


def test_the_compiled_json_is_the_step_that_runs(tmp_path: Path) -> None:
    workspace = workspace_of(write_project(tmp_path, {"families/f.yml": document()}))
    write_compiled(workspace)
    document_ = json.loads((tmp_path / "target" / "compiled" / "f.json").read_text(encoding="utf-8"))
    made = workspace.plan.steps[0]
    assert document_ == {"schema": 1, **json.loads(json.dumps(plain(made))), "query": made.query}


# Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"where": "x > '${env:TOKEN}'"},
        {"source": None, "sql": "select '{{ env_var('TOKEN') }}' as v from {{ source('s') }}"},
        {"source": None, "sql": "select '{{ env_var('TOKEN') | upper }}' as v from {{ source('s') }}"},
        {"source": None, "sql": "select '{{ env_var('TOKEN') + 'x' }}' as v from {{ source('s') }}"},
        {"source": None, "sql": "select '{{ {}[env_var('TOKEN')] }}' as v from {{ source('s') }}"},
        {
            "description": "${env:TOKEN}",
            "owner": "${env:TOKEN}",
            "tags": ["${env:TOKEN}"],
            "meta": {"a": "${env:TOKEN}"},
        },
        {"source": "${env:TOKEN}"},
        {"source": None, "sql_file": "${env:TOKEN}.sql"},
        {"estimator": "${env:TOKEN}"},
        {"estimator": {"class": "Ridge", "params": {"solver": "${env:TOKEN}"}}},
        {"estimator": {"class": "Ridge", "params": {"${env:TOKEN}": 1}}},
        {"group_by": ["${env:TOKEN}", "${env:TOKEN}"]},
        {"features": ["${env:TOKEN}", "${env:TOKEN}"]},
        {"evaluate": {"folds": 3, "metrics": ["${env:TOKEN}"]}},
        {"null_keys": "${env:TOKEN}"},
        {"min_rows": "${env:TOKEN}"},
        {"timeout": "${env:TOKEN}"},
        {"name": "${env:TOKEN}-"},
    ],
    ids=str,
)
def test_no_value_of_the_environment_is_shown_or_stored(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_project(tmp_path, {"families/f.yml": document(**changes)})
    try:
        shown = write_compiled(workspace_of(folder, environ={"TOKEN": "hunter2"}))
    except InputError as error:
        shown = str(error)
    compiled = folder / "target" / "compiled"
    stored = [file.read_text(encoding="utf-8") for file in compiled.iterdir()] if compiled.exists() else []
    assert "hunter2" not in "\n".join([shown, *stored]).lower()


@pytest.mark.parametrize(
    "source",
    [
        {"path": "/data/${env:TOKEN}/x"},
        {"path": "x", "format": "jdbc", "options": {"password": "${env:TOKEN}", "url": "a:${env:TOKEN}@b"}},
        {"table": "${env:TOKEN}.schema.t"},
        {"path": "x", "format": "${env:TOKEN}"},
    ],
    ids=str,
)
def test_no_value_of_the_environment_in_a_source_is_shown_or_stored(tmp_path: Path, source: dict[str, Any]) -> None:
    text = yaml.safe_dump({"sources": [{"name": "s", **source}], "families": [BASE]})
    shown = write_compiled(
        workspace_of(write_project(tmp_path, {"families/f.yml": text}), environ={"TOKEN": "hunter2"})
    )
    stored = [file.read_text(encoding="utf-8") for file in (tmp_path / "target" / "compiled").iterdir()]
    assert "hunter2" not in "\n".join([shown, *stored])


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        ("{class: GridSearchCV, params: {estimator: {class: Ridge}, param_grid: {alpha: [1.0]}}}", "regression"),
        ("{class: RFE, params: {estimator: {class: LogisticRegression}}}", "classification"),
        ("{class: Pipeline, params: {steps: [[a, {class: StandardScaler}], [b, {class: Ridge}]]}}", "regression"),
        (
            "{class: RFE, params: {estimator: {class: GridSearchCV, params: {estimator: {class: Lasso}, "
            "param_grid: {alpha: [1.0]}}}}}",
            "regression",
        ),
    ],
)
def test_what_predicts_by_another_learns_as_that_one(tmp_path: Path, estimator: str, task: str) -> None:
    text = f"families: [{{name: f, group_by: k, source: s, features: [x], label: y, estimator: {estimator}}}]"
    sources = "sources: [{name: s, path: x.parquet}]"
    folder = write_project(tmp_path, {"families/f.yml": text, "sources/s.yml": sources})
    assert workspace_of(folder).plan.steps[0].fit.task == task
