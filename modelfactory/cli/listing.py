"""Write what `mf ls` and `mf show` found, in the form that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelfactory.cli.console import Console
from modelfactory.cli.options import Output
from modelfactory.cli.tables import csv_text, family_table, group_rows, key_values, show_tables
from modelfactory.commands.events import json_value
from modelfactory.commands.inspect import FamilyDetails, FamilyListing
from modelfactory.diagnostics import Code, did_you_mean, input_error
from modelfactory.plan.outcomes import GROUP_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from modelfactory.commands.resolving import ResolvedValue


def write_families(
    console: Console,
    listings: Sequence[FamilyListing],
    output: Output,
    keys: str | None,
    *,
    now: datetime,
    why: bool = False,
) -> None:
    """Write the families; `why` tells what of each differs from the earlier state."""
    if keys is not None and output not in (Output.JSON, Output.CSV):
        raise input_error(Code.BAD_OPTION, "`--output-keys` goes with `--output json` or `csv`")
    match output:
        case Output.TABLE:
            console.table(family_table(listings, now=now, width=console.out.width))
        case Output.NAME:
            console.lines(item.name for item in listings)
        case Output.PATH:
            console.lines(dict.fromkeys(item.path for item in listings))
        case Output.SELECTOR:
            console.lines(f"path:{item.path},{item.name}" for item in listings)
        case Output.JSON | Output.CSV:
            names = [field.name for field in fields(FamilyListing) if why or field.name != "why"]
            _write_rows(console, [asdict(item) for item in listings], names, output, keys)


def write_groups(console: Console, table: pa.Table, output: Output, keys: str | None) -> None:
    """Write rows of a group table."""
    rows = table.to_pylist(maps_as_pydicts="strict")
    if keys is not None and output == Output.TABLE:
        raise input_error(Code.BAD_OPTION, "`--output-keys` goes with `--output json` or `csv`")
    if output == Output.TABLE:
        group_by = [name for name in table.column_names if name not in GROUP_COLUMNS]
        console.table(group_rows(rows, group_by, width=console.out.width))
    elif output in (Output.JSON, Output.CSV):
        _write_rows(console, rows, table.column_names, output, keys)
    else:
        raise input_error(Code.BAD_OPTION, f"`--output {output}` lists families, not groups", help="table, json or csv")


def write_group(console: Console, row: Mapping[str, Any], *, as_json: bool) -> None:
    """Write one group's outcome."""
    if as_json:
        console.json_lines([row])
    else:
        console.table(
            key_values(
                (name, value) for name, value in row.items() if name not in GROUP_COLUMNS or value not in (None, {}, [])
            )
        )


def write_details(console: Console, details: FamilyDetails, *, as_json: bool, now: datetime) -> None:
    """Write what `mf show` knows of a family."""
    if as_json:
        document = {
            **asdict(details.listing),
            "definition": {v.key: {"value": v.value, "from": list(v.origins)} for v in details.values},
            "versions": [
                {
                    **version.model_dump(mode="json"),
                    "current": version.number == details.current,
                    "definition_changed": details.definition_changed[version.number],
                    "bytes": version.bytes,
                }
                for version in details.versions
            ],
            "forgotten": [stone.model_dump(mode="json", exclude={"salt", "keys"}) for stone in details.forgotten],
        }
        console.data(json.dumps(document, default=str, ensure_ascii=False))
    else:
        for table in show_tables(details, now=now, width=console.out.width):
            console.table(table)


def write_resolved(console: Console, family: str, values: Sequence[ResolvedValue], *, as_json: bool) -> None:
    """Write every single value of a family and where it comes from."""
    from modelfactory.cli.resolved import resolved_row, resolved_table

    if as_json:
        rows = [json_value(resolved_row(value)) for value in values]
        console.data(json.dumps(rows, ensure_ascii=False, allow_nan=False))
    else:
        console.table(resolved_table(family, values, width=console.out.width))


def _write_rows(
    console: Console, rows: list[dict[str, Any]], names: Sequence[str], output: Output, keys: str | None
) -> None:
    wanted = list(names) if keys is None else [key for key in re.split(r"[,\s]+", keys) if key]
    for key in wanted:
        if key not in names:
            raise input_error(Code.BAD_OPTION, f"no key `{key}`", help=did_you_mean(key, list(names)))
    rows = [{key: row[key] for key in wanted} for row in rows]
    if output == Output.CSV:
        console.data(csv_text(rows, wanted))
    else:
        console.json_lines(rows)
