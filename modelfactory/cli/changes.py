"""Values that differ, for a terminal and in Markdown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from modelfactory.cli.tables import plain
from modelfactory.commands.review import ReviewedChange
from modelfactory.diagnostics import Place
from modelfactory.plan.meaning import MISSING


def append_change(text: Text, change: ReviewedChange, width: int) -> None:
    """Add a change to a text for a terminal, its path as wide as those above and below."""
    text.append(f"    {change.path:<{width}}")
    if _is_long(change):
        text.append(_place_of(change), style="dim")
        for line in _unified(change):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            text.append("\n      ").append(line, style=style)
    else:
        text.append(f"  {_told(change)}").append(_place_of(change), style="dim")
    text.append("\n")


def _told(change: ReviewedChange) -> str:
    old, new = value_of(change, change.old), value_of(change, change.new)
    if change.old is MISSING and change.new is MISSING:
        return "has another value"
    if change.old is MISSING and old == MISSING.value:
        return f"{new}, added"
    if change.new is MISSING and new == MISSING.value:
        return f"{old}, removed"
    return f"{old} → {new}"


def _place_of(change: ReviewedChange) -> str:
    place = change.new_at or change.old_at
    return f"  ({shown_at(place)})" if place else ""


def markdown_changes(changes: Sequence[ReviewedChange]) -> list[str]:
    """Write changes in lines of Markdown: a table, and a diff for each that takes several lines."""
    short = [change for change in changes if not _is_long(change)]
    lines = []
    if short:
        columns = ("value", "was", "is", "asks for", "at")
        lines += [row(*columns), row(*["---"] * len(columns))]
        for c in short:
            values = [as_code(value_of(c, value)) for value in (c.old, c.new)]
            lines.append(row(as_code(c.path), *values, str(c.kind), as_code(shown_at(c.new_at or c.old_at))))
    for change in changes:
        if _is_long(change):
            told = _unified(change)
            fence = "`" * max([3, *(len(run) + 1 for line in told for run in re.findall("`+", line))])
            lines += [
                *([""] if lines else []),
                f"{as_code(change.path)}, {change.kind}:",
                "",
                f"{fence}diff",
                *told,
                fence,
            ]
    return lines


def _is_long(change: ReviewedChange) -> bool:
    return any(isinstance(value, str) and "\n" in value.strip() for value in (change.old, change.new))


def _unified(change: ReviewedChange) -> list[str]:
    """Return the lines of two texts that differ, with some around them."""
    return list(difflib.unified_diff(_lines(change.old), _lines(change.new), lineterm="", n=3))[2:]


def _lines(value: Any) -> Sequence[str]:
    return [] if value is MISSING else printable(str(value)).strip("\n").split("\n")


def value_of(change: ReviewedChange, value: Any) -> str:
    """Write one side of a change; a parameter that is not given has the default of its class."""
    if value is MISSING:
        return "default" if ".params." in change.path else str(MISSING.value)
    return printable(plain(value))


def as_code(text: str | None) -> str:
    """Write a text as code in a cell of a table, whatever is in it: code holds no links, mentions or HTML."""
    if not text:
        return ""
    shown = " ".join(printable(text).split()).replace("|", "\\|")
    runs = [len(run) for run in re.findall("`+", shown)]
    if not runs:
        return f"`{shown}`"
    fence = "`" * (max(runs) + 1)
    return f"{fence} {shown} {fence}"


def printable(text: str) -> str:
    """Take control characters out of a text: a terminal would obey them."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def row(*cells: str) -> str:
    """Write a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def as_cell(text: str | None) -> str:
    """Write a text of our own words in a cell of a table."""
    return "" if text is None else " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def shown_at(place: Place | None) -> str | None:
    """Write a place as `file:line`."""
    return None if place is None else place.shown
