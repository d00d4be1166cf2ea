"""What was pruned or forgotten, and how two versions differ: for a terminal, in Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from modelfactory.cli.changes import append_change, as_cell, as_code, markdown_changes, printable, row
from modelfactory.cli.tables import fitting, framed, number, short_commit, size
from modelfactory.commands.events import json_value
from modelfactory.commands.forgetting import Forgetting
from modelfactory.commands.history import Pruning, VersionComparison
from modelfactory.diagnostics import counted
from modelfactory.store.manifest import VersionRecord

if TYPE_CHECKING:
    from modelfactory.commands.candidates import CandidateDetails
    from modelfactory.store.forgetting import Loss
    from modelfactory.store.group_changes import GroupChanges, MetricChange, MovedGroup

SCHEMA = 1
"""Number of the JSON forms; it rises when a key changes its meaning or goes."""
_WHY = {
    "current": "current",
    "newest": "newest",
    "needed": "has models that others need",
    "named": "current under another name",
}


# Pruning --------------------------------------------------------------------------------------------------------------


def prune_table(found: Pruning, *, width: int) -> Table:
    """Return the table of `mf prune`: the families of which something goes."""
    rows = [
        [
            family.family,
            "\n".join([*([_numbers(family.versions)] if family.versions else []), *family.leftovers]),
            "\n".join(
                f"{_numbers([k.version for k in family.kept if k.why == why])} {said}"
                for why, said in _WHY.items()
                if any(k.why == why for k in family.kept)
            ),
            size(family.bytes),
        ]
        for family in found.families
        if family.versions or family.leftovers
    ]
    return fitting(("family", "goes", "stays", "bytes"), rows, width=width, first=[2], whole=[0, 3])


def prune_summary(found: Pruning, *, deleted: bool) -> Iterator[str]:
    """Yield lines that say what was pruned, or would be."""
    if found.foreign and not deleted:
        yield f"left alone, since the project does not have them: {', '.join(found.foreign)}"
    versions = sum(len(family.versions) for family in found.families)
    left = sum(len(family.leftovers) for family in found.families)
    if not versions and not left:
        yield "nothing to delete"
        return
    parts = [counted(versions, "version")] if versions else []
    parts += [counted(left, "leftover")] if left else []
    what = f"{' and '.join(parts)}, {size(sum(family.bytes for family in found.families))}"
    yield f"deleted {what}" if deleted else f"{what}; nothing was deleted: `mf prune --delete` does it"


def prune_json(found: Pruning, *, keep: int, deleted: bool) -> str:
    """Write what was pruned as a JSON document."""
    document = {
        "schema": SCHEMA,
        "keep": keep,
        "deleted": deleted,
        "families": [
            {
                "family": family.family,
                "versions": [
                    {"number": v.number, "published_at": v.published_at, "bytes": v.bytes} for v in family.versions
                ],
                "kept": [{"number": kept.version.number, "why": kept.why} for kept in family.kept],
                "leftovers": list(family.leftovers),
                "bytes": family.bytes,
            }
            for family in found.families
        ],
        "foreign": list(found.foreign),
        "errors": [diagnostic.message for error in found.errors for diagnostic in error.diagnostics],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _numbers(versions: Sequence[VersionRecord]) -> str:
    """Write numbers of versions, runs of them as `v2-v5`."""
    runs: list[list[int]] = []
    for version in versions:
        if runs and version.number == runs[-1][-1] + 1:
            runs[-1].append(version.number)
        else:
            runs.append([version.number])
    return ", ".join(f"v{run[0]}" if len(run) == 1 else f"v{run[0]}-v{run[-1]}" for run in runs)


# Forgetting -----------------------------------------------------------------------------------------------------------


def forget_table(found: Forgetting, *, width: int) -> Table:
    """Return the table of `mf forget`: what each version loses."""
    rows = [
        [
            f"v{loss.version.number}{_kind(loss, found.current)}",
            f"{loss.groups:,}",
            f"{loss.models:,}",
            loss.version.published_at[:16].replace("T", " "),
        ]
        for loss in found.forgotten.losses
    ]
    return fitting(("version", "groups", "models", "trained"), rows, width=width, first=[3], whole=[0, 1, 2])


def _kind(loss: Loss, current: int | None) -> str:
    return " candidate" if loss.held_back else " current" if loss.version.number == current else ""


def forget_summary(found: Forgetting) -> Iterator[str]:
    """Yield lines that say what was forgotten, or would be, what stays all the same, and what is to be done."""
    done = found.forgotten
    for columns, numbers in _by_columns(done.others):
        yield f"left as they are, since their groups are by {columns}: {numbers}"
    if done.losses:
        groups, models = counted(done.groups, "group"), counted(done.models, "model")
        what = f"{groups} and {models} of {counted(len(done.losses), 'version')}"
        yield f"deleted {what}" if found.deleted else f"{what} would go"
    else:
        when = f" any more; they were forgotten on {done.earlier[:10]}" if done.earlier else ""
        yield f"no version has such groups{when}"
    if done.leftovers:
        also = f"{counted(len(done.leftovers), 'leftover')} of builds that died, which may hold them too"
        yield f"deleted {also}" if found.deleted else f"{also}, would go"
    if found.sample:
        yield "deleted the last sample build of the family"
    if done.losses:
        yield from _stays(found)
    if not found.deleted and (done.losses or done.leftovers):
        yield "nothing was deleted: `--delete` does it, and nothing brings it back"


def _stays(found: Forgetting) -> Iterator[str]:
    """Yield what has learned from the groups, or may have, and is not touched."""
    if found.global_models:
        numbers = ", ".join(f"v{number}" for number in found.global_models)
        yield f"the global model was fitted on their rows too, and stays: {numbers}"
    if found.fallbacks:
        yield f"so were the models of families that stand in, and stay: {', '.join(found.fallbacks)}"
    if found.families:
        yield f"other families have groups by the same columns: {', '.join(found.families)}"
    yield "the input is not touched: a build trains the groups again if it has rows of them"


def _by_columns(versions: Sequence[VersionRecord]) -> Iterator[tuple[str, str]]:
    """Yield group columns and the versions that have them."""
    by: dict[str, list[VersionRecord]] = {}
    for version in versions:
        by.setdefault(", ".join(f"`{name}`" for name in version.group_by), []).append(version)
    for columns, those in by.items():
        yield columns, _numbers(those)


def forget_json(found: Forgetting) -> str:
    """Write what was forgotten as a JSON document."""
    done = found.forgotten
    document = {
        "schema": SCHEMA,
        "family": done.family,
        "columns": list(done.key),
        "deleted": found.deleted,
        "run_id": found.run_id if found.deleted else None,
        "groups": done.groups,
        "models": done.models,
        "versions": [
            {
                "number": loss.version.number,
                "candidate": loss.held_back,
                "groups": loss.groups,
                "models": loss.models,
            }
            for loss in done.losses
        ],
        "forgotten_before": done.earlier,
        "other_versions": [version.number for version in done.others],
        "leftovers": list(done.leftovers),
        "sample": found.sample,
        "stays": {
            "global_models": list(found.global_models),
            "fallbacks": list(found.fallbacks),
            "families": list(found.families),
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# Two versions ---------------------------------------------------------------------------------------------------------


def comparison_parts(found: VersionComparison) -> Iterator[Text | Table]:
    """Yield what a terminal shows of two versions."""
    text = Text().append(f"{found.family}: {_title(found)}\n", style="bold")
    for version in (found.old, found.new):
        text.append(f"  {_about(version, found.current)}\n", style="dim")
    text.append("\n")
    width = max((len(change.path) for change in found.changes), default=0)
    for name, said, changed in _causes(found):
        text.append(f"{name:<13}{said}\n", style="yellow" if changed else "dim")
        for change in found.changes if name == "definition" else ():
            append_change(text, change, width)
    text.append("\n").append(f"{_groups(found.groups)}\n", style="bold")
    for line in _statuses(found.groups):
        text.append(f"    {line}\n")
    if not found.same_test_rows and found.groups.metrics:
        text.append(f"{_caution(found)}\n", style="yellow")
    yield text
    if found.groups.metrics:
        yield _table(("metric", *_METRIC_COLUMNS), [_metric_row(m) for m in found.groups.metrics])
    for title, groups in _ranked(found.groups):
        yield Text(f"\n{title}", style="bold")
        yield _table(_RANK_COLUMNS, [_moved_row(group) for group in groups])
    if found.groups.without:
        yield Text(f"\n{_lost_title(found.groups)}", style="bold")
        yield _table(*_lost_table(found.groups))


def candidate_parts(found: CandidateDetails) -> Iterator[Text | Table]:
    """Yield what a terminal shows of a version that was held back."""
    version = found.candidate.version
    text = Text().append(f"{found.family}: candidate v{version.number}, held back\n", style="bold")
    text.append(f"  {_about(version, -1)}\n", style="dim")
    for why in found.candidate.why:
        text.append(f"  {printable(why)}\n", style="red")
    counts = ", ".join(f"{n:,} {status}" for status, n in version.statuses.items())
    text.append(f"  {counts}\n")
    text.append(f"  `mf publish {found.family} --candidate` publishes it all the same; ", style="dim")
    text.append("`mf retry` tries its failed groups again\n", style="dim")
    yield text
    if found.comparison is not None:
        yield from comparison_parts(found.comparison)


def candidate_json(found: CandidateDetails) -> str:
    """Write a version that was held back as a JSON document."""
    comparison = None if found.comparison is None else json.loads(comparison_json(found.comparison))
    document = {
        "schema": SCHEMA,
        "family": found.family,
        "why": found.candidate.why,
        "version": found.candidate.version.model_dump(mode="json"),
        "comparison": comparison,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def comparison_markdown(found: VersionComparison) -> str:
    """Write how two versions differ as a comment or a page."""
    lines = [f"### `{found.family}`: {_title(found)}", ""]
    lines += [f"- {_about(version, found.current)}" for version in (found.old, found.new)]
    lines += [f"- {name}: {said}" for name, said, _ in _causes(found)]
    lines += ["", *markdown_changes(found.changes)] if found.changes else []
    lines += ["", f"**{_groups(found.groups)}**", ""]
    lines += [f"- {line}" for line in _statuses(found.groups)]
    if found.groups.metrics:
        lines += [*(["", f"{_caution(found)}."] if not found.same_test_rows else []), ""]
        lines += _markdown(("metric", *_METRIC_COLUMNS), [_metric_row(m) for m in found.groups.metrics])
    for title, groups in _ranked(found.groups):
        rows = [[as_code(key), *rest] for key, *rest in map(_moved_row, groups)]
        lines += ["", f"{title}:", "", *_markdown(_RANK_COLUMNS, rows)]
    if found.groups.without:
        names, rows = _lost_table(found.groups)
        lost = [[as_code(key), *map(as_cell, rest)] for key, *rest in rows]
        lines += ["", f"{_lost_title(found.groups)}:", "", *_markdown(names, lost)]
    return "\n".join(lines) + "\n"


def comparison_json(found: VersionComparison) -> str:
    """Write how two versions differ as a JSON document."""
    groups = asdict(found.groups)
    document = {
        "schema": SCHEMA,
        "family": found.family,
        "current_version": found.current,
        "old": _version_document(found.old),
        "new": _version_document(found.new),
        "definition_changed": found.definition_changed,
        "changes": [change.document() for change in found.changes],
        "parents_changed": found.parents_changed,
        "data_changed": found.data_changed,
        "environment_changed": found.environment_changed,
        "libraries": {name: {"old": old, "new": new} for name, old, new in found.libraries},
        "same_test_rows": found.same_test_rows,
        "groups": {key: groups[key] for key in ("old", "new", "gained", "lost", "added", "vanished", "same_rows")},
        "statuses": groups["statuses"],
        "metrics": groups["metrics"],
        "ranked_by": found.groups.by,
        "worst": groups["worst"],
        "best": groups["best"],
        "lost_groups": groups["without"],
    }
    return json.dumps(json_value(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_METRIC_COLUMNS = ("better", "worse", "equal", "median")
_RANK_COLUMNS = ("group", "was", "is", "rows", "change")


def _version_document(version: VersionRecord) -> dict[str, Any]:
    keys = ("number", "run_id", "published_at", "git_commit", "rows", "statuses")
    return {key: getattr(version, key) for key in keys}


def _title(found: VersionComparison) -> str:
    return f"version {found.old.number} → version {found.new.number}"


def _about(version: VersionRecord, current: int) -> str:
    parts = [
        f"v{version.number}, {version.published_at}",
        f"commit {short_commit(version.git_commit)}" if version.git_commit else "",
        f"run {version.run_id}",
        "current" if version.number == current else "",
    ]
    return ", ".join(part for part in parts if part)


def _causes(found: VersionComparison) -> Iterator[tuple[str, str, bool]]:
    """Yield what can make versions differ, what became of it, and whether it changed."""
    values = [change for change in found.changes if change.kind.decides_models]
    parts = [counted(len(values), "value")] if values else []
    parts += ["a family that it reads"] if found.parents_changed else []
    told = f"changed: {' and '.join(parts)}" if parts else "changed" if found.definition_changed else "the same"
    yield "definition", told, found.definition_changed
    shared = found.groups.old - found.groups.vanished
    same = f"{found.groups.same_rows:,} of {counted(shared, 'group')} have the same rows in the same columns"
    yield "data", f"changed: {same}" if found.data_changed else "the same", found.data_changed
    libraries = ", ".join(f"{name} {old or 'none'} → {new or 'none'}" for name, old, new in found.libraries)
    changed = f"changed: {libraries}" if libraries else "changed"
    yield "environment", changed if found.environment_changed else "the same", found.environment_changed


def _groups(groups: GroupChanges) -> str:
    said = {
        "gained a model": groups.gained,
        "lost their model": groups.lost,
        "new": groups.added,
        "vanished": groups.vanished,
    }
    parts = ", ".join(f"{n:,} {what}" for what, n in said.items() if n)
    count = f"{groups.new:,}" if groups.old == groups.new else f"{groups.old:,} → {groups.new:,}"
    return f"{count} groups" + (f": {parts}" if parts else "")


def _statuses(groups: GroupChanges) -> Iterator[str]:
    for change in groups.statuses:
        if change.old == change.new:
            yield f"{change.groups:,} {change.new}"
        else:
            yield f"{change.groups:,} {change.old or 'new'} → {change.new or 'vanished'}"


def _caution(found: VersionComparison) -> str:
    if found.measured_alike is None:
        return "how the versions were measured was not kept: metrics may be of other rows"
    if not found.measured_alike:
        return "the versions were measured in other ways: their metrics cannot be compared strictly"
    shared = found.groups.old - found.groups.vanished
    other = f"{shared - found.groups.same_rows:,} of {counted(shared, 'group')}"
    return f"{other} were measured on other rows or columns: their metrics cannot be compared strictly"


def _metric_row(metric: MetricChange) -> list[str]:
    known = metric.higher_is_better is not None and metric.compared
    counts = [f"{n:,}" for n in (metric.better, metric.worse, metric.equal)] if known else ["", "", ""]
    medians = [metric.old_median, metric.new_median]
    return [metric.name, *counts, " → ".join("none" if m is None else number(m) for m in medians)]


def _ranked(groups: GroupChanges) -> Iterator[tuple[str, Sequence[MovedGroup]]]:
    if groups.worst:
        yield f"most lost in {groups.by}", groups.worst
    if groups.best:
        yield f"most gained in {groups.by}", groups.best


def _moved_row(group: MovedGroup) -> list[str]:
    rows = f"{group.new_rows:,}" if group.old_rows == group.new_rows else f"{group.old_rows:,} → {group.new_rows:,}"
    change = group.new - group.old
    return [_key(group.key), number(group.old), number(group.new), rows, f"{'+' if change > 0 else ''}{number(change)}"]


def _lost_title(groups: GroupChanges) -> str:
    shown = len(groups.without)
    return "lost their model" if shown == groups.lost else f"lost their model, {shown} of {groups.lost:,}"


def _lost_table(groups: GroupChanges) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return names and cells; some statuses need no reason."""
    rows = [[_key(group.key), group.old, group.new] for group in groups.without]
    if not any(group.error for group in groups.without):
        return ("group", "was", "is"), rows
    reasons = [printable(group.error or "") for group in groups.without]
    return ("group", "was", "is", "why"), [[*row, reason] for row, reason in zip(rows, reasons, strict=True)]


def _key(key: Mapping[str, Any]) -> str:
    return printable(", ".join(f"{name}={'null' if value is None else value}" for name, value in key.items()))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = framed(*names)
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _markdown(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [row(*names), row(*["---"] * len(names)), *(row(*cells) for cells in rows)]
