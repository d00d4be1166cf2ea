"""Replace `${var:NAME}` and `${env:NAME}` in the values of a document.

Variables are replaced at once. Environment values are replaced at once too, except in texts that go to Spark
as they are (a source's path and options, `where`): those keep the reference until the moment they are used, so
that a password never enters a plan, a manifest or a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelfactory.project.positions import KeyPath

_REFERENCE = re.compile(r"\$\{(var|env):([A-Za-z_][A-Za-z0-9_.-]*)(?::-([^}]*))?\}")
_FAMILY = r"(?:families/\d+/|defaults/|)"  # of a family, a project's defaults, a folder's defaults
_JINJA = re.compile(rf"{_FAMILY}sql")
_LATE = re.compile(rf"{_FAMILY}where|sources/\d+/(?:path|table|format|options/.*)")


@dataclass(frozen=True, slots=True)
class UnknownReference:
    """A reference to a variable that is not set."""

    path: KeyPath
    kind: str
    name: str


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
    unknown: list[UnknownReference] = []

    def walk(value: Any, path: KeyPath) -> Any:
        match value:
            case dict():
                return {key: walk(item, (*path, key)) for key, item in value.items()}
            case list():
                return [walk(item, (*path, index)) for index, item in enumerate(value)]
            case str() if "${" in value and not _JINJA.fullmatch(place := "/".join(map(str, path))):
                late = _LATE.fullmatch(place) is not None
                return _replace(
                    value,
                    variables,
                    environ,
                    late=late,
                    report=lambda k, n: unknown.append(UnknownReference(path, k, n)),
                )
            case _:
                return value

    return walk(data, ()), unknown


def resolve_environment(text: str, environ: Mapping[str, str]) -> str:
    """Put the environment's values into a text that has kept its references until now."""
    return str(_replace(text, {}, environ, late=False, report=lambda _kind, _name: None))


def hide_environment(said: str, written: str, environ: Mapping[str, str]) -> str:
    """Put the references back into what somebody said about a text with the environment's values in it.

    Args:
        said: a message, perhaps with values.
        written: the text with its references.
        environ: the environment.
    """
    for name in environment_names(written):
        if environ.get(name):
            said = said.replace(environ[name], f"${{env:{name}}}")
    return said


def environment_names(text: str) -> set[str]:
    """Return the names of the environment variables that a text refers to."""
    return {name for kind, name, _ in _REFERENCE.findall(text) if kind == "env"}


def _replace(
    text: str,
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    late: bool,
    report: Callable[[str, str], None],
) -> Any:
    def value_of(found: re.Match[str]) -> Any:
        kind, name, default = found.groups()
        known: Mapping[str, Any] = variables if kind == "var" else environ
        if name not in known and default is None:
            report(kind, name)
            return found[0]
        if kind == "env" and late:
            return found[0]
        value = known.get(name, default)
        if kind == "var" and isinstance(value, str) and "${env:" in value:  # a variable may refer to the environment
            return _replace(value, {}, environ, late=late, report=report)
        return value

    whole = _REFERENCE.fullmatch(text)
    if whole:
        return value_of(whole)
    return _REFERENCE.sub(lambda found: _text(value_of(found)), text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
