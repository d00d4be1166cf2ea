"""A review as text for a terminal, Markdown for a pull request, JSON for programs, and annotations of GitHub."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from modelfactory.cli.changes import (
    append_change,
    as_cell,
    as_code,
    markdown_changes,
    printable,
    row,
    shown_at,
    value_of,
)
from modelfactory.cli.diagnosing import annotation
from modelfactory.cli.tables import number
from modelfactory.commands.review import FamilyReview, Review, Trained
from modelfactory.diagnostics import counted
from modelfactory.plan.meaning import ChangeKind

SCHEMA = 1
"""Number of the JSON form; it rises when a key changes its meaning or goes."""
MOST_OPEN = 5
"""Families whose changes a comment shows unfolded, if models change."""
_MARKS = {"added": "+", "removed": "-", "renamed": "»", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "renamed": "cyan", "changed": "yellow"}
_GRAVITY = {
    ChangeKind.BREAKING: "bold red",
    ChangeKind.RETRAIN: "bold yellow",
    ChangeKind.RETEST: "bold",
    ChangeKind.METADATA: "dim",
    None: "bold",
}
_MEANS = {
    ChangeKind.BREAKING: "whoever uses the models has to change too",
    ChangeKind.RETRAIN: "other models",
    ChangeKind.RETEST: "the same models, other demands on them",
    ChangeKind.METADATA: "nothing is trained",
}


def review_text(review: Review) -> Text:
    """Write a review for a terminal."""
    text = Text().append(f"{review.project}: {review.base} → {review.head}\n", style="bold")
    for family in review.families:
        text.append("\n")
        text.append(f"{_MARKS[family.change]} {_title(family)}", style=_STYLES[family.change])
        text.append(f"  {_what(family)}", style=_GRAVITY[family.kind])
        about = [part for part in (shown_at(family.at), family.owner) if part]
        text.append(f"  {printable('  '.join(about))}\n", style="dim")
        width = max((len(change.path) for change in family.changes), default=0)
        for change in family.changes:
            append_change(text, change, width)
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
        known = any(f.trained for f in review.families)
        columns = ("family", "change", "owner", "declared at", *(["trained"] if known else []))
        lines += ["", row(*columns), row(*["---"] * len(columns))]
        for f in review.families:
            trained = [as_cell(_trained(f.trained) if f.trained else None)] if known else []
            what = f"{_MARKS[f.change]} **{_what(f)}**"
            lines.append(row(as_code(_title(f)), what, as_code(f.owner), as_code(shown_at(f.at)), *trained))
    for index, family in enumerate(review.families):
        changes, notes = markdown_changes(family.changes), [f"- {note}" for note in _notes(family, trained=False)]
        details = [*changes, *([""] if changes and notes else []), *notes]
        if details:
            opened = " open" if index < MOST_OPEN and family.kind and family.kind.decides_models else ""
            title = f"<code>{html.escape(_title(family))}</code>: {_what(family)}"
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
            at = None if family.change == "removed" else family.at  # there is no such line any more
            lines.append(annotation(level, at, title, f"family {_title(family)} is {_what(family)}"))
        for change in family.changes:
            said = f"{change.path}: {value_of(change, change.old)} → {value_of(change, change.new)}"
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
            return f"removed, {family.kind}"
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
        told = ", ".join(f"{n} {kind}" for n, kind in kinds if n) if change != "added" else ""
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


def _plain_family(family: FamilyReview) -> dict[str, Any]:
    trained = family.trained
    return {
        "name": family.name,
        "former_name": family.former,
        "change": family.change,
        "kind": None if family.kind is None else str(family.kind),
        "changes": [change.document() for change in family.changes],
        "parents_changed": family.parents_changed,
        "like": family.like,
        "owner": family.owner,
        "at": shown_at(family.at),
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
