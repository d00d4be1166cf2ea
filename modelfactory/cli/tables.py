"""Tables for people: what `mf ls`, `mf show` and `mf debug` write."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from modelfactory.commands.inspect import STATUS_ORDER, FamilyDetails, FamilyListing, better_than_baseline
from modelfactory.diagnostics import counted
from modelfactory.plan.outcomes import FAULTS, SERVED

if TYPE_CHECKING:
    from modelfactory.commands.debug import Check
    from modelfactory.store.manifest import GlobalModelRecord, VersionRecord

_STATES = {"current": "green", "modified": "yellow", "never built": "dim", "unreadable": "bold red"}


def family_table(listings: Iterable[FamilyListing], *, now: datetime, width: int) -> Table:
    """Return the table of `mf ls`: a few lines per family; where the terminal is narrow, metrics are left out."""
    rows: list[list[Any]] = [
        [
            item.name,
            f"{item.estimator}\nby {', '.join(item.group_by)}",
            _groups_of(item),
            _metrics(item.metrics, item.baseline),
            _version(item, now),
        ]
        for item in listings
    ]
    names = ("family", "models", "groups", "median (baseline)", "version")
    return fitting(names, rows, width=width, first=[3], whole=[0, 2])


def fitting(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    width: int,
    first: Sequence[int],
    whole: Collection[int],
) -> Table:
    """Return a table in which no word is cut.

    Args:
        names: titles of the columns.
        rows: cells.
        width: columns of the terminal.
        first: columns that go, in this order, where all of them do not fit.
        whole: columns whose lines are not broken.
    """
    columns = [(name, *cells) for name, *cells in zip(names, *rows, strict=True)]
    least = [max(map(_longest_line if i in whole else _longest_word, cells)) for i, cells in enumerate(columns)]
    kept = list(range(len(names)))
    for index in first:
        if sum(least[i] for i in kept) + _GAP * (len(kept) - 1) > width:
            kept.remove(index)
    widths = {i: max(map(_longest_line, columns[i])) for i in kept}
    for _ in range(max(0, sum(widths.values()) + _GAP * (len(kept) - 1) - width)):
        widest = max(kept, key=lambda i: widths[i] - least[i])
        widths[widest] -= widths[widest] > least[widest]
    table = framed(*(names[i] for i in kept))
    for column, index in zip(table.columns, kept, strict=True):
        column.width = widths[index]
    for row in rows:
        table.add_row(*(row[i] for i in kept))
    return table


_GAP = 3
"""Blanks between two columns."""


def _longest_word(cell: Any) -> int:
    return max((cell_len(word) for word in str(cell).split()), default=0)


def _longest_line(cell: Any) -> int:
    return max(map(cell_len, str(cell).split("\n")))


def _version(item: FamilyListing, now: datetime) -> Text:
    text = Text()
    if item.current_version is not None and item.trained_at is not None:
        text.append(f"v{item.current_version}, {age(item.trained_at, now)}\n")
    text.append(item.state, style=_STATES[item.state])
    for change in item.why:
        text.append(f"\n{_difference(change)}", style="dim")
    return text


def _difference(change: Mapping[str, Any]) -> str:
    """Write a value that differs, and where it is written on both sides."""
    nothing = "default" if ".params." in change["path"] else "—"
    values = [plain(change[side]) if side in change else nothing for side in ("old", "new")]
    told = f" {' → '.join(values)}" if change.keys() & {"old", "new"} else ""
    places = dict.fromkeys(place for side in ("old_at", "new_at") if (place := change.get(side)))
    return f"{change['path']}{told}" + (f" ({' → '.join(places)})" if places else "")


def _groups_of(item: FamilyListing) -> Text:
    """Write the groups of the current version; where something stands in, also how many need nothing."""
    text = _groups(item.groups)
    if item.fallback is not None and item.own_groups is not None:
        text.append(f"\n{item.own_groups:,} of {sum(item.groups.values()):,} on their own", style="dim")
    return text


def _groups(statuses: Mapping[str, int]) -> Text:
    lines = [
        Text(f"{statuses[status]:,} {status}", style=_style_of(status))
        for status in STATUS_ORDER
        if statuses.get(status)
    ]
    return Text("\n").join(lines)


def _metrics(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> Text:
    lines = []
    for name, value in metrics.items():
        better = better_than_baseline(name, value, baseline[name]) if name in baseline else None
        line = Text(f"{name} {number(value)}", style={True: "green", False: "red", None: ""}[better])
        lines.append(line.append(f" ({number(baseline[name])})", style="dim") if name in baseline else line)
    return Text("\n").join(lines)


def _style_of(status: str) -> str:
    return "green" if status in SERVED else "red" if status in FAULTS else "yellow"


def group_rows(rows: Sequence[dict[str, Any]], keys: Sequence[str], *, width: int) -> Table:
    """Return the table of `mf ls --groups`; `rows` are all, fitted on and measured on."""
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    searched = any(row.get("chosen") for row in rows)  # tables of before do not have the column
    names = (*keys, "status", "rows (train+test)", *metrics, *(["chosen"] if searched else []), "why")
    cells: list[list[Any]] = []
    for row in rows:
        fault = ": ".join(part for part in (row["error_type"], row["error"]) if part)
        fitted = f" ({row['n_train']:,}+{row['n_test']:,})" if row["n_train"] else ""
        cells.append(
            [
                *("null" if row[key] is None else str(row[key]) for key in keys),
                Text(row["status"], style=_style_of(row["status"])),
                f"{row['n_rows']:,}{fitted}",
                *(_with_baseline(row, name) for name in metrics),
                *([row.get("chosen") or ""] if searched else []),
                fault or "; ".join(row["warnings"]),
            ]
        )
    before = len(keys) + 2
    metrics_last_first = range(before + len(metrics) - 1, before - 1, -1)
    return fitting(names, cells, width=width, first=metrics_last_first, whole=range(before - 1))


def _with_baseline(row: dict[str, Any], name: str) -> str:
    if name not in row["metrics"]:
        return ""
    baseline = f" ({number(row['baseline'][name])})" if name in row["baseline"] else ""
    return number(row["metrics"][name]) + baseline


def show_tables(details: FamilyDetails, *, now: datetime, width: int) -> list[Table]:
    """Return the tables of `mf show`: the definition with provenance, the versions, what was chosen and forgotten."""
    definition = framed("key", "value", "from", title=f"family {details.listing.name}, {details.listing.state}")
    for value in details.values:
        definition.add_row(value.key, plain(value.value), "\n".join(value.origins))
    if not details.versions:
        return [definition]
    tables = [definition, _versions(details, now, width)]
    current = next((version for version in details.versions if version.number == details.current), None)
    if current is not None and current.chosen:
        chosen = framed(f"groups of v{current.number}", "chosen candidate")
        for name, count in current.chosen.items():
            chosen.add_row(f"{count:,}", name)
        tables.append(chosen)
    if details.forgotten:
        groups, last = sum(stone.groups for stone in details.forgotten), details.forgotten[-1].forgotten_at
        tables.append(key_values([("forgotten", f"{counted(groups, 'group')}, the last on {last[:10]}")]))
    return tables


def _versions(details: FamilyDetails, now: datetime, width: int) -> Table:
    """Return the table of a family's versions, the newest first; where the terminal is narrow, some columns go."""
    rows = [_version_cells(version, details, now) for version in reversed(details.versions)]
    names = ("version", "groups", "median (baseline)", "definition", "size", "cost", "run")
    return fitting(names, rows, width=width, first=[6, 5, 4, 2], whole=[1, 4])


