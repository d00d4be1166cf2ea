"""Put a family's definition into the one form that all ways to write it have in common: its `Meaning`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelfactory.diagnostics import hide
from modelfactory.plan.estimators import real_where_meant
from modelfactory.plan.fingerprint import fingerprint
from modelfactory.plan.meaning import Meaning
from modelfactory.plan.metrics import DEFAULT_METRICS, Task
from modelfactory.plan.outcomes import GLOBAL
from modelfactory.plan.steps import EstimatorCall, SourceRead
from modelfactory.project.classes import ClassFacts
from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import FamilySpec, SearchSpec
from modelfactory.project.variables import environment_names


def meaning_of(
    spec: FamilySpec,
    facts: Mapping[str, ClassFacts],
    *,
    task: Task,
    sql: str | None,
    sources: tuple[SourceRead, ...],
    calls: Mapping[str, Any],
) -> Meaning:
    """Return the meaning of a family.

    Args:
        spec: its definition.
        facts: what is known of the classes it names, by the name as written.
        task: what kind of model it is.
        sql: its rendered query; None where it reads a source as it is.
        sources: what it reads.
        calls: its estimator, pipeline, preprocessing and what it searches as calls, by key.
    """
    by_path = _by_path(facts)
    models: dict[str, Any] = {
        "sources": {source.name: _source(source) for source in sources},
        "sql": sql,
        "where": spec.where,
        "group_by": list(spec.group_by),
        "features": {feature.name: feature.kind for feature in spec.features},
        "feature_order": [feature.name for feature in spec.features],
        "label": spec.label,
        "weight": spec.weight,
        "task": task,
        **{key: _written(value, by_path) for key, value in calls.items() if key != "search"},
        "evaluate": None,
        "min_rows": spec.min_rows,
        "max_rows": spec.max_rows,
        "on_too_many": spec.on_too_many,
        "null_keys": spec.null_keys,
        "seed": spec.seed,
    }
    if spec.persistence != "pickle":  # where it is left out, families that were published before it keep their meaning
        models["persistence"] = spec.persistence
    if spec.search is not None:
        models["search"] = _search(spec.search, calls["search"], task, by_path)
    tests: dict[str, Any] = {"max_failed": _spec(spec.max_failed), "timeout": spec.timeout}
    if spec.tests:
        tests["tests"] = [{test.kind: _spec(test.parameters)} for test in spec.tests]
    # Another family as fallback is asked when rows are scored; a global model has to be trained.
    (models if spec.fallback == GLOBAL else tests)["fallback"] = spec.fallback
    if spec.on_vanished != "keep":
        tests["on_vanished"] = spec.on_vanished
    tests["retrain_on"] = list(spec.retrain_on)
    if spec.evaluate is not None:
        measured = _spec(spec.evaluate)
        tests["metrics"] = measured.pop("metrics", None) or list(DEFAULT_METRICS.get(task, ()))
        models["evaluate"] = measured
    metadata = {"description": spec.description, "tags": sorted(spec.tags), "owner": spec.owner, "meta": spec.meta}
    return Meaning(models=_told(models), tests=_told(tests), metadata=_told(metadata))


def call_fingerprint(call: EstimatorCall, facts: Mapping[str, ClassFacts]) -> str:
    """Return a hash that calls share which make the same estimator, whether or not they name what is the default."""
    return fingerprint(_written(call, _by_path(facts)))


def without_environment(meaning: Meaning, definition: Mapping[str, Any], environ: Mapping[str, str]) -> Meaning:
    """Put references in the place of values of the environment, where the definition has references.

    Args:
        meaning: what a definition means, with the values.
        definition: the definition, its variables followed, with references to the environment.
        environ: the environment.
    """
    if _REFERENCE not in str(definition):
        return meaning
    names = environment_names(str(definition))
    shown_as = {environ[name]: f"${{env:{name}}}" for name in names if environ.get(name)}

    def of(part: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: _referring(value, definition.get(_WRITTEN_IN.get(key, key)), shown_as) for key, value in part.items()
        }

    return Meaning(models=of(meaning.models), tests=of(meaning.tests), metadata=of(meaning.metadata))


_REFERENCE = "${env:"
_WRITTEN_IN = {"feature_order": "features", "metrics": "evaluate", "task": "estimator"}
"""Keys of the definition in which parts of the meaning are written that have another name there."""


def _referring(value: Any, written: Any, shown_as: Mapping[str, str]) -> Any:
    """Return a value as it is written, with references; where that has another shape, without all that looks secret."""
    if _REFERENCE not in str(written):
        return value
    match value, written:
        case dict(), dict():
            return {key: _referring(item, written.get(key), shown_as) for key, item in value.items()}
        case list(), list() if len(value) == len(written):
            return [_referring(*pair, shown_as) for pair in zip(value, written, strict=True)]
        case ((str() | int() | float()), str()):
            return written
        case _:
            return _hidden(value, shown_as)


def _hidden(value: Any, shown_as: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {hide(key, shown_as): _hidden(item, shown_as) for key, item in value.items()}
        case list():
            return [_hidden(item, shown_as) for item in value]
        case None | bool():
            return value
        case _:
            shown = hide(str(value), shown_as)
            return value if shown == str(value) else shown


def _by_path(facts: Mapping[str, ClassFacts]) -> dict[str, ClassFacts]:
    return {known.path: known for known in facts.values()}


def _search(
    search: SearchSpec, calls: Mapping[str, Any], task: Task, by_path: Mapping[str, ClassFacts]
) -> dict[str, Any]:
    """Return the meaning of a search; that of an estimator in it is `{class, params, search}`."""
    return _told(
        {
            "params": _written(calls["params"], by_path),
            "estimators": [
                {**_written(call, by_path), "search": _written(grid, by_path)} for call, grid in calls["estimators"]
            ],
            "folds": search.folds,
            "metric": search.metric or DEFAULT_METRICS[task][0],
        }
    )


def _spec(spec: Spec) -> dict[str, Any]:
    """Return a part of a definition as plain data, without what is not given."""
    found: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _source(source: SourceRead) -> dict[str, Any]:
    if source.table is not None:
        return _told({"table": source.table})
    return _told({"path": source.path, "format": source.format, "options": dict(source.options)})


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: null, and what is empty; numbers that JSON does not have become text."""
    return {key: _in_json(value) for key, value in values.items() if value not in (None, [], {}, "")}


def _in_json(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: _in_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_in_json(item) for item in value]
        case _:
            return value


def _written(value: Any, by_path: Mapping[str, ClassFacts]) -> Any:
    """Write calls as `{class, params}`, without parameters that have their default."""
    match value:
        case EstimatorCall():
            known = by_path.get(value.path)
            params = {
                name: _written(given, by_path)
                for name, given in value.params
                if known is None or not _is_default(given, known, name)
            }
            return {"class": value.path, "params": params}
        case list() | tuple():
            return [_written(item, by_path) for item in value]
        case dict():
            return {key: _written(item, by_path) for key, item in value.items()}
        case _:
            return value


def _is_default(value: Any, known: ClassFacts, name: str) -> bool:
    parameter = known.parameters.get(name)
    if parameter is None or parameter.default in (None, parameter.default_value):  # not plain data
        return False
    default = real_where_meant(parameter.default_value, parameter)
    return repr(_listed(default)) == repr(_listed(value))  # 1 is not true, and nan is nan


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value
