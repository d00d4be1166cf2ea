"""Replace `${var:NAME}` and `${env:NAME}` in the values of a document.

Variables are replaced at once. Environment values are replaced at once too, except in texts that go to Spark
or to a database as they are (a source's path and options, `where`, the query of a test): those keep the reference until
the moment they are used, so that a password never enters a plan, a manifest or a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelfactory.diagnostics import hide
from modelfactory.project.positions import KeyPath

_REFERENCE = re.compile(r"\$\{(var|env):([A-Za-z_][A-Za-z0-9_.-]*)(?::-([^}]*))?\}")
_CALL = re.compile(r"""\bvar\s*\(\s*(?:["']([^"']*)["']\s*[,)])?""")
_FAMILY = r"(?:families/\d+/|defaults/|)"  # of a family, a project's defaults, a folder's defaults
_JINJA = re.compile(rf"{_FAMILY}sql")
_LATE = re.compile(rf"{_FAMILY}(?:where|tests/\d+/sql/query)|sources/\d+/(?:path|table|format|options/.*)")


@dataclass(frozen=True, slots=True)
class UnknownReference:
    """A reference to a variable that is not set."""

    path: KeyPath
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that was followed.

    Attributes:
        kind: `var` or `env`.
        name: of the variable.
        by_default: whether the variable is not set, so that the reference's own default stands in.
    """

    kind: str
    name: str
    by_default: bool


def substitute(
    data: Mapping[str, Any], variables: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[UnknownReference]]:
    """Replace the references in all values of a document.

    A value that is one whole reference takes the variable's own type; a reference inside a longer text is
    replaced by its text.

    Args:
        data: a document's data.
        variables: values of `${var:…}`.
        environ: values of `${env:…}`.

    Returns:
        The new data, and the references that name nothing.
    """
    replacing = _Replacing(variables, environ)
    return replacing.in_value(data, ()), replacing.unknown


def substituted(value: Any, variables: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    """Replace the references in one value that was found right before."""
    inside = ("",)  # no key of a family, or a `sql` in its `meta` would be taken for a query
    return _Replacing(variables, environ).in_value(value, inside)


def resolve_variables(data: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the variables in a family's definition; references to the environment stay as they are written."""
    replaced: dict[str, Any] = _Replacing(variables, None).in_value(dict(data), ())
    return replaced


def resolve_environment(text: str, environ: Mapping[str, str]) -> str:
    """Put the environment's values into a text that has kept its references until now."""
    return str(_Replacing({}, environ).in_text(text, (), keep=False))


def hide_environment(said: str, written: str, environ: Mapping[str, str]) -> str:
    """Put the references back into what somebody said about a text with the environment's values in it.

    Args:
        said: a message, perhaps with values.
        written: the text with its references.
        environ: the environment.
    """
    shown_as = {environ[name]: f"${{env:{name}}}" for name in environment_names(written) if environ.get(name)}
    return hide(said, shown_as)


def follow(text: str, variables: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Any, tuple[Reference, ...]]:
    """Replace the references in a text, and tell which they were.

    Args:
        text: a value as written.
        variables: values of `${var:…}`.
        environ: the environment; of what is set there the reference stays, without its default.

    Returns:
        The value, and the references in the order in which they were met: those in a variable behind that to it.
    """
    replacing = _Replacing(variables, references_to(environ))
    return replacing.in_text(text, (), keep=False), tuple(replacing.followed)


def references_to(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which each value is a reference to itself: what is replaced by it tells no secret."""
    return {name: f"${{env:{name}}}" for name in environ}


def environment_names(text: str) -> set[str]:
    """Return the names of the environment variables that a text refers to."""
    return {name for kind, name, _ in _REFERENCE.findall(text) if kind == "env"}


def used_variables(texts: Iterable[str]) -> set[str] | None:
    """Return the names of the variables that texts and templates refer to; None if a template works one out."""
    used: set[str] = set()
    for text in texts:
        used |= {name for kind, name, _ in _REFERENCE.findall(text) if kind == "var"}
        for literal in _CALL.findall(text):
            if not literal:
                return None
            used.add(literal)
    return used


@dataclass(slots=True)
class _Replacing:
    """One pass over a value; gathers the references.

    Attributes:
        variables: values of `${var:…}`.
        environ: values of `${env:…}`; None to keep all references to the environment.
        unknown: what was not found.
        followed: what was found.
    """

    variables: Mapping[str, Any]
    environ: Mapping[str, str] | None
    unknown: list[UnknownReference] = field(default_factory=list)
    followed: list[Reference] = field(default_factory=list)

    def in_value(self, value: Any, path: KeyPath) -> Any:
        match value:
            case dict():
                return {key: self.in_value(item, (*path, key)) for key, item in value.items()}
            case list():
                return [self.in_value(item, (*path, index)) for index, item in enumerate(value)]
            case str() if "${" in value and not _JINJA.fullmatch(place := "/".join(map(str, path))):
                return self.in_text(value, path, keep=_LATE.fullmatch(place) is not None)
            case _:
                return value

    def in_text(self, text: str, path: KeyPath, *, keep: bool, above: tuple[str, ...] = ()) -> Any:
        """Replace references; a variable may hold references of its own, but not to what it is part of."""

        def value_of(found: re.Match[str]) -> Any:
            kind, name, default = found.groups()
            environ = self.environ or {}
            known: Mapping[str, Any] = self.variables if kind == "var" else environ
            if kind == "env" and self.environ is None:
                return found[0]
            if (name not in known and default is None) or (kind == "var" and name in above):
                self.unknown.append(UnknownReference(path, kind, name))
                return found[0]
            if kind == "env" and keep:
                return found[0]
            self.followed.append(Reference(kind, name, by_default=name not in known))
            value = known.get(name, default)
            if kind == "var" and isinstance(value, str) and "${" in value:
                return self.in_text(value, path, keep=keep, above=(*above, name))
            return value

        whole = _REFERENCE.fullmatch(text)
        return value_of(whole) if whole else _REFERENCE.sub(lambda found: as_text(value_of(found)), text)


def as_text(value: object) -> str:
    """Write a value as YAML and TOML do: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