def _version_cells(version: VersionRecord, details: FamilyDetails, now: datetime) -> list[Any]:
    current = " current" if version.number == details.current else ""
    changed = details.definition_changed[version.number]
    efficiency = "" if version.efficiency is None else f"\nefficiency {version.efficiency:.0%}"
    definition = Text({None: "first", True: "changed", False: "the same"}[changed], style="yellow" if changed else "")
    if version.git_commit:
        definition.append(f"\n{short_commit(version.git_commit)}", style="dim")
    return [
        f"v{version.number}{current}\n{version.published_at[:16].replace('T', ' ')}\n{age(version.published_at, now)}",
        _beside_global(_groups(version.statuses), version.global_model, _global_status),
        _beside_global(
            _metrics(_medians(version.metrics), _medians(version.baseline)), version.global_model, _global_result
        ),
        definition,
        size(version.bytes),
        f"fit cpu {version.cpu_seconds:.1f} s\nwall {version.wall_seconds:.1f} s{efficiency}",
        version.run_id,
    ]


def _beside_global(
    text: Text, model: GlobalModelRecord | None, told: Callable[[GlobalModelRecord], Text | None]
) -> Text:
    """Put below what is told of the groups of a version the same of its global model."""
    said = told(model) if model is not None else None
    return text if said is None else text.append("\nglobal model ").append(said)


