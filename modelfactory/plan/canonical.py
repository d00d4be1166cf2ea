"""Put a family's definition into the one form that all ways to write it have in common: its `Meaning`."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from typing import Any

from modelfactory.diagnostics import hide
from modelfactory.plan.meaning import Meaning
from modelfactory.plan.steps import EstimatorCall, SourceRead
from modelfactory.project.classes import ClassFacts
from modelfactory.project.specs import FamilySpec, Spec


def meaning_of(
    spec: FamilySpec,
    facts: Mapping[str, ClassFacts],
    *,
    task: str,
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
        calls: its estimator, pipeline and preprocessing as calls, by key.
    """
    by_path = {known.path: known for known in facts.values()}
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
        **{key: _written(value, by_path) for key, value in calls.items()},
        "evaluate": None,
        "min_rows": spec.min_rows,
        "max_rows": spec.max_rows,
        "on_too_many": spec.on_too_many,
        "null_keys": spec.null_keys,
        "seed": spec.seed,
    }
    tests: dict[str, Any] = {"fallback": spec.fallback, "max_failed": _spec(spec.max_failed), "timeout": spec.timeout}
    if spec.evaluate is not None:
        measured = _spec(spec.evaluate)
        tests["metrics"] = measured.pop("metrics", [])
        models["evaluate"] = measured
    metadata = {"description": spec.description, "tags": sorted(spec.tags), "owner": spec.owner, "meta": spec.meta}
    return Meaning(models=_told(models), tests=_told(tests), metadata=_told(metadata))


def without_environment(meaning: Meaning, shown_as: Mapping[str, str]) -> Meaning:
    """Put references in the place of values of the environment.

    Args:
        meaning: what a definition means, with the values.
        shown_as: the values, and what stands there instead.
    """
    if not shown_as:
        return meaning

    def hidden(value: Any) -> Any:
        match value:
            case dict():
                return {key: hidden(item) for key, item in value.items()}
            case list():
                return [hidden(item) for item in value]
            case None | bool():
                return value
            case _:
                text = str(value)
                shown = hide(text, shown_as)
                return value if shown == text else shown

    return Meaning(models=hidden(meaning.models), tests=hidden(meaning.tests), metadata=hidden(meaning.metadata))


def _spec(spec: Spec) -> dict[str, Any]:
    """Return a part of a definition as plain data, without what is not given."""
    found: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _source(source: SourceRead) -> dict[str, Any]:
    if source.table is not None:
        return _told({"table": source.table})
    return _told({"path": source.path, "format": source.format, "options": dict(source.options)})


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: null, and what is empty."""
    return {key: value for key, value in values.items() if value not in (None, [], {})}


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
    if parameter is None or parameter.default is None:
        return False
    found = _default_value(parameter.default)
    return type(found) is type(value) and bool(found == value)


@functools.cache
def _default_value(text: str) -> Any:
    """Return the value of a default as Python writes it; what is no plain value equals nothing."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return object()
