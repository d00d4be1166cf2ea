"""The columns that a family uses, against those that its input has: the same rules before Spark starts and in it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelfactory.diagnostics import Code, Diagnostic, Related, Severity, did_you_mean, edits
from modelfactory.project.classes import ClassFacts, Mistake
from modelfactory.project.loading import Family, Project, Source
from modelfactory.project.positions import KeyPath
from modelfactory.project.specs import FamilySpec

INTERNAL_PREFIX = "_mf_"
"""How names begin that are given to columns here, and no column of a user."""
_NUMBER_OR_MOMENT = re.compile(
    r"tinyint|smallint|int|bigint|float|double|decimal\(\d+,\d+\)|boolean|date|timestamp|timestamp_ntz"
)
_TEXT = re.compile(r"(string|char|varchar)\b.*")
_SYNONYMS = {
    "byte": "tinyint",
    "short": "smallint",
    "integer": "int",
    "long": "bigint",
    "real": "float",
    "dec": "decimal(10,0)",
    "decimal": "decimal(10,0)",
    "numeric": "decimal(10,0)",
    "timestamp_ltz": "timestamp",
}
_SHORTEST_NAME = 4
_CSV_HELP = "Spark takes all columns of a CSV file for texts unless the source has `options: {inferSchema: true}`"


@dataclass(frozen=True, slots=True)
class Schema:
    """What is known of a table without Spark.

    Attributes:
        types: by column, in their order, Spark's short name of the type; None where that is not certain.
        complete: whether it has no other columns.
    """

    types: Mapping[str, str | None]
    complete: bool


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One place where a family names a column.

    Attributes:
        name: the column.
        path: where in the family.
        role: what it is there.
        numeric: whether it has to be a number or a moment.
    """

    name: str
    path: KeyPath
    role: str
    numeric: bool


def column_uses(
    *,
    keys: Iterable[str],
    features: Iterable[tuple[str, str]],
    label: str | None,
    weight: str | None,
    time: str | None,
    regression: bool,
) -> list[ColumnUse]:
    """Return where a family names columns.

    Args:
        keys: group columns.
        features: names and kinds of the features.
        label: the column to learn.
        weight: the column of weights.
        time: the column by which rows are split.
        regression: whether the label is a number.
    """
    uses = [ColumnUse(name, ("group_by", i), "group column", False) for i, name in enumerate(keys)]
    for i, (name, kind) in enumerate(features):
        uses.append(ColumnUse(name, ("features", i), f"{kind} feature", kind == "numeric"))
    if label is not None:
        uses.append(ColumnUse(label, ("label",), "label", regression))
    if weight is not None:
        uses.append(ColumnUse(weight, ("weight",), "weight", True))
    if time is not None:
        uses.append(ColumnUse(time, ("evaluate", "by_time", "column"), "time column", True))
    return uses


def check_uses(uses: Iterable[ColumnUse], schema: Schema) -> Iterator[Mistake]:
    """Yield the columns that are missing, and those whose type cannot be used; case does not matter, as in Spark."""
    types = {name.lower(): kind for name, kind in schema.types.items()}
    for use in uses:
        kind = types.get(use.name.lower())
        if use.name.lower() not in types:
            if schema.complete:
                message = f"{use.role} `{use.name}` is not a column of the input"
                yield Mistake(Code.MISSING_COLUMN, message, use.path, help=did_you_mean(use.name, list(schema.types)))
        elif kind is not None and not _can_be(kind, numeric=use.numeric):
            must = "a number, a date or a timestamp" if use.numeric else "a plain value"
            message = f"{use.role} `{use.name}` is {kind} and must be {must}"
            yield Mistake(Code.COLUMN_TYPE, message, use.path, help=_type_help(use, kind))


def _can_be(kind: str, *, numeric: bool) -> bool:
    return bool(_NUMBER_OR_MOMENT.fullmatch(kind) or (not numeric and _TEXT.fullmatch(kind)))


def _type_help(use: ColumnUse, kind: str) -> str:
    if use.role == "numeric feature" and _TEXT.fullmatch(kind):
        return f"declare it as {{name: {use.name}, kind: categorical}}, or cast it in `sql`"
    return f"cast it in `sql`, for example `select cast({use.name} as double) as {use.name}, …`"


# Before Spark starts ------------------------------------------------------------------------------------------------


