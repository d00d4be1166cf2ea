"""A review as text for a terminal, Markdown for a pull request, JSON for programs, and annotations of GitHub."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from modelfactory.cli.diagnosing import annotation
from modelfactory.cli.tables import number, plain
from modelfactory.commands.review import FamilyReview, Review, ReviewedChange, Trained
from modelfactory.diagnostics import Place, counted
from modelfactory.plan.meaning import MISSING, ChangeKind

SCHEMA = 1
"""Number of the JSON form; it rises when a key changes its meaning or goes."""
MOST_OPEN = 5
"""Families whose changes a comment shows unfolded."""
_MARKS = {"added": "+", "removed": "-", "renamed": "»", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "renamed": "cyan", "changed": "yellow"}
_MEANS = {
    ChangeKind.BREAKING: "whoever uses the models has to change too",
    ChangeKind.RETRAIN: "other models",
    ChangeKind.RETEST: "the same models, other demands on them",
    ChangeKind.METADATA: "nothing is trained",
}


def review_text(review: Review) -> Text:
    """Write a review for a terminal."""
    text = Text(f"{review.project}: {review.base} → {review.head}\n", style="bold")
    for family in review.families:
        text.append("\n")
        text.append(f"{_MARKS[family.change]} {_title(family)}", style=_STYLES[family.change])
        text.append(f"  {_what(family)}", style="bold")
        text.append(f"  {'  '.join(part for part in (_at(family.at), family.owner) if part)}\n", style="dim")
        width = max((len(change.path) for change in family.changes), default=0)
        for change in family.changes:
            for line in _change_lines(change, width):
                text.append(f"    {line}\n")
        for note in _notes(family):
            text.append(f"    {note}\n", style="dim")
    if review.families:
        text.append("\n+ new  ~ changed  » renamed  - removed\n", style="dim")
    text.append(f"\nDiff: {_summary(review)}.", style="bold")
    return text


def review_markdown(review: Review) -> str:
    """Write a review as the comment of a pull request."""
    lines = [
        f"### `{review.project}`: model definitions, `{review.base}` → `{review.head}`",
        "",
        f"{_summary(review)}.",
    ]
    if review.families:
        lines += ["", "| family | change | owner | declared at | trained |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {_code(_title(f))} | {_MARKS[f.change]} **{_what(f)}** | {_cell(f.owner)} | {_code(_at(f.at))} | "
            f"{_cell(_trained(f.trained) if f.trained else None)} |"
            for f in review.families
        ]
    for index, family in enumerate(review.families):
        changes, notes = _markdown_changes(family), [f"- {note}" for note in _notes(family, trained=False)]
        details = [*changes, *([""] if changes and notes else []), *notes]
        if details:
            opened = " open" if index < MOST_OPEN else ""
            title = f"<code>{_title(family)}</code>: {_what(family)}"
            lines += ["", f"<details{opened}><summary>{title}</summary>", "", *details, "", "</details>"]
    kinds = [kind for kind in ChangeKind if any(change.kind == kind for f in review.families for change in f.changes)]
    if kinds:
        lines += ["", "<sub>" + "; ".join(f"<b>{kind}</b>: {_MEANS[kind]}" for kind in kinds) + "</sub>"]
    return "\n".join(lines) + "\n"


def review_json(review: Review) -> str:
    """Write a review as a JSON document."""
    document = {
        "schema": SCHEMA,
        "project": review.project,
        "base": review.base,
        "head": review.head,
        "summary": {str(kind): review.count(kind) for kind in ChangeKind} | {"unchanged": review.unchanged},
        "families": [_plain_family(family) for family in review.families],
        "base_errors": [mistake.message for mistake in review.base_mistakes],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"


def review_annotations(review: Review) -> str:
    """Write an annotation of GitHub for every value that differs, and for families that came or went."""
    lines = []
    for family in review.families:
        level = "warning" if family.kind == ChangeKind.BREAKING else "notice"
        title = f"{_what(family)}: {_title(family)}"
        if not family.changes:
            lines.append(annotation(level, family.at, title, f"{_MARKS[family.change]} {_title(family)}"))
        for change in family.changes:
            said = f"{change.path}: {_value(change, change.old)} → {_value(change, change.new)}"
            lines.append(annotation(level, change.new_at or family.at, title, said))
    return "".join(f"{line}\n" for line in lines)


# Parts ---------------------------------------------------------------------------------------------------------------


def _title(family: FamilyReview) -> str:
    return f"{family.former} → {family.name}" if family.former else family.name


def _what(family: FamilyReview) -> str:
    match family.change:
        case "added":
            return "new"
        case "removed":
            return "removed"
        case "renamed":
            return f"renamed, {family.kind}" if family.kind else "renamed"
        case _:
            return str(family.kind)


def _summary(review: Review) -> str:
    words = {"added": "new", "changed": "changed", "renamed": "renamed", "removed": "removed"}
    parts = []
    for change, word in words.items():
        families = [family for family in review.families if family.change == change]
        kinds = [(sum(f.kind == kind for f in families), kind) for kind in ChangeKind]
        told = ", ".join(f"{n} {kind}" for n, kind in kinds if n) if change in ("changed", "renamed") else ""
        if families:
            parts.append(f"{len(families)} {word}" + (f" ({told})" if told else ""))
    parts.append(f"{review.unchanged} unchanged")
    return ", ".join(parts)


def _notes(family: FamilyReview, *, trained: bool = True) -> Iterator[str]:
    if family.change == "renamed":
        yield f"keeps the versions of {family.former}"
    if family.like and family.change == "added":
        yield (
            f"means the same as {family.like}, which is removed; "
            f"`moved: [{{from: {family.like}, to: {family.name}}}]` would keep its versions"
        )
    if family.change == "removed" and not family.like:
        yield "its versions stay in the store"
    if family.parents_changed:
        yield "a family that it reads has another definition"
    if family.dependents:
        yield f"touches {', '.join(family.dependents)}"
    if trained and family.trained:
        yield _trained(family.trained)


def _trained(trained: Trained) -> str:
    metrics = "".join(f", {name} {number(value)}" for name, value in trained.metrics.items())
    cost = f"{trained.cpu_seconds:.1f} s to fit"
    if trained.expected_cpu_seconds is not None:
        cost += f", about {trained.expected_cpu_seconds:.1f} s with this change"
    return f"v{trained.version}: {trained.models:,} models of {counted(trained.groups, 'group')}{metrics}; {cost}"


def _change_lines(change: ReviewedChange, width: int) -> list[str]:
    place = change.new_at or change.old_at
    at = f"  ({_at(place)})" if place else ""
    if _is_long(change):
        return [f"{change.path:<{width}}{at}", *(f"  {line}" for line in _unified(change))]
    if change.old is MISSING and change.new is MISSING:
        return [f"{change.path:<{width}}  has another value{at}"]
    return [f"{change.path:<{width}}  {_value(change, change.old)} → {_value(change, change.new)}{at}"]


def _markdown_changes(family: FamilyReview) -> list[str]:
    short = [change for change in family.changes if not _is_long(change)]
    lines = []
    if short:
        lines += ["| value | was | is | asks for | at |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {_code(c.path)} | {_code(_value(c, c.old))} | {_code(_value(c, c.new))} | {c.kind} | "
            f"{_code(_at(c.new_at or c.old_at))} |"
            for c in short
        ]
    for change in family.changes:
        if _is_long(change):
            told = _unified(change)
            fence = "`" * max(3, *(len(run) + 1 for line in told for run in re.findall("`+", line)), 3)
            lines += [
                *([""] if lines else []),
                f"{_code(change.path)}, {change.kind}:",
                "",
                f"{fence}diff",
                *told,
                fence,
            ]
    return lines


def _plain_family(family: FamilyReview) -> dict[str, Any]:
    trained = family.trained
    return {
        "name": family.name,
        "former_name": family.former,
        "change": family.change,
        "kind": None if family.kind is None else str(family.kind),
        "changes": [
            {
                "path": change.path,
                **{key: value for key, value in (("old", change.old), ("new", change.new)) if value is not MISSING},
                "kind": str(change.kind),
                "old_at": _at(change.old_at),
                "new_at": _at(change.new_at),
            }
            for change in family.changes
        ],
        "parents_changed": family.parents_changed,
        "like": family.like,
        "owner": family.owner,
        "at": _at(family.at),
        "dependents": list(family.dependents),
        "trained": None
        if trained is None
        else {
            "version": trained.version,
            "groups": trained.groups,
            "models": trained.models,
            "metrics": dict(trained.metrics),
            "cpu_seconds": trained.cpu_seconds,
            "expected_cpu_seconds": trained.expected_cpu_seconds,
        },
    }


def _at(place: Place | None) -> str | None:
    return None if place is None else place.shown


def _is_long(change: ReviewedChange) -> bool:
    return any(isinstance(value, str) and "\n" in value.strip() for value in (change.old, change.new))


def _unified(change: ReviewedChange) -> list[str]:
    """Return the lines of two texts that differ, with some around them."""
    return list(difflib.unified_diff(_lines(change.old), _lines(change.new), lineterm="", n=3))[2:]


def _lines(value: Any) -> Sequence[str]:
    return [] if value is MISSING else str(value).strip("\n").split("\n")


def _value(change: ReviewedChange, value: Any) -> str:
    """Write one side of a change; a parameter that is not given has the default of its class."""
    if value is MISSING:
        return "default" if ".params." in change.path else str(MISSING.value)
    return plain(value)


def _code(text: str | None) -> str:
    """Write a text as code in a cell of a table, whatever is in it."""
    if not text:
        return ""
    shown = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def _cell(text: str | None) -> str:
    return "" if text is None else " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
