"""Find a line of a query in the file that holds it: a file of its own, or a text inside YAML or TOML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from modelfactory.diagnostics import Place, Position
from modelfactory.project.loading import Family


def place_in_query(family: Family, root: Path, line: int, word: str | None) -> Place | None:
    """Return the place of a line of a family's query, or None where a text is not written as it is read.

    Args:
        family: a family with a query.
        root: the project folder.
        line: number of the line inside the query, from 1.
        word: what to point at in the line; the whole line if None.
    """
    query = (family.query or "").split("\n")
    if family.spec.sql_file is not None:
        position, text = _in_line(query[line - 1], query[line - 1], line, word)
        return Place(file=family.spec.sql_file, path=root / family.spec.sql_file, position=position, source_line=text)
    origin = family.origins["sql"][0]
    first, written = origin.place.position, origin.document.text.split("\n")
    number = None if first is None else _line_of(query, line, written, first.line)
    if number is None and first is not None and word:  # lines that YAML has joined
        holding = [n for n, text in enumerate(written, start=1) if n >= first.line and _found(text, word)]
        number = holding[0] if len(holding) == 1 else None
    if number is None:
        return None
    position, text = _in_line(written[number - 1], query[line - 1], number, word)
    return Place(file=origin.document.name, path=origin.document.file, position=position, source_line=text)


def _line_of(query: Sequence[str], line: int, written: Sequence[str], first: int) -> int | None:
    """Return the number of the line in the file: of equal lines, as many stand before it as in the query."""
    wanted = query[line - 1].strip()
    nth = sum(text.strip() == wanted for text in query[: line - 1])
    if not wanted:
        return None
    found = [number for number, text in enumerate(written, start=1) if number >= first and wanted in text]
    return found[nth] if nth < len(found) else None


def _in_line(text: str, part: str, number: int, word: str | None) -> tuple[Position, str]:
    """Return the place of a word in a line, else of that part of it which is the query."""
    text, part = text.rstrip("\r"), part.strip()
    found = _found(text, word) if word else None
    start, length = (found.start(), found.end() - found.start()) if found else (text.find(part), len(part))
    return Position(number, start + 1, max(length, 1)), text


def _found(text: str, word: str) -> re.Match[str] | None:
    quoted = re.search(rf"(?<=['\"]){re.escape(word)}(?=['\"])", text)
    return quoted or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
