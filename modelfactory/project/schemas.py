"""JSON Schemas of the project files, for editors: draft-07, which the editors of YAML and of TOML both understand.

They are made of the specs and of what is known of scikit-learn's classes, and describe what is written: short forms,
`${var:…}` in place of every value, a family whose other keys are inherited. What no schema can say, such as a column
that is not there, is left to `mf parse`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from modelfactory.project.alternatives import REFERENCE, Schema, alternatives
from modelfactory.project.class_schemas import (
    CLASS_NAME,
    DOTTED_PATH,
    PARAMETERS,
    TRANSFORMER_NAME,
    VALUE,
    class_definitions,
)
from modelfactory.project.classes import ClassFacts
from modelfactory.project.specs import (
    ARGUMENT_FORMAT,
    CLASS_FORMAT,
    FamiliesFileSpec,
    FamilySpec,
    ProfilesSpec,
    ProjectSpec,
    SourceSpec,
)

DRAFT = "http://json-schema.org/draft-07/schema#"
SCHEMAS: Mapping[str, str] = {
    "project": "The project file: mf_project.yml or mf_project.toml.",
    "profiles": "profiles.yml or profiles.toml.",
    "sources": "A file of sources.",
    "families": "A file of families.",
    "defaults": "A file _defaults.yml or _defaults.toml: family keys for all families in its folder and below.",
}
"""The schemas by name, and the files they are of."""
_DEFINITIONS = "#/definitions/"


def schemas(facts: Mapping[str, ClassFacts], comment: str) -> dict[str, Schema]:
    """Return a JSON Schema for each kind of project file, by the names of `SCHEMAS`.

    Args:
        facts: what is known of scikit-learn's classes, by their bare names.
        comment: what the schemas say of their origin.
    """
    definitions = _definitions(facts)
    return {name: _document(name, definitions, comment) for name in SCHEMAS}


def one_schema(documents: Mapping[str, Schema]) -> Schema:
    """Put several schemas into one document: `#/definitions/NAME` is the schema of that name."""
    definitions: dict[str, Schema] = {}
    for name, document in documents.items():
        definitions |= document["definitions"]
        definitions[name] = {key: value for key, value in document.items() if key not in _OF_DOCUMENTS}
    (comment,) = {document["$comment"] for document in documents.values()}
    return {
        "$schema": DRAFT,
        "$id": "urn:modelfactory:schema",
        "$comment": comment,
        "title": "Project files of mf",
        "definitions": dict(sorted(definitions.items())),
    }


_OF_DOCUMENTS = ("$schema", "$id", "$comment", "definitions")


def _document(name: str, definitions: Mapping[str, Schema], comment: str) -> Schema:
    root = definitions[name]
    return {
        "$schema": DRAFT,
        "$id": f"urn:modelfactory:schema:{name}",
        "$comment": comment,
        **root,
        "title": f"mf {name}",
        "description": SCHEMAS[name],
        "definitions": {used: definitions[used] for used in sorted(_used(root, definitions))},
    }


def _used(schema: Any, definitions: Mapping[str, Schema]) -> set[str]:
    """Return the names of the definitions that a schema refers to, by way of others too."""
    found: set[str] = set()
    ahead = list(_references(schema))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _references(definitions[name])
    return found


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case {"$ref": str(reference)}:
            yield reference.removeprefix(_DEFINITIONS)
        case dict():
            for value in schema.values():
                yield from _references(value)
        case list():
            for value in schema:
                yield from _references(value)


def _definitions(facts: Mapping[str, ClassFacts]) -> dict[str, Schema]:
    """Return the schema of each kind of file, and all they refer to."""
    written = _Written()
    family = written.mapping("Family")
    named = {"type": "array", "items": {"type": "object", "required": ["name"]}}
    files = written.mapping("FamiliesFile")["properties"]
    families = {**files["families"], "type": "array", "items": _to("Family")}
    sources = {**files["sources"], "type": "array", "items": _to("Source")}
    defaults = _without(family, "name")
    project = written.mapping("Project")
    return {
        **class_definitions(facts, _untold(written.mapping("Estimator"))),
        "Family": {**family, "required": ["name"]},  # the other keys may be inherited
        "Source": written.mapping("Source"),
        "Defaults": defaults,
        "project": {**project, "properties": {**project["properties"], "defaults": _to("Defaults")}},
        "profiles": written.mapping("Profiles"),
        "sources": _file(sources=sources, families={**files["families"], **named}),
        "families": _file(families=families, sources=sources, moved=files["moved"]),
        "defaults": defaults,
    }


def _to(name: str) -> Schema:
    return {"$ref": f"{_DEFINITIONS}{name}"}


def _file(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _without(family: Schema, name: str) -> Schema:
    """Return the schema of family keys that need not be whole."""
    kept = {key: value for key, value in family.items() if key not in ("required", "allOf")}
    return {**kept, "properties": {key: value for key, value in family["properties"].items() if key != name}}


class _Written:
    """Turns Pydantic's schemas of the specs into schemas of what is written."""

    def __init__(self) -> None:
        specs = (ProjectSpec, ProfilesSpec, FamiliesFileSpec, FamilySpec, SourceSpec)
        _, found = models_json_schema([(spec, "validation") for spec in specs], ref_template="{model}")
        self._specs: dict[str, Schema] = found["$defs"]

    def mapping(self, name: str) -> Schema:
        """Return the schema of a mapping by the name of its spec, without `Spec`."""
        spec = self._specs[f"{name}Spec"]
        schema = {
            **spec,
            "title": name,
            "properties": {key: self._value(value) for key, value in spec["properties"].items()},
        }
        if "class" in schema["properties"]:
            schema["properties"]["params"]["additionalProperties"] = VALUE
            schema["allOf"] = [PARAMETERS]
        return _replaced(schema, CLASS_NAME, TRANSFORMER_NAME) if name == "Preprocess" else schema

    def _value(self, schema: Schema) -> Schema:
        if schema.get("format") == ARGUMENT_FORMAT:
            return VALUE
        whole = {key: schema[key] for key in _OF_WHOLE if schema.get(key) is not None}
        return {**whole, **alternatives([*self._forms(schema), REFERENCE])}

    def _forms(self, schema: Schema) -> Iterator[Schema]:
        """Yield the forms of a value, references to other specs put in."""
        match schema:
            case {"anyOf": list(forms)}:
                for form in forms:
                    yield from self._forms(form)
            case {"$ref": str(name)}:
                yield _untold(self.mapping(name.removesuffix("Spec")))
            case {"const": value}:  # the only one of its kind
                yield {"enum": [value]}
            case {"format": str(kind)} if kind == CLASS_FORMAT:
                yield from (CLASS_NAME, DOTTED_PATH)
            case _:
                inner = {key: self._value(schema[key]) for key in _OF_VALUES if isinstance(schema.get(key), dict)}
                yield {**_untold(schema), **inner}


_OF_WHOLE = ("description", "default", "minItems")
"""What is said of a value beside its forms."""
_OF_VALUES = ("items", "additionalProperties")


def _untold(schema: Schema) -> Schema:
    """Leave out what a schema says to people."""
    return {key: value for key, value in schema.items() if key not in ("title", "description", "default")}


def _replaced(schema: Any, old: Any, new: Any) -> Any:
    """Return a schema with one of its parts replaced wherever it stands."""
    if schema == old:
        return new
    match schema:
        case dict():
            return {key: _replaced(value, old, new) for key, value in schema.items()}
        case list():
            return [_replaced(value, old, new) for value in schema]
        case _:
            return schema
