"""The plan of a build as text for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from modelfactory.cli.changes import append_change, as_cell, as_code, markdown_changes, row
from modelfactory.commands.plans import BuildPlan, PlannedFamily, PlannedGroups
from modelfactory.diagnostics import counted

_MARKS = {"create": "+", "retrain": "~", "repeat": "="}
_STYLES = {"create": "green", "retrain": "yellow", "repeat": "dim"}
_GROUP_MARKS = {"new": "+", "changed": "~", "unchanged": "=", "vanished": "-"}
_LEGEND = "+ new  ~ changed  = unchanged  - vanished"


def plan_text(plan: BuildPlan) -> Text:
    """Write a plan for a terminal, in the manner of Terraform."""
    slots = f", {counted(plan.slots, 'slot')}" if plan.slots else ""
    text = Text().append(f"{plan.project}: plan for target {plan.target}{slots}\n", style="bold")
    for family in plan.families:
        text.append(f"\n{_MARKS[family.action]} {family.name}", style=_STYLES[family.action])
        text.append(f"  {_versions(family)}", style="bold")
        text.append(f"  {_why(family)}\n", style="dim")
        width = max((len(change.path) for change in family.changes), default=0)
        for change in family.changes:
            append_change(text, change, width)
        for line in _notes(family):
            text.append(f"    {line}\n")
    if plan.families:
        text.append(f"\n{_LEGEND}\n", style="dim")
    text.append(f"\nPlan: {_summary(plan)}.", style="bold")
    return text


def plan_markdown(plan: BuildPlan) -> str:
    """Write a plan for a comment or a page."""
    lines = [f"### `{plan.project}`: plan for target `{plan.target}`", "", f"{_summary(plan)}.", ""]
    columns = ("family", "version", "why", "groups to train", "not trained", "fit")
    lines += [row(*columns), row(*["---"] * len(columns))]
    for family in plan.families:
        groups = family.groups
        told = (_changes(groups), _decided(groups), _cost(groups)) if groups else (_unknown(family), "", "")
        name = f"{_MARKS[family.action]} {as_code(family.name)}"
        lines.append(row(name, _versions(family), as_cell(_why(family)), *map(as_cell, told)))
    for family in plan.families:
        if family.changes:
            lines += ["", f"<details><summary><code>{family.name}</code></summary>", ""]
            lines += [*markdown_changes(family.changes), "", "</details>"]
    return "\n".join([*lines, "", f"<sub>{_LEGEND}</sub>"]) + "\n"


def _versions(family: PlannedFamily) -> str:
    if family.current is None:
        return f"v{family.next_version}"
    return f"v{family.current} → v{family.next_version}"


def _why(family: PlannedFamily) -> str:
    if family.action == "repeat":
        what = "nothing that decides the models has changed" if family.changes else "nothing has changed"
        return f"{what}; a build trains it again"
    return ", ".join(family.reasons)


def _notes(family: PlannedFamily) -> Iterator[str]:
    for name, (old, new) in family.libraries.items():
        yield f"{name} {old or 'none'} → {new or 'none'}"
    groups = family.groups
    if groups is None:
        if family.waits_for:
            yield _unknown(family)
        return
    yield f"{_changes(groups)}{f'; not trained: {_decided(groups)}' if groups.decided else ''}"
    yield f"{groups.rows:,} rows, {groups.median_rows:,} in the middle group; {_cost(groups)}"
    if groups.heaviest:
        heavy = groups.heaviest[0]
        key = ", ".join(f"{column}={value}" for column, value in heavy.key.items())
        share = f", {heavy.cpu_seconds / groups.cpu_seconds:.1%} of the time" if groups.cpu_seconds else ""
        yield f"heaviest: {key}, {heavy.rows:,} rows{share}"


def _unknown(family: PlannedFamily) -> str:
    return f"groups are known once {' and '.join(family.waits_for)} is built" if family.waits_for else ""


def _changes(groups: PlannedGroups) -> str:
    words = {"changed": "changed" if groups.comparable else "of other columns or rows"}
    told = "  ".join(
        f"{_GROUP_MARKS[change]} {n:,} {words.get(change, change)}" for change, n in groups.changes.items() if n
    )
    return f"{counted(groups.to_train, 'group')} to train" + (f": {told}" if told else "")


def _decided(groups: PlannedGroups) -> str:
    return ", ".join(f"{n:,} {status}" for status, n in groups.decided.items())


def _cost(groups: PlannedGroups) -> str:
    if groups.cpu_seconds < 1:
        return "less than a second of CPU to fit"
    return f"about {groups.cpu_seconds:.1f} s of CPU to fit, {groups.wall_seconds:.1f} s at least"


def _summary(plan: BuildPlan) -> str:
    words = {"create": "to create", "retrain": "to retrain"}
    parts = [f"{plan.count(action)} {word}" for action, word in words.items()]  # type: ignore[arg-type]
    repeated = plan.count("repeat")
    parts.append(f"{repeated} unchanged" + (" and trained again" if repeated else ""))
    with_groups = [family.groups for family in plan.families if family.groups]
    if with_groups:
        trained = sum(groups.to_train for groups in with_groups)
        seconds = sum(groups.cpu_seconds for groups in with_groups)
        cost = f"about {seconds:.0f} s of CPU" if seconds >= 1 else "less than a second of CPU"
        parts.append(f"{counted(trained, 'group')} to train, {cost}")
    return ", ".join(parts)
