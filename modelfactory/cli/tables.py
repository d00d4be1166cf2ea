"""Tables for people: what `mf ls`, `mf show` and `mf debug` write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from modelfactory.commands.inspect import STATUS_ORDER, FamilyDetails, FamilyListing, better_than_baseline
from modelfactory.plan.outcomes import FAULTS, SERVED

if TYPE_CHECKING:
    from modelfactory.commands.debug import Check

_STATES = {"current": "green", "modified": "yellow", "never built": "dim"}


def family_table(listings: Iterable[FamilyListing], *, now: datetime) -> Table:
    """Return the table of `mf ls`."""
    table = _table("family", "estimator", "by", "version", "trained", "groups", "median (baseline)", "state")
    for item in listings:
        table.add_row(
            item.name,
            item.estimator,
            ", ".join(item.group_by),
            f"v{item.current_version}" if item.current_version else "",
            age(item.trained_at, now) if item.trained_at else "",
            _groups(item),
            _metrics(item),
            Text(item.state, style=_STATES[item.state]),
        )
    return table


def _groups(item: FamilyListing) -> Text:
    text = Text()
    for status in (s for s in STATUS_ORDER if item.groups.get(s)):
        style = "green" if status in SERVED else "red" if status in FAULTS else "yellow"
        text.append("\n" if text else "")
        text.append(f"{item.groups[status]:,} {status}", style=style)
    return text


def _metrics(item: FamilyListing) -> Text:
    text = Text()
    for name, value in item.metrics.items():
        text.append("\n" if text else "")
        baseline = item.baseline.get(name)
        better = None if baseline is None else better_than_baseline(name, value, baseline)
        text.append(f"{name} {number(value)}", style={True: "green", False: "red", None: ""}[better])
        if baseline is not None:
            text.append(f" ({number(baseline)})", style="dim")
    return text


def group_rows(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> Table:
    """Return the table of `mf ls --groups`."""
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    table = _table(
        *keys,
        "status",
        "n_rows",
        "n_train",
        "n_test",
        *metrics,
        "fit_seconds",
        "version",
        "why",
    )
    for row in rows:
        status = row["status"]
        style = "green" if status in SERVED else "red" if status in FAULTS else "yellow"
        why = (
            f"{row['error_type']}: {row['error']}" if row["error_type"] else row["error"] or "; ".join(row["warnings"])
        )
        table.add_row(
            *("null" if row[key] is None else str(row[key]) for key in keys),
            Text(status, style=style),
            *(f"{row[name]:,}" for name in ("n_rows", "n_train", "n_test")),
            *(_with_baseline(row, name) for name in metrics),
            "" if row["fit_seconds"] is None else f"{row['fit_seconds']:.4f}",
            f"v{row['model_version']}" if row["model_version"] else "",
            why if len(why) <= 60 else why[:59] + "…",
        )
    return table


def _with_baseline(row: dict[str, Any], name: str) -> str:
    if name not in row["metrics"]:
        return ""
    baseline = f" ({number(row['baseline'][name])})" if name in row["baseline"] else ""
    return number(row["metrics"][name]) + baseline


def show_tables(details: FamilyDetails, *, now: datetime) -> list[Table]:
    """Return the tables of `mf show`: the definition with provenance, and the versions."""
    definition = _table("key", "value", "from", title=f"family {details.listing.name}")
    for value in details.values:
        definition.add_row(value.key, _plain(value.value), ", ".join(value.origins))
    versions = _table(
        "version",
        "published",
        "groups",
        "median (baseline)",
        "fit cpu",
        "wall",
        "efficiency",
        "run",
        title="versions",
    )
    for version in reversed(details.versions):
        marked = f"v{version.number}" + (" current" if version.number == details.current else "")
        medians = {name: q.median for name, q in version.metrics.items()}
        said = ", ".join(
            f"{name} {number(value)}"
            + (f" ({number(version.baseline[name].median)})" if name in version.baseline else "")
            for name, value in medians.items()
        )
        versions.add_row(
            marked,
            age(version.published_at, now),
            ", ".join(f"{n:,} {status}" for status, n in version.statuses.items()),
            said,
            f"{version.cpu_seconds:.1f} s",
            f"{version.wall_seconds:.1f} s",
            "" if version.efficiency is None else f"{version.efficiency:.0%}",
            version.run_id,
        )
    return [definition, versions] if details.versions else [definition]


def key_values(rows: Iterable[tuple[str, Any]]) -> Table:
    """Return a table of names and values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), _plain(value))
    return table


def check_table(checks: Iterable[Check]) -> Table:
    """Return the table of `mf debug`."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        mark = Text("ok", style="green") if check.passed else Text("ERROR", style="bold red")
        table.add_row(mark, check.name, check.found + (f"\n{check.help}" if check.help else ""))
    return table


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as CSV with a header; lists are joined by spaces, mappings as `name=value`."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
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


def _plain(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_plain(v) for v in value) + "]"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value).rstrip("\n")


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
