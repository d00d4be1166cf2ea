"""Write linear families as tables of coefficients, and the SQL that scores rows by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from modelfactory.diagnostics import Code, counted, input_error
from modelfactory.exporting.exported import Exported, all_exported, free_name
from modelfactory.plan.outcomes import NONE, OWN, Reason
from modelfactory.scoring.linear import LinearModels, is_linear
from modelfactory.serving.chain import Chain, Link
from modelfactory.serving.models import VersionModels

ROWS = "input_rows"
"""What the rows to score are called in the SQL."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How names and types are written.

    Attributes:
        quote: what stands around a name.
        double: the type of a number.
    """

    quote: str
    double: str

    def name(self, *parts: str) -> str:
        """Return a name, quoted."""
        return ".".join(self.quote + part.replace(self.quote, self.quote * 2) + self.quote for part in parts)


FILES = {"score.sql": Dialect('"', "double precision"), "score_spark.sql": Dialect("`", "double")}


@dataclass(frozen=True, slots=True)
class _Level:
    """A table of coefficients, and what its columns are called.

    Attributes:
        table: name of the table.
        served_by: what a row says that its models answer.
        keys: the group columns, and whether any key in the table is null.
        features: the features.
        intercept: column of the intercepts.
        coef: for each feature the column of its coefficients.
        mean: for each feature the column of what is taken off; none where nothing is.
        scale: for each feature the column of what it is divided by; none where by nothing.
    """

    table: str
    served_by: str
    keys: tuple[tuple[str, bool], ...]
    features: tuple[str, ...]
    intercept: str
    coef: tuple[str, ...]
    mean: tuple[str, ...]
    scale: tuple[str, ...]


def write_sql(chain: Chain, folder: Path) -> Exported:
    """Write a table of coefficients for each family of a chain, and the SQL that joins rows with them.

    Features are standardised in the SQL, as the models do it: folded into one coefficient, a mean that is large beside
    its scale would cost digits.

    Args:
        chain: the models, all of them linear regressors.
        folder: what to write.

    Raises:
        InputError: a model is something else, or may not be loaded.
    """
    numbers = [_linear(link) for link in chain.links]
    folder.mkdir()
    levels = []
    for i, (link, linear) in enumerate(zip(chain.links, numbers, strict=True)):
        level, table = _level("coefficients" if i == 0 else f"fallback_{i}", link, linear)
        pq.write_table(table, folder / f"{level.table}.parquet")
        levels.append(level)
    own = chain.links[0].models
    for file, dialect in FILES.items():
        text = _head(own, levels) + _select(levels, dialect)
        (folder / file).write_text(text, encoding="utf-8")
    return all_exported(own)


def _linear(link: Link) -> LinearModels:
    models = link.models
    who = f"family `{models.family}`" if models.keys else f"the model of all rows of family `{models.family}`"
    if not models.has_model.any():
        raise input_error(Code.NOT_EXPORTED, f"{who} cannot be written as SQL: no group has a model")
    found = models.linear
    if found is None:
        message = f"{who} cannot be written as SQL: {_obstacle(models)}"
        hint = "linear regressors can be, alone or behind one StandardScaler, and all of them alike"
        if link.served_by != OWN:
            hint = "`--no-fallback` leaves it out"
        raise input_error(Code.NOT_EXPORTED, message, help=hint)
    return found


def _obstacle(models: VersionModels) -> str:
    """Say why the models cannot stand in one table of coefficients; groups of a searched family have different ones."""
    shapes: dict[str, int] = {}
    for _, model in models.load_all():
        shape = _shape(model)
        shapes[shape] = shapes.get(shape, 0) + 1
        if models.record.task != "regression" or not is_linear(model):
            return f"its models are not all linear regressors; one is {shape}"
    told = ", ".join(f"{counted(groups, 'group')} with {shape}" for shape, groups in shapes.items())
    return f"its linear regressors are not alike: {told}"


def _shape(model: Any) -> str:
    """Return the classes of a model: `StandardScaler, SVR`."""
    parts = [part for _, part in model.steps] if type(model).__name__ == "Pipeline" else [model]
    return ", ".join(type(part).__name__ for part in parts)


def _level(name: str, link: Link, linear: LinearModels) -> tuple[_Level, pa.Table]:
    models, has = link.models, link.models.has_model
    features = tuple(feature.name for feature in models.form.features)
    columns: dict[str, Any] = {key: models.groups[key] for key in models.keys}
    columns["status"] = models.groups["status"]
    columns["model_version"] = pa.array(models.groups["model_version"].to_numpy(False), pa.int32(), mask=~has)

    def add(wanted: str, values: npt.NDArray[np.float64]) -> str:
        column = free_name(wanted, columns)
        columns[column] = pa.array(values, pa.float64(), mask=~has)
        return column

    def each(what: str, values: npt.NDArray[np.float64] | None) -> tuple[str, ...]:
        if values is None:
            return ()
        return tuple(add(f"{what}_{feature}", values[:, i]) for i, feature in enumerate(features))

    level = _Level(
        table=name,
        served_by=link.served_by,
        keys=tuple((key, models.groups[key].null_count > 0) for key in models.keys),
        features=features,
        intercept=add("intercept", linear.intercept),
        coef=each("coef", linear.coef),
        mean=each("mean", linear.mean),
        scale=each("scale", linear.scale),
    )
    return level, pa.table(columns)


def _head(own: VersionModels, levels: Sequence[_Level]) -> str:
    tables = ", ".join(f"{level.table} ({level.table}.parquet)" for level in levels)
    return (
        f"-- Family {_one_line(own.family)}, version {own.record.number}.\n"
        f"-- Reads {ROWS}, the rows to score, and {tables}.\n"
        "-- NaN is taken to be equal to itself, as in DuckDB, PostgreSQL and Spark.\n"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _select(levels: Sequence[_Level], dialect: Dialect) -> str:
    own, *others = levels
    name, status = dialect.name, f"coalesce({dialect.name(own.table, 'status')}, '{Reason.UNSEEN}')"
    predictions, servers, reasons = [], [], []
    for level in levels:
        served = f"{name(level.table, 'model_version')} is not null"
        missing, infinite = _missing(level, dialect), _infinite(level, dialect)
        sound = f"not ({missing} or {infinite})"
        predictions.append(f"when {served} then case when {sound} then {_formula(level, dialect)} end")
        servers.append(f"when {served} then case when {sound} then {_text(level.served_by)} else '{NONE}' end")
        fault = f"when {infinite} then '{Reason.INFINITE_VALUES}' when {missing} then '{Reason.MISSING_VALUES}'"
        otherwise = "" if level is own else f" else {status}"
        reasons.append(f"when {served} then case {fault}{otherwise} end")
    versions = ", ".join(name(level.table, "model_version") for level in levels)
    version = f"coalesce({versions})" if others else versions
    nobody, unserved = f"else '{NONE}'", f"else {status}"
    joins = "\n".join(f"left join {name(level.table)} on {_condition(level, dialect)}" for level in levels)
    return (
        f"select\n  {name(ROWS)}.*,\n"
        f"  {_case(predictions)} as prediction,\n"
        f"  {version} as model_version,\n"
        f"  {_case([*servers, nobody])} as served_by,\n"
        f"  {_case([*reasons, unserved])} as reason\n"
        f"from {name(ROWS)}\n{joins}\n"
    )


def _case(branches: Sequence[str]) -> str:
    inside = "".join(f"\n    {branch}" for branch in branches)
    return f"case{inside}\n  end"


def _condition(level: _Level, dialect: Dialect) -> str:
    """Return when a row is of a group; null is equal to null where any key is null, since engines join by `=` best."""
    if not level.keys:
        return "1 = 1"
    return " and ".join(
        f"{dialect.name(ROWS, key)} {'is not distinct from' if nulls else '='} {dialect.name(level.table, key)}"
        for key, nulls in level.keys
    )


def _value(feature: str, dialect: Dialect) -> str:
    return f"cast({dialect.name(ROWS, feature)} as {dialect.double})"


def _formula(level: _Level, dialect: Dialect) -> str:
    """Return the prediction, in the very order of operations in which `LinearModels` makes it."""
    terms = [dialect.name(level.table, level.intercept)]
    for i, feature in enumerate(level.features):
        value = _value(feature, dialect)
        if level.mean:
            value = f"({value} - {dialect.name(level.table, level.mean[i])})"
        if level.scale:
            value = f"{value} / {dialect.name(level.table, level.scale[i])}"
        terms.append(f"{value} * {dialect.name(level.table, level.coef[i])}")
    return " + ".join(terms)


def _missing(level: _Level, dialect: Dialect) -> str:
    nan = f"cast('NaN' as {dialect.double})"
    values = [(dialect.name(ROWS, feature), _value(feature, dialect)) for feature in level.features]
    return " or ".join(f"{column} is null or {value} = {nan}" for column, value in values)


def _infinite(level: _Level, dialect: Dialect) -> str:
    infinity = f"cast('Infinity' as {dialect.double})"
    return " or ".join(f"abs({_value(feature, dialect)}) = {infinity}" for feature in level.features)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
