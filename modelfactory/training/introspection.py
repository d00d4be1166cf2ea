"""Ask the installed packages what their estimator classes are and take.

Run as `python -m modelfactory.training.introspection` with JSON on stdin: a mapping of the names that users wrote
to dotted paths. Writes to stdout a mapping of the same names to facts. A process of its own, so that commands
that only read project files never import scikit-learn.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import numbers
import re
import sys
from typing import Any


def _interval_of(number: str, low: float | None, high: float | None, closed: str = "both") -> dict[str, Any]:
    ends = []
    if low is not None:
        ends.append(f"{'>=' if closed in ('left', 'both') else '>'} {low}")
    if high is not None:
        ends.append(f"{'<=' if closed in ('right', 'both') else '<'} {high}")
    text = " ".join(["int" if number == "int" else "float", " and ".join(ends)]).strip()
    return {"kind": "interval", "text": text, "number": number, "low": low, "high": high, "closed": closed}


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
_INNER = {"estimator", "estimators", "regressor", "classifier", "final_estimator", "transformers", "transformer_list"}
"""Parameters of classes that fit other estimators on the input as they get it."""
_HANDS_ON = {"Isomap"}
"""Classes that do so without such a parameter."""
_LONGEST = 160
"""Characters of what is told of a class or a parameter."""
_METHODS = (
    "fit",
    "predict",
    "predict_proba",
    "decision_function",
    "score",
    "transform",
    "fit_transform",
    "fit_predict",
)
"""Methods that a class may need of an estimator it is given."""
_NULL = {"kind": "null", "text": "null"}
_WORDS: dict[str, list[dict[str, Any]]] = {
    "boolean": [{"kind": "bool", "text": "true or false"}],
    "random_state": [_interval_of("int", 0, 2**32 - 1), _NULL],
    "verbose": [_interval_of("int", 0, None), {"kind": "bool", "text": "true or false"}],
    "array-like": [{"kind": "list", "text": "list"}],
    "cv_object": [_interval_of("int", 2, None), _NULL],
    "missing_values": [{"kind": "number", "text": "number"}, {"kind": "text", "text": "text"}, _NULL],
    "no_validation": [{"kind": "any", "text": ""}],
    "nan": [{"kind": "number", "text": "float"}],
}


def facts_of(path: str) -> dict[str, Any]:
    """Describe the class at a dotted path, in the form of `project.classes.ClassFacts`."""
    module_name, _, class_name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:  # any package may do anything when it is imported
        return {"path": path, "error": f"{type(error).__name__}: {error}"}
    fit = getattr(cls, "fit", None)
    if not inspect.isclass(cls) or not callable(fit):
        return {"path": path, "error": "not a class with a `fit` method"}
    signature = inspect.signature(cls if cls.__init__ is object.__init__ else cls.__init__)
    constraints = getattr(cls, "_parameter_constraints", None) or {}
    documented = inspect.getdoc(cls) or ""
    docs = _parameter_docs(documented)
    parameters = {
        name: {
            "doc": docs.get(name, ""),
            "default": None if p.default is inspect.Parameter.empty else _shown(p.default),
            "constraints": _constraints(constraints.get(name)),
        }
        for name, p in list(signature.parameters.items())[1:]
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and constraints.get(name) != "deprecated"
    }
    return {
        "path": path,
        "doc": _sentence(documented),
        "kind": _kind(cls),
        "parameters": parameters,
        "hands_on": bool(_INNER & signature.parameters.keys()) or cls.__name__ in _HANDS_ON,
        "transforms": hasattr(cls, "transform") or hasattr(cls, "fit_transform"),
        "methods": [name for name in _METHODS if hasattr(cls, name)],
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


def _parameter_docs(documented: str) -> dict[str, str]:
    """Return the first sentence on each parameter of a docstring in NumPy's style."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", documented, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^(\w[\w, ]*?) *:.*\n((?: .*\n?|\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: _sentence(inspect.cleandoc(text)) for names, text in entries for name in names.split(", ")}


def _sentence(documented: str) -> str:
    """Return the first sentence of a docstring, in one line and without its markup."""
    first = " ".join(re.split(r"\n\n|\n *(?:\.\.|[-*]) ", documented.strip())[0].split())
    plain = re.sub(r":[\w:]+:`~?([^`<]*?)(?: *<[^`]*>)?`", r"`\1`", first).replace("``", "`")
    sentence = re.split(r"(?<=\.) (?=[A-Z`])", plain)[0]
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - 1].rstrip()}…"


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
        return _WORDS.get(item, [{"kind": "object", "text": ""}])
    if isinstance(item, type):
        if item.__name__ == "ClusterMixin":
            return [_protocol(["fit_predict"])]
        kind, text = _TYPES.get(item, ("estimator" if item.__module__ == "sklearn.base" else "object", ""))
        return [{"kind": kind, "text": text}]
    match type(item).__name__:
        case "Interval":
            return [_interval(item)]
        case "StrOptions" | "Options":
            options = sorted((o for o in item.options if isinstance(o, str | int | float)), key=repr)
            return [{"kind": "options", "text": " or ".join(f"`{o}`" for o in options), "options": options}]
        case "MissingValues":
            return _WORDS["missing_values"]
        case "HasMethods":
            return [_protocol(sorted(item.methods))]
        case "Hidden":
            return [{**found, "text": ""} for found in _constraint(item.constraint)]
        case _:
            return [{"kind": "object", "text": ""}]


def _protocol(methods: list[str]) -> dict[str, Any]:
    """Return the form of a value that must have some methods."""
    if methods == ["__iter__"]:
        return {"kind": "list", "text": "list"}
    if not set(methods) & set(_METHODS):
        return {"kind": "object", "text": ""}
    special = [f"`{name}`" for name in methods if name not in ("fit", "predict")]
    return {
        "kind": "estimator",
        "text": "an estimator" + (f" with {' and '.join(special)}" if special else ""),
        "needs": methods,
    }


def _interval(item: Any) -> dict[str, Any]:
    infinite = (None, float("inf"), float("-inf"))
    low, high = (None if end in infinite else end for end in (item.left, item.right))
    number = {"Integral": "int", "RealNotInt": "fraction"}.get(item.type.__name__, "real")
    return _interval_of(number, low, high, item.closed)


def main() -> None:
    """Answer one request on stdin."""
    names: dict[str, str] = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # packages that print when they are imported
        found = {name: facts_of(path) for name, path in names.items()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
