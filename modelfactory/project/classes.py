"""What is known of estimator classes, as plain data, and the check of parameters against it.

The facts come from scikit-learn itself (`modelfactory.training.introspection`) and are cached by its version, so
that checking a project imports no scikit-learn.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from modelfactory.diagnostics import Code, did_you_mean, nearest
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
    """

    kind: str
    text: str = ""
    options: tuple[Any, ...] = ()
    number: str = "real"
    low: float | None = None
    high: float | None = None
    closed: str = "neither"

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
                return isinstance(value, dict)
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
        """The default as plain data; its text where it is none."""
        try:
            return ast.literal_eval(self.default or "None")
        except (ValueError, SyntaxError):
            return self.default

    def text(self) -> str:
        """Say the forms and the default in words."""
        forms = " or ".join(dict.fromkeys(c.text for c in self.constraints if c.text))
        parts = [forms] if forms else []
        if self.default is not None:
            written = {"None": "null", "True": "true", "False": "false"}.get(self.default, self.default)
            parts.append(f"default {written}")
        return ", ".join(parts)


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
    error: str | None = None
    doc: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassFacts:
        """Read what `training.introspection` wrote."""
        parameters = {
            name: Parameter(
                found["default"],
                tuple(Constraint(**{**c, "options": tuple(c.get("options", ()))}) for c in found["constraints"]),
                found["doc"],
            )
            for name, found in data.get("parameters", {}).items()
        }
        return cls(**{**data, "parameters": parameters})


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


def check_class(
    name: str, params: Mapping[str, Any], facts: Mapping[str, ClassFacts], packages: Iterable[str]
) -> Iterator[Mistake]:
    """Yield what is wrong with a class name and its parameters, nested estimators included.

    Args:
        name: the class as written.
        params: its parameters as written.
        facts: what is known, by the name as written.
        packages: top-level packages that classes may come from.
    """
    found = facts.get(name)
    if found is None or found.error is not None:
        yield _unknown_class(name, found, packages)
        return
    for key, parameter in found.parameters.items():
        if parameter.default is None and key not in params:
            short = name.rpartition(".")[2]
            yield Mistake(
                Code.BAD_PARAMETER, f"{short} needs the parameter `{key}`", ("class",), help=parameter.text() or None
            )
    for key, value in params.items():
        path = ("params", key)
        declared = found.parameters.get(key)
        if declared is None and not found.open_ended:
            short = name.rpartition(".")[2]
            near = did_you_mean(key, list(found.parameters))
            known = found.parameters.get(near.split("`")[1]) if near and near.startswith("did") else None
            words = f" ({known.text()})" if known is not None and known.text() else ""
            yield Mistake(
                Code.UNKNOWN_PARAMETER,
                f"unknown parameter `{key}` of {short}",
                path,
                key=True,
                help=near + words if near else None,
            )
            continue
        nested = list(nested_values(value, path))
        for inner, call in nested:
            for mistake in _check_nested(call, facts, packages):
                yield Mistake(mistake.code, mistake.message, (*inner, *mistake.path), mistake.key, mistake.help)
        forms = declared.constraints if declared is not None else ()
        if forms and not any(form.admits(value) for form in forms):
            if isinstance(value, list) and nested:
                continue
            shown = "null" if value is None else repr(value)
            if isinstance(value, str) and any(form.kind == "estimator" for form in forms):
                yield Mistake(
                    Code.BAD_PARAMETER,
                    f"parameter `{key}` of {name.rpartition('.')[2]} is an estimator",
                    path,
                    help=f"write {{class: {value}}}",
                )
                continue
            options = [o for form in forms for o in form.options if isinstance(o, str)]
            near = did_you_mean(value, options) if isinstance(value, str) and options else None
            yield Mistake(
                Code.BAD_PARAMETER,
                f"parameter `{key}` of {name.rpartition('.')[2]} cannot be {shown}",
                path,
                help=near if near and near.startswith("did") else declared.text() if declared else None,
            )


def _check_nested(call: dict[str, Any], facts: Mapping[str, ClassFacts], packages: Iterable[str]) -> Iterator[Mistake]:
    for key in call.keys() - {"class", "params"}:
        yield Mistake(Code.UNKNOWN_KEY, f"unknown key `{key}`", (key,), True, did_you_mean(key, ["class", "params"]))
    params = call.get("params", {})
    if isinstance(params, dict):
        yield from check_class(call["class"], params, facts, packages)
    else:
        yield Mistake(Code.BAD_VALUE, "`params` must be a mapping", ("params",))


def _unknown_class(name: str, found: ClassFacts | None, packages: Iterable[str]) -> Mistake:
    top, dot, _ = name.partition(".")
    if dot and top and top not in packages:
        return Mistake(
            Code.UNKNOWN_CLASS,
            f"class `{name}` is not of an allowed package",
            ("class",),
            help=f"add `{top}` to `estimator_packages` in the project file",
        )
    known = [f"{module}.{n}" for n, module in sklearn_names().items()] if dot else list(sklearn_names())
    near = nearest(name, [k for k in known if k != name])
    help_ = f"did you mean `{near}`?" if near else None
    if dot:
        reason = f": {found.error}" if found is not None and found.error else ""
        return Mistake(Code.UNKNOWN_CLASS, f"class `{name}` cannot be used{reason}", ("class",), help=help_)
    help_ = help_ or "write the full dotted path of a class from another package"
    return Mistake(Code.UNKNOWN_CLASS, f"unknown scikit-learn class `{name}`", ("class",), help=help_)


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
