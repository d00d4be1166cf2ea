"""Say Pydantic's errors in the user's words."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelfactory.diagnostics import Code, did_you_mean, nearest
from modelfactory.project.classes import Mistake
from modelfactory.project.files import kind_of
from modelfactory.project.positions import KeyPath
from modelfactory.project.spec_types import Spec


def check_key(spec: type[Spec], key: str, value: Any) -> list[Mistake]:
    """Return what is wrong with the value of one key of a spec, whatever its other keys hold."""
    if key not in spec.model_fields:
        return [_unknown(spec, (), key)]
    try:
        _adapter(spec, key).validate_python(value)
    except ValidationError as error:
        return explained(spec, error, above=(key,))
    return []


@functools.cache
def _adapter(spec: type[Spec], key: str) -> TypeAdapter[Any]:
    return TypeAdapter(spec.model_fields[key].rebuild_annotation())


def explained(spec: type[Spec], error: ValidationError, *, above: KeyPath = ()) -> list[Mistake]:
    """Return the mistakes behind a validation error.

    Args:
        spec: what the values were validated against.
        error: the error.
        above: path of the value that was validated, inside the spec.
    """
    items = [
        item
        for item in error.errors(include_url=False)
        # The reference is reported already; that it is text where a number belongs is no news.
        if not (isinstance(item["input"], str) and "${" in item["input"])
    ]
    meant = {
        (*item["loc"][:-1], nearest(str(item["loc"][-1]), keys_at(spec, (*above, *item["loc"][:-1]))))
        for item in items
        if item["type"] == "extra_forbidden"
    }
    return [
        _explained(spec, dict(item), (*above, *item["loc"]))
        for item in items
        if not (item["type"] == "missing" and item["loc"] in meant)  # it is there, and misspelt
    ]


def _explained(spec: type[Spec], error: dict[str, Any], path: KeyPath) -> Mistake:
    kind: str = error["type"]
    name, hint = _name(path), None
    if kind == "extra_forbidden":
        return _unknown(spec, path[:-1], str(path[-1]))
    if kind == "missing":
        return Mistake(Code.BAD_VALUE, f"key `{path[-1]}` is missing", path[:-1], True)
    match kind:
        case "value_error":
            message = str(error["ctx"]["error"])
            message = f"{name} {message}" if message.startswith(("must", "needs", "may")) and path else message
            named = [key for key in re.findall(r"`(\w+)`", message) if key in _keys_of(error["input"])]
            if named:  # of keys that do not go together, the last
                return Mistake(Code.BAD_VALUE, message, (*path, named[-1]), True)
        case "literal_error":
            message = f"{name} must be one of {error['ctx']['expected']}"
            hint = _choice(error)
        case "string_pattern_mismatch":
            message = f"{name} may hold letters, digits and underscores only, and not begin with a digit"
        case "too_short" | "string_too_short":
            message = f"{name} must not be empty"
        case _ if kind in _WORDS:
            message = f"{name} must be {_WORDS[kind]}, not {_shown(error['input'])}"
        case _:
            message = f"{name} must be {error['msg'].removeprefix('Input should be ').removeprefix('a valid ')}"
    return Mistake(Code.BAD_VALUE, message, path, help=hint)


def _unknown(spec: type[Spec], path: KeyPath, key: str) -> Mistake:
    """Describe a key that the mapping at `path` may not have."""
    words = {known.keys_are for known in _specs_at(spec, path)}
    word = words.pop() if len(words) == 1 else Spec.keys_are
    return Mistake(Code.UNKNOWN_KEY, f"unknown {word} `{key}`", (*path, key), True, _hint(spec, path, key))


def _keys_of(value: Any) -> Iterable[Any]:
    return value.keys() if isinstance(value, dict) else ()


def _hint(spec: type[Spec], path: KeyPath, key: str) -> str | None:
    """Say what was probably meant by an unknown key: a key that belongs below another one, or a misspelt one."""
    below = [
        field.alias or name
        for known in _specs_at(spec, path)
        for name, field in known.model_fields.items()
        for inner in _specs_in(field.annotation)
        if key in (other.alias or inside for inside, other in inner.model_fields.items())
    ]
    if len(below) > _MOST_BELOW:
        return f"`{key}` belongs below the name of the {_specs_at(spec, path)[0].keys_are}"
    if below:
        return f"`{key}` belongs below {' or '.join(f'`{name}`' for name in below)}"
    return did_you_mean(key, keys_at(spec, path))


_MOST_BELOW = 3
"""Keys below which another one may belong, up to which they are named."""


def _choice(error: dict[str, Any]) -> str | None:
    near = nearest(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return f"did you mean `{near}`?" if near else None


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)


def _name(path: KeyPath) -> str:
    """Name a value by its key, or by its place in a list."""
    if path and isinstance(path[-1], int):
        keys = [part for part in path if isinstance(part, str)]
        return f"item {path[-1] + 1} of `{keys[-1]}`" if keys else f"item {path[-1] + 1}"
    return f"`{path[-1]}`" if path else "it"


_WORDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def keys_at(spec: type[Spec], path: KeyPath) -> list[str]:
    """Return the keys that may stand in the mapping at `path` of a spec."""
    return [field.alias or key for k in _specs_at(spec, path) for key, field in k.model_fields.items()]


def _specs_at(spec: type[Spec], path: KeyPath) -> list[type[Spec]]:
    known: list[type[Spec]] = [spec]
    for name in path:
        if isinstance(name, str):
            found = [s for k in known for s in _specs_of(k, name)]
            known = found or known
    return known


def _specs_of(spec: type[Spec], key: str) -> list[type[Spec]]:
    for name, field in spec.model_fields.items():
        if key in (name, field.alias):
            return _specs_in(field.annotation)
    return []


def _specs_in(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [s for argument in getattr(annotation, "__args__", ()) for s in _specs_in(argument)]
