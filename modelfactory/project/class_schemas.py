"""JSON Schemas of estimator classes and their parameters."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping

from modelfactory.project.alternatives import REFERENCE, Schema, alternatives
from modelfactory.project.classes import NO_DEFAULT, ClassFacts, Constraint, Parameter

CLASS_NAME: Schema = {"$ref": "#/definitions/ClassName"}
TRANSFORMER_NAME: Schema = {"$ref": "#/definitions/TransformerName"}
VALUE: Schema = {"$ref": "#/definitions/Value"}
PARAMETERS: Schema = {"$ref": "#/definitions/Parameters"}
DOTTED_PATH: Schema = {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"}
"""The path of a class that only the project's own check can know."""
_NESTED: Schema = {"type": "object", "required": ["class"], "properties": {"class": {"type": "string"}}}
"""What makes a value a nested estimator, as `project.classes.nested_class` sees it."""


def class_definitions(facts: Mapping[str, ClassFacts], estimator: Schema) -> dict[str, Schema]:
    """Return definitions for what may be written of classes.

    Args:
        facts: what is known of each class that has a bare name.
        estimator: the schema of `{class, params}`.

    Returns:
        `ClassName` and `TransformerName`, the names; `Parameters`, which binds the `params` of a mapping by its
        `class`; `Value`, any value in which an estimator may be nested; and one of the parameters of each class.
    """
    transformers = {name: found for name, found in facts.items() if found.transforms}
    return {
        "ClassName": _names(facts),
        "TransformerName": _names(transformers),
        "Value": {"items": VALUE, "if": _NESTED, "then": estimator, "else": {"additionalProperties": VALUE}},
        "Parameters": {"allOf": [_bound(name, found) for name, found in facts.items()]},
        **{found.path: _parameters(name, found, estimator) for name, found in facts.items()},
    }


def _names(facts: Mapping[str, ClassFacts]) -> Schema:
    return {"enum": list(facts), "enumDescriptions": [found.doc for found in facts.values()]}


def _bound(name: str, found: ClassFacts) -> Schema:
    needed = {"required": ["params"]} if _needed(found) else {}
    return {
        "if": {"required": ["class"], "properties": {"class": {"enum": [name, found.path]}}},
        "then": {**needed, "properties": {"params": {"$ref": f"#/definitions/{found.path}"}}},
    }


def _needed(found: ClassFacts) -> list[str]:
    return [key for key, parameter in found.parameters.items() if parameter.default is None]


def _parameters(name: str, found: ClassFacts, estimator: Schema) -> Schema:
    return {
        "title": name,
        "description": found.doc,
        "properties": {key: _parameter(parameter, estimator) for key, parameter in found.parameters.items()},
        **({"required": needed} if (needed := _needed(found)) else {}),
        "additionalProperties": VALUE if found.open_ended else False,
    }


def _parameter(parameter: Parameter, estimator: Schema) -> Schema:
    kinds = {constraint.kind for constraint in parameter.constraints}
    forms = [form for constraint in parameter.constraints for form in _forms(constraint)]
    if "mapping" in kinds:
        forms.append({"type": "object", "allOf": [VALUE]})
    elif "estimator" in kinds:
        forms.append(estimator)
    known = kinds and "any" not in kinds
    return {
        "description": "\n\n".join(filter(None, (parameter.doc, parameter.text()))),
        **(alternatives([*forms, REFERENCE]) if known else {"allOf": [VALUE]}),
        **_default(parameter),
    }


def _default(parameter: Parameter) -> Schema:
    """Return the default if a file can hold it and a user may want it."""
    if parameter.default is None or parameter.default in NO_DEFAULT:
        return {}
    try:
        value = ast.literal_eval(parameter.default)
    except (ValueError, SyntaxError):  # a function, a class, not a number
        return {}
    return {"default": list(value) if isinstance(value, tuple) else value}


def _forms(constraint: Constraint) -> Iterator[Schema]:
    """Yield the forms, beside mappings, that a constraint lets a value have in a file."""
    match constraint.kind:
        case "null":
            yield {"type": "null"}
        case "bool":
            yield {"type": "boolean"}
        case "int":
            yield {"type": "integer"}
        case "number":
            yield {"type": "number"}
        case "text":
            yield {"type": "string"}
        case "list" | "tuple":
            yield {"type": "array", "items": VALUE}
        case "options":
            yield {"enum": [o for o in constraint.options if not (isinstance(o, float) and not math.isfinite(o))]}
        case "interval":
            yield _interval(constraint)


def _interval(constraint: Constraint) -> Schema:
    low = "minimum" if constraint.closed in ("left", "both") else "exclusiveMinimum"
    high = "maximum" if constraint.closed in ("right", "both") else "exclusiveMaximum"
    return {
        "type": "integer" if constraint.number == "int" else "number",
        **({low: constraint.low} if constraint.low is not None else {}),
        **({high: constraint.high} if constraint.high is not None else {}),
    }
