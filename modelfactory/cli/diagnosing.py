"""Diagnostics as a document for programs: JSON, annotations of GitHub, SARIF."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelfactory import __version__
from modelfactory.cli.options import DiagnosticsFormat
from modelfactory.diagnostics import Code, Diagnostic, Place, Severity
from modelfactory.explanations import EXPLANATIONS

SCHEMA = 1
"""Number of the JSON form; it rises when a key changes its meaning or goes."""


def document(diagnostics: Sequence[Diagnostic], form: DiagnosticsFormat) -> str:
    """Write diagnostics as a document.

    Files in it are named as the user would name them in `json`, and relative to the checkout (`GITHUB_WORKSPACE`, else
    the working folder) in the forms that other systems read.

    Args:
        diagnostics: what was found; may be empty.
        form: `json`, `github` or `sarif`.
    """
    match form:
        case DiagnosticsFormat.GITHUB:
            return "".join(f"{_annotation(diagnostic)}\n" for diagnostic in diagnostics)
        case DiagnosticsFormat.SARIF:
            return json.dumps(_sarif(diagnostics), indent=1, ensure_ascii=False) + "\n"
        case _:
            found = [_plain(diagnostic) for diagnostic in diagnostics]
            return json.dumps({"schema": SCHEMA, "diagnostics": found}, indent=1, ensure_ascii=False) + "\n"


def _plain(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": str(diagnostic.code),
        "severity": str(diagnostic.severity),
        "message": diagnostic.message,
        **_plain_place(diagnostic.place),
        "help": diagnostic.help,
        "related": [{"message": r.message, **_plain_place(r.place)} for r in diagnostic.related],
    }


def _plain_place(place: Place | None) -> dict[str, Any]:
    where = place.position if place else None
    return {
        "file": place.file if place else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "end_column": where.column + where.length if where else None,
    }


def annotation(level: str, place: Place | None, title: str, message: str) -> str:
    """Return a workflow command; GitHub shows it beside the line in the pull request.

    Args:
        level: `error`, `warning` or `notice`.
        place: what it is about.
        title: its first line.
        message: what else it says.
    """
    properties: dict[str, object] = {}
    if place is not None and not _is_option(place):
        properties["file"] = _in_checkout(place)
        if place.position is not None:
            where = place.position
            properties |= {"line": where.line, "col": where.column, "endColumn": where.column + where.length}
    properties["title"] = title
    said = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{level} {said}::{_escaped(message)}"


def _annotation(diagnostic: Diagnostic) -> str:
    lines = [diagnostic.message]
    for related in diagnostic.related:
        named = dataclasses.replace(related.place, file=_in_checkout(related.place))
        lines.append(f"{related.message}: {named.shown}")
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return annotation(str(diagnostic.severity), diagnostic.place, str(diagnostic.code), "\n".join(lines))


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _is_option(place: Place) -> bool:
    """Tell whether a place is in an option's value and in no file."""
    return place.path is None and place.file.startswith("--")


def _in_checkout(place: Place) -> str:
    """Name a file relative to the checkout; a file outside of it by its own name."""
    if place.path is None:
        return place.file
    checkout = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    file = place.path.resolve()
    return file.relative_to(checkout).as_posix() if file.is_relative_to(checkout) else place.file


def _sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """Return a log of SARIF 2.1.0, as code scanning reads it."""
    rules = [_rule(code) for code in sorted({diagnostic.code for diagnostic in diagnostics})]
    driver = {"name": "mf", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(d) for d in diagnostics]}],
    }


def _rule(code: Code) -> dict[str, Any]:
    explanation = EXPLANATIONS[code]
    return {
        "id": str(code),
        "name": code.name.title().replace("_", ""),
        "shortDescription": {"text": explanation.title},
        "fullDescription": {"text": explanation.text},
    }


def _result(diagnostic: Diagnostic) -> dict[str, Any]:
    text = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    result: dict[str, Any] = {
        "ruleId": str(diagnostic.code),
        "level": "error" if diagnostic.severity == Severity.ERROR else "warning",
        "message": {"text": text},
        "locations": [_location(diagnostic.place)] if diagnostic.place and not _is_option(diagnostic.place) else [],
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            {"id": number, **_location(related.place), "message": {"text": related.message}}
            for number, related in enumerate(diagnostic.related)
        ]
    return result


def _location(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"artifactLocation": {"uri": quote(_in_checkout(place))}}
    if place.position is not None:
        where = place.position
        found["region"] = {
            "startLine": where.line,
            "startColumn": where.column,
            "endColumn": where.column + where.length,
        }
    return {"physicalLocation": found}