def check_columns(
    project: Project, families: Iterable[Family], facts: Mapping[str, ClassFacts], schemas: Mapping[str, Schema]
) -> list[Diagnostic]:
    """Return what is wrong with the columns of families that read a source as it is, and of the sources themselves.

    Args:
        project: the project.
        families: the families to look at.
        facts: what is known of the classes they name.
        schemas: by source, what could be read of its data.
    """
    found = [wrong for name, schema in schemas.items() for wrong in _check_declared(project.sources[name], schema)]
    for family in families:
        source = project.sources.get(family.spec.source or "")
        if source is None:
            continue
        schema = schemas.get(source.spec.name) or _declared(source)
        uses = _uses(family.spec, facts)
        declared = Related(message=f"the source `{source.spec.name}`", place=source.place(("name",)))
        texts = schema.complete and source.spec.format.lower() == "csv" and set(schema.types.values()) == {"string"}
        wrong = [
            family.diagnostic(
                m.code, m.message, m.path, help=_CSV_HELP if texts and m.code == Code.COLUMN_TYPE else m.help
            )
            for m in check_uses(uses, schema)
        ]
        if not schema.complete:
            wrong += _almost_declared(family, uses, schema)
        found += [dataclasses.replace(d, related=(*d.related, declared)) for d in wrong]
    return found


def _uses(spec: FamilySpec, facts: Mapping[str, ClassFacts]) -> list[ColumnUse]:
    final = facts.get(spec.finals[0].spec.class_)
    return column_uses(
        keys=spec.group_by,
        features=[(feature.name, feature.kind) for feature in spec.features],
        label=spec.label,
        weight=spec.weight,
        time=spec.evaluate.by_time.column if spec.evaluate and spec.evaluate.by_time else None,
        regression=final is not None and final.kind == "regressor",
    )


def _declared(source: Source) -> Schema:
    types = {column.name: None if column.type is None else _canonical(column.type) for column in source.spec.columns}
    return Schema(MappingProxyType(types), complete=False)


def _canonical(written: str) -> str | None:
    """Return Spark's short name of a type, if it is one of the plain ones."""
    text = re.sub(r"\s", "", written.lower())
    text = re.sub(r"^(?:dec|decimal|numeric)\((\d+)(?:,(\d+))?\)$", lambda m: f"decimal({m[1]},{m[2] or 0})", text)
    text = _SYNONYMS.get(text, text)
    return text if text in ("string", "binary") or _NUMBER_OR_MOMENT.fullmatch(text) else None


def _check_declared(source: Source, schema: Schema) -> Iterator[Diagnostic]:
    """Yield the columns that a source promises and does not have so."""
    types = {name.lower(): kind for name, kind in schema.types.items()}
    for index, column in enumerate(source.spec.columns):
        if column.name.lower() not in types:
            if schema.complete:
                message = f"source `{source.spec.name}` has no column `{column.name}`"
                near = did_you_mean(column.name, list(schema.types))
                yield source.diagnostic(Code.MISSING_COLUMN, message, ("columns", index, "name"), help=near)
            continue
        found, wanted = types[column.name.lower()], None if column.type is None else _canonical(column.type)
        if found is not None and wanted is not None and found != wanted:
            message = f"column `{column.name}` of source `{source.spec.name}` is {found}, declared {column.type}"
            yield source.diagnostic(Code.COLUMN_TYPE, message, ("columns", index, "type"))


def _almost_declared(family: Family, uses: Iterable[ColumnUse], schema: Schema) -> Iterator[Diagnostic]:
    """Warn of columns that differ from a declared one by a letter; that others are not declared says nothing."""
    declared = {name.lower(): name for name in schema.types}
    for use in uses:
        name = use.name.lower()
        if name in declared or len(name) < _SHORTEST_NAME:
            continue
        near = next((d for d in declared if edits(name, d) == 1 and _without_digits(d) != _without_digits(name)), None)
        if near is not None:
            message = f"{use.role} `{use.name}` is not a declared column of its source"
            hint = f"did you mean `{declared[near]}`?"
            diagnostic = family.diagnostic(Code.MISSING_COLUMN, message, use.path, help=hint)
            yield dataclasses.replace(diagnostic, severity=Severity.WARNING)


def _without_digits(name: str) -> str:
    """Return what `lag_1` and `lag_2` have in common."""
    return re.sub(r"\d", "", name)
