"""Every single value of a family and where it comes from, as a table for people and as rows for programs."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from modelfactory.cli.tables import framed, plain
from modelfactory.commands.resolving import OriginKind, Overridden, ResolvedValue, ValueOrigin
from modelfactory.project.positions import KeyPath

_LONGEST = 60
"""Characters that are shown of a value that is overridden."""
_LEAST = 18
"""Characters of a line of a key or a value, at least."""
_BETWEEN = 6
"""Blanks between the columns."""


def resolved_row(value: ResolvedValue) -> dict[str, Any]:
    """Return a value as `mf show --resolved --output json` writes it."""
    shown = value.value
    return {
        "path": path_text(value.path),
        # JSON has no such numbers, and null is a value of its own
        "value": str(shown) if isinstance(shown, float) and not math.isfinite(shown) else shown,
        "from": _origin_row(value.origin),
        "via": [_origin_row(origin) for origin in value.via],
        "overrides": [
            {"path": path_text(hidden.path), "value": hidden.value, "from": _origin_row(hidden.origin)}
            for hidden in value.overrides
        ],
    }


def _origin_row(origin: ValueOrigin) -> dict[str, Any]:
    where = origin.place.position if origin.place else None
    return {
        "kind": str(origin.kind),
        "name": origin.name,
        "file": origin.place.file if origin.place else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
    }


def path_text(path: KeyPath) -> str:
    """Write a path as `features[2].kind`; a key that is no plain word is quoted."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_key_text(part)}" for part in path).removeprefix(".")


def _key_text(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key) else json.dumps(key, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: a value, or values of one list that come from one place.

    Attributes:
        parent: what the line stands below.
        label: its key, from there.
        value: what to show.
        first: the value, or the first of the list.
    """

    parent: KeyPath
    label: str
    value: Any
    first: ResolvedValue


def resolved_table(family: str, values: Sequence[ResolvedValue], *, width: int) -> Table:
    """Return the table of `mf show --resolved`.

    What is written stands out against what is a default. Keys of one mapping stand below its name, items of a list that
    come from one place in one line, and what a key overrides at the first of its values.

    Args:
        family: name of the family.
        values: its values.
        width: of the terminal; where it is narrow, values fold first, then keys, then places.
    """
    table = framed("key", "value", "from", title=f"family {family}, every value")
    idle = [value for value in values if _is_idle(value)]
    before: tuple[Overridden, ...] = ()
    for parent, rows in itertools.groupby(_rows([v for v in values if not _is_idle(v)]), lambda row: row.parent):
        together = list(rows)
        head = path_text(parent)
        if nested := bool(parent) and len(together) > 1:
            table.add_row(Text(head, style="bold"))
        for row in together:
            label = f"  {row.label}" if nested else ".".join(filter(None, (head, row.label)))
            hidden, before = () if row.first.overrides == before else row.first.overrides, row.first.overrides
            style = "dim" if row.first.origin.place is None else ""
            value = plain(row.value, float_text=repr)
            table.add_row(Text(label, style=style), Text(value, style=style), _from(row.first, hidden, style))
    if idle:
        names = ", ".join(path_text(value.path) for value in idle)
        table.add_row(Text("not set", style="dim"), Text(names, style="dim"), Text("built-in default", style="dim"))
    keys, _, places = (max(len(str(cell).partition("\n")[0]) for cell in column.cells) for column in table.columns)
    left = width - places - _BETWEEN
    table.columns[0].max_width = max(left - _LEAST, _LEAST)
    table.columns[1].max_width = max(left - keys, _LEAST)
    return table


def _is_idle(value: ResolvedValue) -> bool:
    """Tell whether a key says nothing, and nobody has written that it does not."""
    return len(value.path) == 1 and value.origin.kind == OriginKind.BUILT_IN and value.value in (None, [], {})


def _rows(values: Sequence[ResolvedValue]) -> Iterator[_Row]:
    deep = {  # lists of which each item has much to say, such as the steps of a pipeline
        value.path[:depth]
        for value in values
        for depth, part in enumerate(value.path)
        if isinstance(part, int) and len(value.path) > depth + 2
    }
    for listed, group in itertools.groupby(values, _list_of):
        together = list(group)
        if not listed or listed in deep:
            for value in together:
                parent = _parent(value.path)
                yield _Row(parent, path_text(value.path[len(parent) :]), value.value, value)
            continue
        for inner in dict.fromkeys(value.path[len(listed) + 1 :] for value in together):
            alike = [value for value in together if value.path[len(listed) + 1 :] == inner]
            for _, same in itertools.groupby(alike, _source):
                yield _listed([*same], listed, inner, whole=len(together))


def _listed(same: Sequence[ResolvedValue], listed: KeyPath, inner: KeyPath, *, whole: int) -> _Row:
    """Return the line of neighbours in a list that have the same origin.

    Args:
        same: the values.
        listed: path of the list.
        inner: where in each item they stand.
        whole: how many values the list has.
    """
    parent = _parent(listed)
    label, values = path_text(listed[len(parent) :]), [value.value for value in same]
    if inner or len(same) < whole:
        first, last = (value.path[len(listed)] for value in (same[0], same[-1]))
        label += f"[{first}]" if first == last else f"[{first}-{last}]"
        shown = values[0] if all(value == values[0] for value in values) else values
        return _Row(parent, ".".join(filter(None, (label, path_text(inner)))), shown, same[0])
    return _Row(parent, label, values, same[0])


def _list_of(value: ResolvedValue) -> KeyPath:
    """Return the path of the innermost list that a value stands in; nothing if it stands in none."""
    depth = max((depth for depth, part in enumerate(value.path) if isinstance(part, int)), default=0)
    return value.path[:depth]


def _parent(path: KeyPath) -> KeyPath:
    """Return what a value stands below: a key, a source, or one call of a list of them."""
    if len(path) == 1:
        return ()
    above = path[: path.index("params")] if "params" in path else path[:-1]
    usual = 2 if path[0] == "sources" else 1
    return path[: next((depth + 1 for depth, part in enumerate(above) if isinstance(part, int)), usual)]


def _source(value: ResolvedValue) -> Hashable:
    """Return what the `from` of a value says."""
    return str(_from(value, value.overrides, ""))


def _from(value: ResolvedValue, overrides: Iterable[Overridden], style: str) -> Text:
    lines = [Text(_origin_text(value.origin), style=style)]
    lines += [Text(f"via {_origin_text(origin)}", style=style) for origin in value.via]
    lines += [Text(f"overrides {_overridden_text(hidden)}", style="dim") for hidden in overrides]
    return Text("\n").join(lines)


def _origin_text(origin: ValueOrigin) -> str:
    where = f", {origin.place.shown}" if origin.place else ""
    match origin.kind:
        case OriginKind.BUILT_IN | OriginKind.SCIKIT_LEARN:
            return f"{origin.kind} default"
        case OriginKind.CLASS:
            return "default of the class"
        case OriginKind.VARIABLE:
            return f"variable {origin.name}{where}"
        case OriginKind.COMMAND_LINE:
            return f"--vars {origin.name}"
        case OriginKind.ENVIRONMENT:
            return f"environment {origin.name}"
        case OriginKind.REFERENCE_DEFAULT:
            return f"default in the reference to {origin.name}"
        case OriginKind.SEED:
            return f"the group's key and seed{where}"
        case _:
            return where.removeprefix(", ")


def _overridden_text(hidden: Overridden) -> str:
    value = " ".join(plain(hidden.value, float_text=repr).split())
    shown = value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
    return f"{path_text(hidden.path)}: {shown}, {hidden.origin.place.shown if hidden.origin.place else ''}"
