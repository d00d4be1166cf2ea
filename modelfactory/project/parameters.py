"""Check the class of an estimator and its parameters, nested ones too, against what is known of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelfactory.diagnostics import Code, did_you_mean, nearest
from modelfactory.project.classes import ClassFacts, Mistake, Parameter, nested_class, nested_values, sklearn_names
from modelfactory.project.files import kind_of
from modelfactory.project.positions import KeyPath
from modelfactory.project.specs import EstimatorSpec

_NAMED_ESTIMATORS = ("steps", "estimators", "transformers", "transformer_list")
"""Parameters that hold lists of a name, an estimator and perhaps more."""
_NO_ESTIMATOR = ("drop", "passthrough")
_GRIDS = ("param_grid", "param_distributions")
"""Parameters that hold parameters of the parameter `estimator`."""


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
            message = f"{found.name} needs the parameter `{key}`"
            hint = f"{key}: [[name, {{class: …}}], …]" if key in _NAMED_ESTIMATORS else _takes(parameter)
            yield Mistake(Code.BAD_PARAMETER, message, ("class",), help=hint)
    for key, value in params.items():
        path = ("params", key)
        declared = found.parameters.get(key)
        if declared is None and not found.open_ended:
            hint = _below_nested(key, params, found) or _nearest_parameter(key, found)
            message = f"unknown parameter `{key}` of {found.name}"
            yield Mistake(Code.UNKNOWN_PARAMETER, message, path, key=True, help=hint)
            continue
        for inner, call in nested_values(value, path):
            for mistake in _check_nested(call, facts, packages):
                yield Mistake(mistake.code, mistake.message, (*inner, *mistake.path), mistake.key, mistake.help)
        if declared is not None:
            yield from _check_value(key, value, path, found, facts)
        if key in _NAMED_ESTIMATORS:
            yield from _check_named_estimators(key, value, found)
        if key in _GRIDS:
            yield from _check_grids(value, path, params, facts)


def _check_value(
    key: str, value: Any, path: KeyPath, owner: ClassFacts, facts: Mapping[str, ClassFacts]
) -> Iterator[Mistake]:
    """Yield what is wrong with the value of a parameter by the parameter's own forms."""
    declared = owner.parameters[key]
    forms = declared.constraints
    what = f"parameter `{key}` of {owner.name}"
    if not forms:
        return
    if not any(form.admits(value) for form in forms):
        options = [option for form in forms for option in form.options if isinstance(option, str)]
        near = nearest(value, options) if isinstance(value, str) else None
        if near is None and isinstance(value, str) and any(form.kind == "estimator" for form in forms):
            yield Mistake(Code.BAD_PARAMETER, f"{what} is an estimator", path, help=_as_class(value))
        else:
            hint = f"did you mean `{near}`?" if near else _takes(declared)
            yield Mistake(Code.BAD_PARAMETER, f"{what} cannot be {_shown(value)}", path, help=hint)
        return
    inner = facts.get(nested_class(value) or "")
    admitting = [form for form in forms if form.admits(value)]
    if inner is None or inner.error is not None or any(form.kind != "estimator" for form in admitting):
        return
    if not any(set(form.needs) <= set(inner.methods) for form in admitting):
        needs = " or ".join(f"`{name}`" for form in admitting for name in form.needs if name not in inner.methods)
        message = f"{what} cannot be {inner.name}, which has no {needs}"
        yield Mistake(Code.BAD_PARAMETER, message, (*path, "class"))


