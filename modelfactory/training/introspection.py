"""Ask the installed packages what their estimator classes are and take.

Run as `python -m modelfactory.training.introspection` with JSON on stdin: a mapping of the names that users wrote
to dotted paths. Writes to stdout a mapping of the same names to facts. A process of its own, so that commands
that only read project files never import scikit-learn.
"""

from __future__ import annotations

import importlib
import inspect
import json
import numbers
import sys
from typing import Any

_TYPES: dict[Any, tuple[str, str]] = {
    bool: ("bool", "true or false"),
    int: ("int", "int"),
    float: ("number", "float"),
    str: ("text", "text"),
    list: ("list", "list"),
    tuple: ("tuple", "list"),
    dict: ("mapping", "mapping"),
    numbers.Integral: ("int", "int"),
    numbers.Real: ("number", "float"),
}
_WORDS = {
    "boolean": [("bool", "true or false")],
    "random_state": [("int", "int"), ("null", "null")],
    "verbose": [("int", "int"), ("bool", "true or false")],
    "array-like": [("list", "list")],
    "cv_object": [("int", "int"), ("null", "null")],
    "missing_values": [("int", "int"), ("number", "float"), ("text", "text"), ("null", "null")],
    "no_validation": [("any", "")],
    "nan": [("number", "float")],
}


def facts_of(path: str) -> dict[str, Any]:
    """Describe the class at a dotted path, in the form of `project.classes.ClassFacts`."""
    module_name, _, class_name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # any package may raise anything when it is imported
        return {"path": path, "error": f"{type(error).__name__}: {error}"}
    fit = getattr(cls, "fit", None)
    if not inspect.isclass(cls) or not callable(fit):
        return {"path": path, "error": "not a class with a `fit` method"}
    signature = inspect.signature(cls.__init__)
    constraints = getattr(cls, "_parameter_constraints", None) or {}
    parameters = {
        name: {
            "default": None if p.default is inspect.Parameter.empty else _shown(p.default),
            "constraints": _constraints(constraints.get(name)),
        }
        for name, p in list(signature.parameters.items())[1:]
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and constraints.get(name) != "deprecated"
    }
    return {
        "path": path,
        "kind": _kind(cls),
        "parameters": parameters,
        "takes_weight": "sample_weight" in inspect.signature(fit).parameters,
        "open_ended": any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()),
    }


def _kind(cls: type) -> str:
    from sklearn.base import ClassifierMixin, RegressorMixin

    declared = getattr(cls, "_estimator_type", None)
    if issubclass(cls, ClassifierMixin) or declared == "classifier":
        return "classifier"
    if issubclass(cls, RegressorMixin) or declared == "regressor":
        return "regressor"
    if hasattr(cls, "transform") and not (hasattr(cls, "predict") or hasattr(cls, "fit_predict")):
        return "transformer"
    return "unsupervised"


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__name__}" if isinstance(value, type) else repr(value)


def _constraints(declared: Any) -> list[dict[str, Any]]:
    if declared is None:
        return []
    found = []
    for item in declared if isinstance(declared, list) else [declared]:
        found += _constraint(item)
    return found


def _constraint(item: Any) -> list[dict[str, Any]]:
    if item is None:
        return [{"kind": "null", "text": "null"}]
    if isinstance(item, str):
        pairs = _WORDS.get(item, [("object", "")])
        return [{"kind": kind, "text": text} for kind, text in pairs]
    if isinstance(item, type):
        kind, text = _TYPES.get(item, ("estimator" if item.__module__ == "sklearn.base" else "object", ""))
        return [{"kind": kind, "text": text}]
    match type(item).__name__:
        case "Interval":
            return [_interval(item)]
        case "StrOptions" | "Options":
            options = sorted((o for o in item.options if isinstance(o, str | int | float)), key=repr)
            return [{"kind": "options", "text": " or ".join(f"`{o}`" for o in options), "options": options}]
        case "MissingValues":
            return [{"kind": kind, "text": text} for kind, text in _WORDS["missing_values"]]
        case "HasMethods":
            return [{"kind": "estimator", "text": "an estimator"}]
        case "Hidden":
            return [{**found, "text": ""} for found in _constraint(item.constraint)]
        case _:
            return [{"kind": "object", "text": ""}]


def _interval(item: Any) -> dict[str, Any]:
    number = {"Integral": "int", "RealNotInt": "fraction"}.get(item.type.__name__, "real")
    infinite = (float("inf"), float("-inf"))
    low = None if item.left is None or item.left in infinite else item.left
    high = None if item.right is None or item.right in infinite else item.right
    ends = []
    if low is not None:
        ends.append(f"{'>=' if item.closed in ('left', 'both') else '>'} {low}")
    if high is not None:
        ends.append(f"{'<=' if item.closed in ('right', 'both') else '<'} {high}")
    text = " ".join(["int" if number == "int" else "float", " and ".join(ends)]).strip()
    return {
        "kind": "interval",
        "text": text,
        "number": number,
        "low": low,
        "high": high,
        "closed": item.closed,
    }


def main() -> None:
    """Answer one request on stdin."""
    names: dict[str, str] = json.load(sys.stdin)
    json.dump({name: facts_of(path) for name, path in names.items()}, sys.stdout)


if __name__ == "__main__":
    main()
