"""What is known of estimator classes, as plain data.

The facts come from scikit-learn itself (`modelfactory.training.introspection`) and are cached by its version, so
that checking a project imports no scikit-learn.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from modelfactory.diagnostics import Code
from modelfactory.project.positions import KeyPath

ClassKind = Literal["regressor", "classifier", "transformer", "unsupervised"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One form that a parameter's value may take.

    Attributes:
        kind: `null`, `bool`, `int`, `number`, `text`, `list`, `tuple`, `mapping`, `options`, `interval`,
            `estimator`, `any`, or `object` for what no file can hold.
        text: the form in words.
        options: the values of `options`.
        number: `int`, `real` or `fraction` (a real that is not an int) of an `interval`.
        low: lower end of an `interval`, minus infinity if None.
        high: upper end of an `interval`, infinity if None.
        closed: which ends belong to the interval: `left`, `right`, `both` or `neither`.
        needs: the methods that an `estimator` must have.
    """

    kind: str
    text: str = ""
    options: tuple[Any, ...] = ()
    number: str = "real"
    low: float | None = None
    high: float | None = None
    closed: str = "neither"
    needs: tuple[str, ...] = ()

    def admits(self, value: Any) -> bool:
        """Tell whether a value out of a project file has this form."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        match self.kind:
            case "any":
                return True
            case "null":
                return value is None
            case "bool":
                return isinstance(value, bool)
            case "int":
                return is_number and isinstance(value, int)
            case "number":
                return is_number
            case "text":
                return isinstance(value, str)
            case "list" | "tuple":
                return isinstance(value, list)
            case "mapping":
                return isinstance(value, dict) and nested_class(value) is None
            case "options":
                return any(value == option and type(value) is type(option) for option in self.options)
            case "interval":
                return is_number and self._holds(value)
            case "estimator":
                return nested_class(value) is not None
            case _:
                return False

    def _holds(self, value: float) -> bool:
        if self.number == "int" and not isinstance(value, int):
            return False
        if (self.number == "fraction" and isinstance(value, int)) or math.isnan(value):
            return False
        if math.isinf(value) and self.closed not in ("both", "right" if value > 0 else "left"):
            return False
        above = self.low is None or value > self.low or (value == self.low and self.closed in ("left", "both"))
        below = self.high is None or value < self.high or (value == self.high and self.closed in ("right", "both"))
        return above and below


NO_DEFAULT = (None, "'deprecated'", "'warn'")
"""Defaults of parameters that have none: what is required, and what scikit-learn writes where one is going away."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a class.

    Attributes:
        default: the default as Python writes it; None if the parameter has none.
        constraints: the forms its value may take; empty if nothing is known.
        doc: a sentence on it.
    """

    default: str | None
    constraints: tuple[Constraint, ...] = ()
    doc: str = ""

    @property
    def default_value(self) -> Any:
        """The default as plain data; its text where it is none, which no plain default equals."""
        return _plain_default(self.default or "None")

    def text(self) -> str:
        """Say the forms and the default in words."""
        forms = " or ".join(dict.fromkeys(c.text for c in self.constraints if c.text))
        parts = [forms] if forms else []
        if self.default is not None:
            written = {"None": "null", "True": "true", "False": "false"}.get(self.default, self.default)
            parts.append(f"default {written}")
        return ", ".join(parts)


@functools.cache
def _plain_default(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """What is known of one class.

    Attributes:
        path: the public dotted path.
        kind: what the class is for.
        parameters: by name.
        takes_weight: whether `fit` takes `sample_weight`.
        hands_on: whether it fits other estimators on its input as it gets it, column names and all.
        transforms: whether it can stand in front of an estimator.
        open_ended: whether the class takes parameters that it does not name.
        methods: the methods it has, of those that another class may need of it.
        error: why the class cannot be used; the other attributes mean nothing then.
        doc: a sentence on it.
    """

    path: str
    kind: ClassKind = "transformer"
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    takes_weight: bool = False
    hands_on: bool = False
    transforms: bool = False
    open_ended: bool = False
    methods: tuple[str, ...] = ()
    error: str | None = None
    doc: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassFacts:
        """Read what `training.introspection` wrote."""
        parameters = {
            name: Parameter(
                found["default"],
                tuple(
                    Constraint(**{**c, "options": tuple(c.get("options", ())), "needs": tuple(c.get("needs", ()))})
                    for c in found["constraints"]
                ),
                found["doc"],
            )
            for name, found in data.get("parameters", {}).items()
        }
        return cls(**{**data, "parameters": parameters, "methods": tuple(data.get("methods", ()))})

    @property
    def name(self) -> str:
        """The name of the class alone."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with a written value, at a path inside it."""

    code: Code
    message: str
    path: KeyPath
    key: bool = False
    help: str | None = None


def nested_class(value: Any) -> str | None:
    """Return the class name if a parameter's value is a nested estimator, else None."""
    if isinstance(value, dict) and isinstance(value.get("class"), str):
        return str(value["class"])
    return None


def nested_values(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield the nested estimators in a parameter's value with their paths."""
    if nested_class(value) is not None:
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from nested_values(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nested_values(item, (*path, index))


@functools.cache
def sklearn_names() -> dict[str, str]:
    """Return the public class names of the installed scikit-learn with their modules, without importing it.

    The names are read from the sources of its public modules.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        return {}
    root = Path(spec.origin).parent
    names: dict[str, str] = {}
    for file in sorted([*root.glob("*.py"), *root.glob("*/__init__.py")]):
        module = file.parent.name if file.name == "__init__.py" else file.stem
        if module.startswith("_") or module in (
            "sklearn",
            "tests",
            "conftest",
            "externals",
            "utils",
            "experimental",
        ):
            continue
        for name in _exported(file):
            if name[:1].isupper():
                names.setdefault(name, f"sklearn.{module}")
    return names


def _exported(file: Path) -> list[str]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            with contextlib.suppress(ValueError):
                return list(ast.literal_eval(node.value))
    return [node.name for node in body if isinstance(node, ast.ClassDef)]