def _check_named_estimators(key: str, value: Any, owner: ClassFacts) -> Iterator[Mistake]:
    """Yield the items of a list of named estimators that are none."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        path: KeyPath = ("params", key, index)
        if not (isinstance(item, list) and len(item) > 1 and isinstance(item[0], str)):
            message = f"item {index + 1} of `{key}` of {owner.name} must be a list of a name and an estimator"
            yield Mistake(Code.BAD_PARAMETER, message, path, help="write [name, {class: …}]")
        elif nested_class(item[1]) is None and item[1] not in _NO_ESTIMATOR:
            message = f"`{item[0]}` of {owner.name} is an estimator and cannot be {_shown(item[1])}"
            yield Mistake(Code.BAD_PARAMETER, message, (*path, 1), help=_as_class(item[1]))


def _check_grids(
    value: Any, path: KeyPath, params: Mapping[str, Any], facts: Mapping[str, ClassFacts]
) -> Iterator[Mistake]:
    """Yield what is wrong with the parameters that a search is to try."""
    estimator = params.get("estimator")
    grids = enumerate(value) if isinstance(value, list) else [(None, value)]
    for index, grid in grids:
        place = path if index is None else (*path, index)
        for name, tried in grid.items() if isinstance(grid, dict) else ():
            if nested_class(estimator) is None or not isinstance(name, str):
                continue
            owner, key = _owner_of(name, estimator, facts)
            if owner is None:
                continue
            if key not in owner.parameters and key not in _steps_of(estimator):
                if not owner.open_ended:
                    message = f"unknown parameter `{key}` of {owner.name}"
                    hint = _nearest_parameter(key, owner)
                    yield Mistake(Code.UNKNOWN_PARAMETER, message, (*place, name), key=True, help=hint)
                continue
            for number, one in enumerate(tried if isinstance(tried, list) else ()):
                if key in owner.parameters:
                    yield from _check_value(key, one, (*place, name, number), owner, facts)


def check_varied(
    name: str, values: Iterable[Any], call: EstimatorSpec, facts: Mapping[str, ClassFacts], packages: Iterable[str]
) -> Iterator[Mistake]:
    """Yield what is wrong with a parameter that the search of a family varies.

    Args:
        name: the parameter, as `set_params` takes it.
        values: the values to try; the path of a mistake in one begins with its index, that of one in the name is empty.
        call: the estimator as written.
        facts: what is known, by the name as written.
        packages: top-level packages that classes may come from.
    """
    found, params = facts.get(call.class_), call.params
    head, below, rest = name.partition("__")
    while below and found is not None and found.error is None:
        inner = {**_steps_of({"params": params}), **params}.get(head)
        if not isinstance(inner, dict) or nested_class(inner) is None:
            if head not in found.parameters:
                break
            message = f"{found.name} is given no `{head}` whose parameters could vary"
            yield Mistake(Code.BAD_PARAMETER, message, (), key=True, help=f"params: {{{head}: {{class: …}}}}")
            return
        found, params = facts.get(inner["class"]), inner.get("params") or {}
        head, below, rest = rest.partition("__")
    if found is None or found.error is not None:  # told where the class is written
        return
    if head not in found.parameters and (below or not found.open_ended):
        message = f"unknown parameter `{head}` of {found.name}"
        yield Mistake(Code.UNKNOWN_PARAMETER, message, (), key=True, help=_nearest_parameter(head, found))
        return
    for index, value in enumerate(values):
        for inner, nested in nested_values(value, (index,)):
            for mistake in _check_nested(nested, facts, packages):
                yield Mistake(mistake.code, mistake.message, (*inner, *mistake.path), mistake.key, mistake.help)
        if head in found.parameters:
            yield from _check_value(head, value, (index,), found, facts)


def _owner_of(name: str, call: Any, facts: Mapping[str, ClassFacts]) -> tuple[ClassFacts | None, str]:
    """Return the class that takes a parameter such as `step__alpha`, if that can be told, and its name there."""
    head, below, rest = name.partition("__")
    if below:
        params = call.get("params") or {}
        inner = {**_steps_of(call), **{key: value for key, value in params.items() if nested_class(value)}}
        if head in inner:
            return _owner_of(rest, inner[head], facts)
        owner = facts.get(call["class"])
        if owner is not None and head in owner.parameters:  # the estimator that the class takes by default
            return None, name
    owner = facts.get(nested_class(call) or "")
    return (None if owner is None or owner.error is not None else owner), head


def _steps_of(call: Any) -> dict[str, Any]:
    """Return the named estimators in the parameters of a nested estimator."""
    params = call.get("params")
    lists = [params.get(key) for key in _NAMED_ESTIMATORS] if isinstance(params, dict) else []
    items = [item for items in lists if isinstance(items, list) for item in items]
    return {item[0]: item[1] for item in items if isinstance(item, list) and len(item) > 1 and isinstance(item[0], str)}


def _below_nested(key: str, params: Mapping[str, Any], owner: ClassFacts) -> str | None:
    """Say where a parameter such as `estimator__alpha` stands."""
    head, below, rest = key.partition("__")
    inner_values = {**_steps_of({"params": params}), **params}
    if not below or head not in owner.parameters.keys() | inner_values.keys():
        return None
    inner = nested_class(inner_values.get(head))
    where = f"`{head}: {{class: {inner or '…'}, params: {{{rest}: …}}}}`"
    return f"a parameter of a nested estimator stands below that estimator: {where}"


def _nearest_parameter(key: str, owner: ClassFacts) -> str | None:
    near = nearest(key, owner.parameters)
    if near is None:
        return did_you_mean(key, list(owner.parameters))
    words = owner.parameters[near].text()
    return f"did you mean `{near}`?" + (f" ({words})" if words else "")


def _takes(parameter: Parameter) -> str | None:
    return f"it takes {parameter.text()}" if parameter.text() else None


def _as_class(written: Any) -> str:
    near = nearest(written, sklearn_names()) if isinstance(written, str) else None
    return f"write {{class: {near or '…'}}}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return repr(value)
        case _:
            return kind_of(value) if nested_class(value) is None else "an estimator"


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
