"""A fingerprint changes with what decides the models, and with nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import workspace_of, write_project

from modelfactory.plan.fingerprint import fingerprint, plain
from modelfactory.plan.steps import TrainStep

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


def shuffled(value: Any, seed: int) -> Any:
    """Return the same value with its keys in another order and tuples for lists."""
    match value:
        case dict():
            items = [(key, shuffled(item, seed)) for key, item in value.items()]
            random.Random(seed).shuffle(items)
            return dict(items)
        case list():
            return tuple(shuffled(item, seed) for item in value)
        case _:
            return value


@settings(max_examples=100, deadline=None)
@given(_values, st.integers(0, 99))
def test_key_order_and_equal_values_change_nothing(value: Any, seed: int) -> None:
    assert fingerprint(value) == fingerprint(shuffled(value, seed))


@settings(max_examples=100, deadline=None)
@given(_values, _values)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (None, "null"),
        ([], {}),
        ([1, 2], [2, 1]),
        (["a", "b"], ["ab"]),
        ({"a": None}, {}),
        (1, 1.0),
    ],
)
def test_what_only_looks_alike_differs(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_a_dataclass_is_what_its_fields_are() -> None:
    @dataclass
    class Point:
        x: int
        y: tuple[int, ...]

    assert plain(Point(1, (2,))) == {"x": 1, "y": [2]}


# Of families -----------------------------------------------------------------------------------------------------

FAMILY: dict[str, Any] = {
    "name": "f",
    "description": "what for",
    "group_by": ["k"],
    "source": "s",
    "where": "y > 0",
    "features": ["x", {"name": "c", "kind": "categorical"}],
    "label": "y",
    "weight": "w",
    "estimator": {"class": "Ridge", "params": {"alpha": 0.5, "solver": "auto"}},
    "preprocess": {"numeric": ["StandardScaler"], "categorical": ["OneHotEncoder"]},
    "evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae"]},
    "min_rows": 5,
    "max_rows": 50,
    "timeout": "10m",
    "tags": ["a", "b"],
    "owner": "me",
    "meta": {"ticket": 1},
}
SOURCE: dict[str, Any] = {"name": "s", "path": "data.parquet", "options": {"a": 1, "b": True}}
OTHER = {"name": "t", "path": "other.parquet"}


def compiled(folder: Path, family: dict[str, Any], source: dict[str, Any] = SOURCE, *, toml: bool = False) -> TrainStep:
    document = {"sources": [source, OTHER], "families": [family]}
    name, text = ("f.toml", tomli_w.dumps(document)) if toml else ("f.yml", yaml.safe_dump(document, sort_keys=False))
    return workspace_of(write_project(folder, {f"families/{name}": text})).plan.steps[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TrainStep:
    """The step of the family as it is."""
    return compiled(tmp_path_factory.mktemp("base"), FAMILY)


@pytest.mark.parametrize(
    "change",
    [
        {"group_by": ["k", "j"]},
        {"source": "t"},
        {"where": "y > 1"},
        {"features": [{"name": "c", "kind": "categorical"}, "x"]},
        {"features": ["x", "z", {"name": "c", "kind": "categorical"}]},
        {"label": "z"},
        {"weight": "v"},
        {"estimator": {"class": "Ridge", "params": {"alpha": 0.6, "solver": "auto"}}},
        {"estimator": {"class": "LinearRegression"}},
        {"preprocess": {"numeric": ["MinMaxScaler"], "categorical": ["OneHotEncoder"]}},
        {"evaluate": {"holdout": 0.3, "metrics": ["rmse", "mae"]}},
        {"evaluate": {"folds": 3, "metrics": ["rmse", "mae"]}},
        {"evaluate": {"holdout": 0.2, "metrics": ["rmse", "mae"], "refit": True}},
        {"min_rows": 6},
        {"max_rows": 51},
        {"on_too_many": "sample"},
        {"null_keys": "group"},
        {"seed": 1},
        {"fallback": "global"},
    ],
    ids=str,
)
def test_whatever_decides_the_models_changes_the_definition(
    tmp_path: Path, base: TrainStep, change: dict[str, Any]
) -> None:
    changed = compiled(tmp_path, {**FAMILY, **change})
    assert changed.definition_fingerprint != base.definition_fingerprint
    assert changed.metadata_fingerprint == base.metadata_fingerprint


@pytest.mark.parametrize(
    "change", [{"description": "other"}, {"tags": ["a"]}, {"owner": "you"}, {"meta": {"ticket": 2}}], ids=str
)
def test_what_only_describes_changes_the_metadata(tmp_path: Path, base: TrainStep, change: dict[str, Any]) -> None:
    changed = compiled(tmp_path, {**FAMILY, **change})
    assert changed.definition_fingerprint == base.definition_fingerprint
    assert changed.metadata_fingerprint != base.metadata_fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"group_by": "k"},
        {"features": [{"name": "x"}, {"kind": "categorical", "name": "c"}]},
        {"estimator": {"params": {"solver": "auto", "alpha": 0.5}, "class": "sklearn.linear_model.Ridge"}},
        {"preprocess": {"categorical": {"class": "OneHotEncoder"}, "numeric": "StandardScaler"}},
        {"estimator": {"class": "Ridge", "params": {"alpha": 0.5}}},
        {"estimator": {"class": "Ridge", "params": {"alpha": 0.5, "fit_intercept": True, "max_iter": None}}},
        {"timeout": 600},
        {"timeout": "600s"},
        {"null_keys": "skip", "seed": 0, "max_failed": "1%"},
        {"tags": ["b", "a"]},
        {"evaluate": {"metrics": ["rmse", "mae"], "holdout": 0.2, "refit": False}},
    ],
    ids=str,
)
def test_the_same_in_other_words_changes_nothing(tmp_path: Path, base: TrainStep, change: dict[str, Any]) -> None:
    same = compiled(tmp_path, dict(reversed({**FAMILY, **change}.items())))
    assert same.definition_fingerprint == base.definition_fingerprint
    assert same.metadata_fingerprint == base.metadata_fingerprint


def test_toml_and_yaml_have_the_same_fingerprints(tmp_path: Path, base: TrainStep) -> None:
    assert compiled(tmp_path, FAMILY, toml=True) == base


@pytest.mark.parametrize(
    "change", [{"path": "x.parquet"}, {"format": "csv"}, {"options": {"a": 2, "b": True}}], ids=str
)
def test_another_way_to_read_the_source_changes_the_definition(
    tmp_path: Path, base: TrainStep, change: dict[str, Any]
) -> None:
    assert compiled(tmp_path, FAMILY, {**SOURCE, **change}).definition_fingerprint != base.definition_fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"description": "other"},
        {"options": {"b": True, "a": 1}},
        {"options": {"b": "true", "a": "1"}},
        {"columns": [{"name": "x", "description": "documented now"}]},
        {"columns": [{"name": "x", "type": "double"}]},
    ],
    ids=str,
)
def test_what_only_describes_or_checks_the_source_changes_nothing(
    tmp_path: Path, base: TrainStep, change: dict[str, Any]
) -> None:
    assert compiled(tmp_path, FAMILY, {**SOURCE, **change}).definition_fingerprint == base.definition_fingerprint


def test_a_variable_counts_by_its_value(tmp_path: Path, base: TrainStep) -> None:
    document = {"sources": [SOURCE, OTHER], "families": [{**FAMILY, "min_rows": "${var:least}"}]}
    folder = write_project(tmp_path, {"families/f.yml": yaml.safe_dump(document)})
    prints = [workspace_of(folder, least=n).plan.steps[0].definition_fingerprint for n in (5, 6)]
    assert prints[0] == base.definition_fingerprint != prints[1]


def test_another_family_changes_nothing(tmp_path: Path, base: TrainStep) -> None:
    document = {"sources": [OTHER, SOURCE], "families": [{**FAMILY, "name": "g", "seed": 5}, FAMILY]}
    plan = workspace_of(write_project(tmp_path, {"families/f.yml": yaml.safe_dump(document)})).plan
    assert plan.steps[1] == base


def test_a_value_of_the_environment_does_not_count(tmp_path: Path) -> None:
    source = {"name": "s", "path": "${env:DATA}/x", "options": {"password": "${env:DATA}"}}
    document = {"sources": [source, OTHER], "families": [FAMILY]}
    folder = write_project(tmp_path, {"families/f.yml": yaml.safe_dump(document)})
    one, other = (workspace_of(folder, environ={"DATA": place}).plan.steps[0] for place in ("/a", "/b"))
    assert one == other
