"""JSON Schemas of values that may be written in several forms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

Schema = dict[str, Any]

REFERENCE: Schema = {
    "type": "string",
    "pattern": r"\$\{(var|env):[^}]+\}",
    "patternErrorMessage": "Text may stand here only if it holds ${var:NAME} or ${env:NAME}.",
}
"""A text that holds a reference: what becomes of it, only the project's check can tell."""
_NESTING = ("properties", "required", "additionalProperties", "allOf", "items", "minItems")
"""Keywords that bind mappings and lists only."""


def alternatives(forms: Iterable[Schema]) -> Schema:
    """Return the schema of a value that may have any of several forms.

    Forms of different types become one schema of several types, since a keyword binds the values of its own type only.
    A mistake inside a mapping is then reported where it stands; with `anyOf` many an editor says no more of the
    whole mapping than that it fits none of the alternatives.

    Args:
        forms: schemas with a `type`, or with an `enum` or `$ref`; one without any of them takes every value. One of
            them may be a mapping, and one a list.
    """
    listed, typed, text = list[Schema](), list[Schema](), list[Schema]()
    for form in _unique(forms):
        if not form.keys() & {"type", "enum", "$ref"}:
            return {}
        if form.keys() & {"enum", "$ref"}:
            listed.append(form)
        elif form["type"] == "string":
            text.append(form)
        else:
            typed.append(form)
    merged = _merged([*typed, *([_text(text)] if text else [])])
    if not listed and len(merged) == 1:
        return merged[0]
    nesting = {key: value for schema in merged for key, value in schema.items() if key in _NESTING}
    flat = [{key: value for key, value in schema.items() if key not in _NESTING} for schema in merged]
    return {**nesting, "anyOf": [*_one_enum(listed), *flat]}


def _text(forms: Sequence[Schema]) -> Schema:
    """Return what any of several texts is: without a pattern, if one of them has none."""
    free = [form for form in forms if "pattern" not in form]
    if free or len(forms) == 1:
        return (free or forms)[0]
    return {"type": "string", "pattern": "|".join(form["pattern"] for form in forms)}


def _merged(forms: Iterable[Schema]) -> list[Schema]:
    """Put schemas of different types together; those of the same type stay apart."""
    found: list[Schema] = []
    for form in forms:
        into = next((known for known in found if not _types(known) & _types(form)), None)
        if into is None:
            found.append({**form})
        else:
            types = [*_listed(into["type"]), *_listed(form["type"])]
            into.update({**form, "type": types})
    return found


def _types(schema: Schema) -> set[str]:
    return {"number" if name == "integer" else name for name in _listed(schema["type"])}


def _listed(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def _one_enum(forms: Iterable[Schema]) -> list[Schema]:
    """Put the values of all enumerations into one."""
    values = [value for form in forms for value in form.get("enum", ())]
    references = [form for form in forms if "$ref" in form]
    return [*references, *([{"enum": _unique(values)}] if values else [])]


def _unique(values: Iterable[Any]) -> list[Any]:
    """Leave out what stands there before; to JSON, unlike to Python, true is not 1."""
    return list({json.dumps(value): value for value in values}.values())