def _global_status(model: GlobalModelRecord) -> Text:
    text = Text(model.status, style=_style_of(model.status))
    if model.chosen is not None:
        text.append(f"\n{model.chosen}", style="dim")
    return text.append(f"\nfitted on {model.n_train:,} rows") if model.n_train else text


def _global_result(model: GlobalModelRecord) -> Text | None:
    """Write what was measured, or why there is nothing."""
    reason = ": ".join(part for part in (model.error_type, model.error) if part)
    found = _metrics(model.metrics, model.baseline) if model.metrics else Text(reason)
    return Text("\n").append(found) if found else None


def _medians(quantiles: Mapping[str, Any]) -> dict[str, float]:
    return {name: q.median for name, q in quantiles.items()}


def key_values(rows: Iterable[tuple[str, Any]]) -> Table:
    """Return a table of names and values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), plain(value))
    return table


def check_table(checks: Iterable[Check]) -> Table:
    """Return the table of `mf debug`."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        mark = Text("ok", style="green") if check.passed else Text("ERROR", style="bold red")
        table.add_row(mark, check.name, check.found + (f"\n{check.help}" if check.help else ""))
    return table


def csv_text(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Write rows as CSV with a header; lists are joined by spaces, mappings as `name=value`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    match value:
        case dict():
            return " ".join(f"{k}={v}" for k, v in value.items())
        case list() | tuple():
            return " ".join(str(v) for v in value)
        case _:
            return value


def number(value: float) -> str:
    """Write a metric with four significant digits."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def size(count: int) -> str:
    """Write a number of bytes as 1.2 MB."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


def short_commit(commit: str) -> str:
    """Write a git commit as people do."""
    return commit[:8]


def age(moment: str, now: datetime) -> str:
    """Say how long ago an ISO moment was."""
    seconds = (now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()
    for limit, size, unit in (
        (120, 1, "s"),
        (7200, 60, "min"),
        (172_800, 3600, "h"),
        (float("inf"), 86_400, "days"),
    ):
        if seconds < limit:
            return f"{max(int(seconds // size), 0)} {unit} ago"
    raise AssertionError("the last limit is infinite")


def plain(value: Any, *, float_text: Callable[[float], str] = "{:g}".format) -> str:
    """Write a value as YAML would, lists and mappings in one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{k}: {plain(v, float_text=float_text)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(plain(v, float_text=float_text) for v in value) + "]"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return float_text(value)
        case _:
            return str(value).rstrip("\n")


def framed(*columns: str, title: str | None = None) -> Table:
    """Return an empty table with a head."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title=title, title_justify="left", title_style="bold"
    )
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
