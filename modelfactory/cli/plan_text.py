"""The plan of a build as text for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from modelfactory.cli.changes import append_change, as_cell, as_code, markdown_changes, row
from modelfactory.commands.plans import Action, BuildPlan, PlannedFamily, PlannedGroups
from modelfactory.diagnostics import counted
from modelfactory.plan.outcomes import BuildReason

_MARKS = {"create": "+", "update": "~", "reuse": "="}
_STYLES = {"create": "green", "update": "yellow", "reuse": "dim"}
_GROUP_MARKS = {BuildReason.NEW: "+", BuildReason.UNCHANGED: "=", BuildReason.VANISHED: "-"}
_LEGEND = "+ new  ~ trained again  = stands  - vanished"
_NAMED = 3
"""Groups that are named of a reason."""


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
    if family.action == "reuse":
        return f"v{family.current}"
    return f"v{family.current} → v{family.next_version}"


def _why(family: PlannedFamily) -> str:
    if family.action == "reuse":
        return "nothing has changed" if family.groups else "definition unchanged; a census tells whether rows are"
    if family.reasons:
        return ", ".join(family.reasons)
    return "groups to try again" if family.groups and family.groups.to_train else "rows without a label"


def _notes(family: PlannedFamily) -> Iterator[str]:
    for name, (old, new) in family.libraries.items():
        yield f"{name} {old or 'none'} → {new or 'none'}"
    groups = family.groups
    if groups is None:
        if family.waits_for:
            yield _unknown(family)
        return
    yield f"{_changes(groups)}{f'; not trained: {_decided(groups)}' if groups.decided else ''}"
    yield from _examples(groups)
    if not groups.to_train:
        yield f"{groups.rows:,} rows"
        return
    yield f"{groups.rows:,} rows, {groups.median_rows:,} in the middle group; {_cost(groups)}"
    if groups.heaviest:
        heavy = groups.heaviest[0]
        key = ", ".join(f"{column}={value}" for column, value in heavy.key.items())
        share = f", {heavy.cpu_seconds / groups.cpu_seconds:.1%} of the time" if groups.cpu_seconds else ""
        yield f"heaviest: {key}, {heavy.rows:,} rows{share}"


def _unknown(family: PlannedFamily) -> str:
    return f"groups are known once {' and '.join(family.waits_for)} is built" if family.waits_for else ""


def _changes(groups: PlannedGroups) -> str:
    told = "  ".join(f"{_GROUP_MARKS.get(BuildReason(r), '~')} {n:,} {r}" for r, n in groups.reasons.items())
    return f"{counted(groups.to_train, 'group')} to train" + (f": {told}" if told else "")


def _examples(groups: PlannedGroups) -> Iterator[str]:
    """Yield which groups are trained, or gone, for each reason that not all have."""
    for reason, keys in groups.examples.items():
        if sum(groups.reasons.values()) == groups.reasons[reason]:
            continue
        named = "; ".join(", ".join(f"{column}={value}" for column, value in key.items()) for key in keys[:_NAMED])
        more = groups.reasons[reason] - min(len(keys), _NAMED)
        yield f"{reason}: {named}{f' and {more:,} more' if more else ''}"
    if gone := groups.reasons.get(BuildReason.VANISHED, 0):
        yield f"{groups.vanished_stay:,} of {counted(gone, 'vanished group')} keep their models (`on_vanished`)"
    if groups.with_other_libraries:
        them = counted(groups.with_other_libraries, "group")
        yield f"{them} stand with models of other libraries; `retrain_on: [environment]` trains them again"


def _decided(groups: PlannedGroups) -> str:
    return ", ".join(f"{n:,} {status}" for status, n in groups.decided.items())


def _cost(groups: PlannedGroups) -> str:
    if groups.cpu_seconds < 1:
        return "less than a second of CPU to fit"
    return f"about {groups.cpu_seconds:.1f} s of CPU to fit, {groups.wall_seconds:.1f} s at least"


def _summary(plan: BuildPlan) -> str:
    words: dict[Action, str] = {"create": "to create", "update": "to update", "reuse": "to reuse as they stand"}
    parts = [f"{plan.count(action)} {word}" for action, word in words.items()]
    with_groups = [family.groups for family in plan.families if family.groups]
    if with_groups:
        trained = sum(groups.to_train for groups in with_groups)
        seconds = sum(groups.cpu_seconds for groups in with_groups)
        cost = f"about {seconds:.0f} s of CPU" if seconds >= 1 else "less than a second of CPU"
        parts.append(f"{counted(trained, 'group')} to train" + (f", {cost}" if trained else ""))
    return ", ".join(parts)
