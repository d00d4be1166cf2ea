"""The JSON Schemas accept what `mf parse` accepts, and show a mistake where it stands."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from pydantic import TypeAdapter, ValidationError
from support import PROJECTS, public_facts

from modelfactory.commands.init import STARTER
from modelfactory.commands.schema import schema_text
from modelfactory.project import specs
from modelfactory.project.alternatives import alternatives
from modelfactory.project.explaining import check_key
from modelfactory.project.files import read_document
from modelfactory.project.schemas import SCHEMAS, one_schema, schemas


@functools.cache
def documents() -> dict[str, Any]:
    return schemas(public_facts(), "a test")


@functools.cache
def validator(name: str) -> Draft7Validator:
    return Draft7Validator(documents()[name])


def part(name: str, pointer: str, *keys: str) -> Draft7Validator:
    """Return the validator of one key of a definition."""
    document = documents()[name]
    found = document["definitions"][pointer] if pointer else document
    for key in keys:
        found = found["properties"][key]
    return Draft7Validator({**found, "definitions": document["definitions"]})


def mistakes(name: str, text: str) -> list[tuple[str, str]]:
    """Return the path and message of each mistake that a schema finds in a text of YAML."""
    found = validator(name).iter_errors(yaml.safe_load(text))
    return [("/".join(map(str, error.absolute_path)), error.message) for error in found]


def family(lines: str) -> str:
    return "families:\n- name: f\n" + "".join(f"  {line}\n" for line in lines.splitlines())


# The documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_valid_draft_07_that_refers_to_itself_alone(name: str) -> None:
    document = documents()[name]
    Draft7Validator.check_schema(document)
    assert document["$schema"] == "http://json-schema.org/draft-07/schema#"
    references = set(_found(document, "$ref"))
    assert references <= {f"#/definitions/{known}" for known in document["definitions"]}
    assert len(references) == len(document["definitions"])


def test_a_schema_is_no_bigger_than_an_editor_likes_and_always_the_same() -> None:
    text = schema_text(documents()["families"])
    assert len(text) < 1_500_000
    assert text == schema_text(schemas(public_facts(), "a test")["families"])


def test_one_document_holds_all_schemas() -> None:
    whole = one_schema(documents())
    Draft7Validator.check_schema(whole)
    assert whole["definitions"].keys() >= SCHEMAS.keys()
    validator = Draft7Validator({"$ref": "#/definitions/project", "definitions": whole["definitions"]})
    assert validator.is_valid({"name": "demo"})
    assert not validator.is_valid({"nam": "demo"})


def test_every_key_is_described() -> None:
    family = documents()["families"]["definitions"]["Family"]["properties"]
    assert family.keys() == specs.FamilySpec.model_fields.keys()
    assert all(key["description"] for key in family.values())
    assert family["min_rows"]["default"] == 1
    assert family["max_failed"]["default"] == "1%"
    forest = documents()["families"]["definitions"]["sklearn.ensemble.RandomForestRegressor"]
    assert forest["properties"]["max_depth"]["description"].startswith("The maximum depth of the tree.")
    assert forest["properties"]["n_estimators"]["default"] == 100


def _found(schema: Any, key: str) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from ([schema[key]] if key in schema else [])
        for value in schema.values():
            yield from _found(value, key)
    elif isinstance(schema, list):
        for value in schema:
            yield from _found(value, key)


# Files that are right ---------------------------------------------------------------------------------------------

FILES = [
    file
    for folder in (STARTER, *PROJECTS.iterdir())
    for file in (*folder.glob("*"), *folder.glob("families/**/*"), *folder.glob("sources/**/*"))
    if file.suffix in (".yml", ".yaml", ".toml") and not file.name.startswith(".")
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_files_of_the_example_projects_are_valid(file: Path) -> None:
    kind = {"mf_project": "project", "_defaults": "defaults"}.get(file.stem)
    kind = kind or next(part for part in file.parts if part in ("families", "sources"))
    assert [error.message for error in validator(kind).iter_errors(read_document(file, file.parent).data)] == []


def test_the_example_projects_have_files_of_both_formats() -> None:
    assert {file.suffix for file in FILES} == {".yml", ".toml"}
    assert len(FILES) > 10


@pytest.mark.parametrize(
    "lines",
    [
        "estimator: Ridge",
        "estimator: sklearn.linear_model.Ridge",
        "estimator: my_package.models.Model",
        "estimator: {class: my_package.models.Model, params: {anything: [1, {a: b}]}}",
        "estimator: ${var:estimator}",
        "estimator: {class: '${var:class}', params: {anything: 1}}",
        "estimator: {class: Ridge, params: '${var:params}'}",
        "estimator: {class: Ridge, params: {alpha: '${env:ALPHA:-0.5}', solver: '${var:solver}'}}",
        "estimator: {class: BaggingRegressor, params: {estimator: {class: Ridge, params: {alpha: 2}}}}",
        "estimator: {class: StackingRegressor, params: {estimators: [[a, {class: Ridge}], [b, {class: SVR}]]}}",
        "estimator: {class: LogisticRegression, params: {class_weight: {class: 2.0}}}",
        "search: {params: {alpha: [0.1, 1, '${var:alpha}'], solver: '${var:solvers}'}, metric: mae}",
        "search: {estimators: [Ridge, {class: SVR, params: {C: 2}, search: {kernel: [rbf, poly]}}], folds: 3}",
        "search: {params: {estimator: [{class: Ridge, params: {alpha: 1}}], fit__hidden_layer_sizes: [[5], [5, 5]]}}",
        "search: null",
        "preprocess: {numeric: StandardScaler, categorical: [{class: OneHotEncoder}]}",
        "pipeline: [{name: scale, class: StandardScaler}, {name: fit, class: Ridge, params: {alpha: 1}}]",
        "features: x",
        "features: [x, {name: c, kind: categorical}]",
        "timeout: 10m",
        "timeout: 1h30m",
        "timeout: 90.5",
        "timeout: ${var:minutes}m",
        "max_failed: 1%",
        "max_failed: 0.01",
        "max_failed: 3",
        "max_failed: {share: 0.1}",
        "evaluate: {by_time: {column: day}}",
        "evaluate: {holdout: 0.2, folds: null}",
        "min_rows: ${var:min_rows}",
        "null_keys: ${env:NULL_KEYS:-skip}",
        "label: null",
        "tests: [no_lost_groups, finite_parameters: {severity: warn}]",
        "tests: [{coverage: {min: 95%}}, {metric: {name: rmse, stat: p90, max: 45}}]",
        "tests: [{no_lost_groups: }, {no_lost_groups: {max: 3}}, {max_model_bytes: {max: 1.5 MB}}]",
        "tests: [{sql: {query: select 1}}, {coverage: {min: '${var:least}'}}]",
        "meta: {anything: [1, {a: null}]}",
    ],
)
def test_what_may_be_written_of_a_family_is_valid(lines: str) -> None:
    assert mistakes("families", family(lines)) == []


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "path", "message"),
    [
        ("families", family("min_row: 3"), "families/0", "'min_row' was unexpected"),
        ("families", "familes: []", "", "'familes' was unexpected"),
        ("families", "families: [{group_by: k}]", "families/0", "'name' is a required property"),
        ("families", family("min_rows: 0"), "families/0/min_rows", "minimum of 1"),
        ("families", family("min_rows: many"), "families/0/min_rows", "does not match"),
        ("families", family("null_keys: skp"), "families/0/null_keys", "not valid"),
        ("families", family("timeout: 10 minutes"), "families/0/timeout", "does not match"),
        ("families", family("max_failed: 101%"), "families/0/max_failed", "not valid"),
        ("families", family("tests: [{coverge: {min: 1}}]"), "families/0/tests/0", "'coverge' was unexpected"),
        ("families", family("tests: [coverage]"), "families/0/tests/0", "not valid"),
        ("families", family("tests: [{coverage: {min: 2}}]"), "families/0/tests/0/coverage/min", "maximum of 1"),
        ("families", family("tests: [{coverage: {mn: 1}}]"), "families/0/tests/0/coverage", "'mn' was unexpected"),
        ("families", family("features: []"), "families/0/features", ""),
        ("families", family("features: [{name: c, knd: x}]"), "families/0/features/0", "'knd' was unexpected"),
        ("families", family("source: a\nsql: select 1"), "families/0/sql", "'null'"),
        ("families", family("evaluate: {holdout: 0.2, folds: 5}"), "families/0/evaluate/folds", "'null'"),
        ("families", family("evaluate: {metrics: [rmse]}"), "families/0/evaluate", "not valid"),
        ("families", family("evaluate: {by_time: {colum: day}}"), "families/0/evaluate/by_time", "'colum'"),
        ("families", family("estimator: Rigde"), "families/0/estimator", "not valid"),
        ("families", family("estimator: {class: Rigde}"), "families/0/estimator/class", "not valid"),
        ("families", family("estimator: {clas: Ridge}"), "families/0/estimator", "'clas' was unexpected"),
        ("families", family("estimator: {class: Ridge, params: {alfa: 1}}"), "families/0/estimator/params", "'alfa'"),
        (
            "families",
            family("estimator: {class: sklearn.linear_model.Ridge, params: {alpha: -1}}"),
            "families/0/estimator/params/alpha",
            "minimum of 0",
        ),
        (
            "families",
            family("estimator: {class: Ridge, params: {solver: choleski}}"),
            "families/0/estimator/params/solver",
            "not valid",
        ),
        (
            "families",
            family("estimator: {class: Ridge, params: {fit_intercept: 'yes'}}"),
            "families/0/estimator/params/fit_intercept",
            "does not match",
        ),
        (
            "families",
            family("estimator: {class: BaggingRegressor, params: {estimator: {class: Ridge, params: {alfa: 1}}}}"),
            "families/0/estimator/params/estimator/params",
            "'alfa'",
        ),
        (
            "families",
            family("estimator: {class: VotingRegressor, params: {estimators: [[a, {class: Ridge, parms: {}}]]}}"),
            "families/0/estimator/params/estimators/0/1",
            "'parms'",
        ),
        ("families", family("estimator: {class: StackingRegressor}"), "families/0/estimator", "'params'"),
        ("families", family("preprocess: {numeric: [Ridge]}"), "families/0/preprocess/numeric/0", "not valid"),
        (
            "families",
            family("preprocess: {numeric: [{class: StandardScaler, params: {with_men: true}}]}"),
            "families/0/preprocess/numeric/0/params",
            "'with_men'",
        ),
        ("families", family("search: {params: {alpha: 1}}"), "families/0/search/params/alpha", "not of type"),
        ("families", family("search: {params: {alpha: []}}"), "families/0/search/params/alpha", ""),
        ("families", family("search: {params: {alpha: [1]}, folds: 1}"), "families/0/search/folds", "minimum of 2"),
        ("families", family("search: {folds: 3}"), "families/0/search", "not valid"),
        ("families", family("search: {parms: {alpha: [1]}}"), "families/0/search", "'parms'"),
        ("families", family("search: {estimators: [Rigde]}"), "families/0/search/estimators/0", "not valid"),
        (
            "families",
            family("search: {estimators: [{class: Ridge, params: {alfa: 1}}]}"),
            "families/0/search/estimators/0/params",
            "'alfa'",
        ),
        (
            "families",
            family("search: {params: {estimator: [{class: Ridge, params: {alfa: 1}}]}}"),
            "families/0/search/params/estimator/0/params",
            "'alfa'",
        ),
        ("families", family("pipeline: [{class: Ridge}]"), "families/0/pipeline/0", "'name' is a required"),
        ("defaults", "name: f", "", "'name' was unexpected"),
        ("defaults", "min_rows: 0", "min_rows", "minimum"),
        ("project", "name: p\ndefaults: {min_rows: 0}", "defaults/min_rows", "minimum"),
        ("project", "name: my project", "name", "does not match"),
        ("profiles", "targets: {a: {threads: 0}}", "targets/a/threads", "minimum"),
        ("profiles", "targets: {a: {remote: 'http://x'}}", "targets/a/remote", "does not match"),
        ("profiles", "targets: {a: {worker_memory: 2}}", "targets/a/worker_memory", "not of type"),
        ("sources", "sources: [{name: s, path: a, table: b}]", "sources/0/table", "'null'"),
        ("sources", "sources: [{name: s, path: a, options: {header: [1]}}]", "sources/0/options/header", "not of type"),
        ("sources", "sources: [{name: s, path: a, columns: [a, {nam: b}]}]", "sources/0/columns/1", "'nam'"),
    ],
)
def test_a_mistake_is_found_where_it_stands(name: str, text: str, path: str, message: str) -> None:
    found = mistakes(name, text)
    assert any(place == path and message in said for place, said in found), found


# The schemas and the specs agree ------------------------------------------------------------------------------------

OF_CLASSES = {"estimator", "preprocess", "pipeline", "search"}
"""Keys whose values name classes: which there are, no spec knows."""
KEYS = [
    *(("families", "Family", specs.FamilySpec, key) for key in specs.FamilySpec.model_fields),
    *(("sources", "Source", specs.SourceSpec, key) for key in specs.SourceSpec.model_fields),
    *(("project", "", specs.ProjectSpec, key) for key in specs.ProjectSpec.model_fields if key != "defaults"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.sampled_from([-0.5, 0.0, 0.2, 0.5, 1.0, 1.5]),
    st.sampled_from(["", "a", "two words", "skip", "numeric", "10m", "1h30m", "90s", "1%", "2.5 %", "200%", "0s"]),
)
NESTED = (
    specs.FeatureSpec,
    specs.EvaluateSpec,
    specs.ByTimeSpec,
    specs.ColumnSpec,
    specs.FailureBudgetSpec,
    specs.PreprocessSpec,
    specs.SearchSpec,
    specs.SearchedEstimatorSpec,
)
KNOWN_KEYS = st.sampled_from(["class", "nonsense", *(key for spec in NESTED for key in spec.model_fields)])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KNOWN_KEYS, inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(KEYS), VALUES)
def test_what_a_spec_accepts_a_schema_accepts_and_the_other_way(
    of: tuple[str, str, type[specs.Spec], str], value: Any
) -> None:
    name, definition, spec, key = of
    valid = _of_key(name, definition, key).is_valid(value)
    if valid:
        assert check_key(spec, key, value) == []
    elif key not in OF_CLASSES:
        assert not _taken_as_it_is(spec, key, value)


@given(st.sampled_from(KEYS), st.sampled_from(["${var:x}", "${env:X:-1}", "a ${var:x} b"]))
def test_a_reference_may_stand_for_every_value(of: tuple[str, str, type[specs.Spec], str], text: str) -> None:
    name, definition, _, key = of
    assert _of_key(name, definition, key).is_valid(text)


@functools.cache
def _of_key(name: str, definition: str, key: str) -> Draft7Validator:
    return part(name, definition, key)


def _taken_as_it_is(spec: type[specs.Spec], key: str, value: Any) -> bool:
    """Tell whether a spec takes a value without making it one of another type first, as `"3"` for 3."""
    try:
        _strict(spec, key).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


@functools.cache
def _strict(spec: type[specs.Spec], key: str) -> TypeAdapter[Any]:
    return TypeAdapter(spec.model_fields[key].rebuild_annotation())


# Estimators ---------------------------------------------------------------------------------------------------------

REFUSED_DEFAULTS = {("SelfTrainingClassifier", "estimator")}
"""scikit-learn itself refuses these: the parameter has to be given."""
BEYOND_JSON = (math.inf, -math.inf)
# No whole floats: a schema cannot tell 1.0 from 1.
PLAIN = (None, True, -1, 0, 1, 2, 3, -0.5, 0.5, 2.5, "nonsense", "auto", "sqrt", [], [1.5], {}, {"a": 1})
CLASSES = sorted(public_facts())


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_admits_its_defaults_and_what_its_constraints_admit(name: str) -> None:
    known = public_facts()[name]
    definition = documents()["families"]["definitions"][known.path]
    assert definition["title"] == name
    for key, parameter in known.parameters.items():
        schema = part("families", known.path, key)
        if "default" in definition["properties"][key] and (name, key) not in REFUSED_DEFAULTS:
            assert schema.is_valid(definition["properties"][key]["default"]), key
        forms = parameter.constraints
        for value in (*PLAIN, *(option for form in forms for option in form.options if option not in BEYOND_JSON)):
            admitted = not forms or any(form.admits(value) for form in forms)
            same = schema.is_valid(value) == admitted
            # Nor 1 from 1.0.
            assert same or any(f.kind == "interval" and f.number == "fraction" for f in forms), (key, value)


def test_there_is_a_schema_of_the_usual_classes() -> None:
    assert {"Ridge", "RandomForestRegressor", "OneHotEncoder", "KMeans", "HistGradientBoostingClassifier"} <= set(
        CLASSES
    )
    assert not {"BaseEstimator", "KFold"} & set(CLASSES)


# Several forms of a value -------------------------------------------------------------------------------------------


def test_forms_of_different_types_are_one_schema() -> None:
    forms = [{"type": "integer", "minimum": 1}, {"type": "null"}, {"type": "string", "pattern": "a"}]
    assert alternatives(forms) == {"type": ["integer", "null", "string"], "minimum": 1, "pattern": "a"}


def test_forms_of_the_same_type_stay_apart() -> None:
    whole, share = {"type": "integer", "minimum": 1}, {"type": "number", "maximum": 1}
    assert alternatives([whole, share, {"type": "null"}]) == {"anyOf": [{**whole, "type": ["integer", "null"]}, share]}


def test_a_text_without_a_pattern_takes_the_others_in() -> None:
    assert alternatives([{"type": "string", "pattern": "a"}, {"type": "string"}]) == {"type": "string"}


def test_a_form_without_a_type_takes_every_value() -> None:
    assert alternatives([{"type": "null"}, {}]) == {}


def test_what_binds_mappings_stands_outside_of_alternatives() -> None:
    mapping = {"type": "object", "required": ["a"]}
    assert alternatives([{"enum": ["x"]}, mapping]) == {
        "required": ["a"],
        "anyOf": [{"enum": ["x"]}, {"type": "object"}],
    }


def test_every_key_of_a_definition_file_is_a_key_of_its_schema() -> None:
    assert set(documents()["families"]["properties"]) == set(specs.FamiliesFileSpec.model_fields)
