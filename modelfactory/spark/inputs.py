"""Open the input of a step: read its sources, check its columns, cast them by declared rules.

Numbers travel as double: whole numbers, decimals and booleans are cast, dates become days since 1970-01-01,
timestamps become seconds since 1970-01-01 UTC. Categories travel as string. The label of a classifier keeps its
own type where that is string, boolean, double or a whole number; any other travels as string.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from modelfactory.diagnostics import Code, did_you_mean
from modelfactory.plan.columns import Schema, check_uses, column_uses
from modelfactory.plan.steps import SourceRead, TrainStep, groups_relation, quoted
from modelfactory.project.positions import KeyPath
from modelfactory.project.variables import hide_environment, resolve_environment
from modelfactory.spark.errors import SPARK_ERRORS, reason

GROUP, ROW, LABEL, WEIGHT, TIME, INEXACT = (
    "_mf_group",
    "_mf_row",
    "_mf_label",
    "_mf_weight",
    "_mf_time",
    "_mf_inexact",
)
ClassType = Literal["boolean", "bigint", "double", "string"]
"""Spark's name of a type in which classes travel."""
FILE_FORMATS = frozenset({"parquet", "csv", "json", "orc", "text", "avro"})
"""Formats whose path is certainly one of files."""
EXACT_LIMIT = 2**53
"""Whole numbers up to here are doubles without rounding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the data of a family.

    Attributes:
        code: kind of the mistake.
        message: what is wrong.
        path: where in the family's definition, or in the source's where `source` is given.
        source: name of a source.
        help: the nearest right thing.
    """

    code: Code
    message: str
    path: KeyPath
    source: str | None = None
    help: str | None = None


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The group table of one version of a family, as queries read it.

    Attributes:
        version: number of the version.
        url: folder of its Parquet files.
    """

    version: int
    url: str


@dataclass(frozen=True, slots=True)
class Input:
    """A family's input, and how its columns travel.

    Attributes:
        table: the input with all its columns.
        keys: names of the group columns.
        key_types: their types.
        columns: what workers get of each row besides group and hash, by internal name: features, label, weight and
            time as the step has them.
        inexact: whether a number of the row is inexact.
        label_type: type in which the label of a classifier travels; None for others.
        refs: version of each family whose group table the query reads.
    """

    table: DataFrame
    keys: tuple[str, ...]
    key_types: tuple[T.DataType, ...]
    columns: Mapping[str, Column]
    inexact: Column
    label_type: ClassType | None = None
    refs: Mapping[str, int] = field(default_factory=dict)

    @property
    def travel(self) -> tuple[str, ...]:
        """Names of the columns that workers get, in their order."""
        return (GROUP, ROW, *self.columns)

    @property
    def rows(self) -> DataFrame:
        """The rows with the columns that travel."""
        return self.rows_and()

    def without_rows(self) -> Input:
        """Return the same input without any row; Spark reads nothing of it."""
        return replace(self, table=self.table.where(F.lit(False)))

    def rows_and(self, *more: Column) -> DataFrame:
        """Return the rows with the columns that travel, and more of the input behind them."""
        named = (column.alias(name) for name, column in self.columns.items())
        return self.table.select(
            identity(self.keys).alias(GROUP), hashed(list(self.columns.values())).alias(ROW), *named, *more
        )


def read_source(
    spark: SparkSession, source: SourceRead, *, root: Path, environ: Mapping[str, str]
) -> DataFrame | Finding:
    """Return the rows of a source, or why they cannot be read.

    Args:
        spark: the session.
        source: the source.
        root: the folder where relative paths begin.
        environ: values of `${env:…}` that the source refers to.
    """
    try:
        if source.table is not None:
            return analysed(spark.table(resolve_environment(source.table, environ)))
        place = None if source.path is None else resolve_environment(source.path, environ)
        if place is not None and source.format in FILE_FORMATS and "://" not in place:
            if not (root / place).exists() and not re.search(r"[*?\[{]", place):
                return Finding(Code.MISSING_PATH, f"`{source.path}` does not exist", ("path",), source.name)
            place = local_url(root, place)
        options = {key: resolve_environment(value, environ) for key, value in source.options}
        return analysed(spark.read.format(resolve_environment(source.format, environ)).options(**options).load(place))
    except SPARK_ERRORS as error:
        key = "table" if source.table is not None else "path"
        key = "format" if "data source" in reason(error) else key
        said = hide_environment(reason(error), " ".join(source.texts), environ)
        return Finding(Code.SPARK_SQL, said, (key,), source.name)


def analysed(frame: DataFrame) -> DataFrame:
    """Return a frame that Spark has looked at; a Spark Connect server says what is wrong only when it is asked."""
    _ = frame.schema
    return frame


def open_source(spark: SparkSession, source: SourceRead, *, root: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Open a source under the name by which queries know it, and return what is wrong with it.

    Args:
        spark: the session.
        source: the source.
        root: the project folder, where relative paths begin.
        environ: values of `${env:…}` that the source refers to.
    """
    opened = read_source(spark, source, root=root, environ=environ)
    if isinstance(opened, Finding):
        read = "" if opened.code == Code.MISSING_PATH else f"Spark cannot read source `{source.name}`: "
        return [replace(opened, message=read + opened.message)]
    if source.table is None:
        opened.createOrReplaceTempView(source.relation)
    types = {field.name.lower(): field.dataType.simpleString() for field in opened.schema.fields}
    findings = []
    for index, (name, wanted) in enumerate(source.columns):
        found = types.get(name.lower())
        if found is None:
            findings.append(
                Finding(
                    Code.MISSING_COLUMN,
                    f"source `{source.name}` has no column `{name}`",
                    ("columns", index),
                    source.name,
                    did_you_mean(name, opened.columns),
                )
            )
            continue
        declared = None if wanted is None else _canonical_type(wanted)
        if wanted is not None and declared is None:
            message = f"`{wanted}` is not a type of Spark SQL"
            findings.append(Finding(Code.COLUMN_TYPE, message, ("columns", index, "type"), source.name))
        elif declared is not None and declared != found:
            findings.append(
                Finding(
                    Code.COLUMN_TYPE,
                    f"column `{name}` of source `{source.name}` is {found}, declared {wanted}",
                    ("columns", index, "type"),
                    source.name,
                )
            )
    return findings


def open_input(
    spark: SparkSession, step: TrainStep, *, groups: Mapping[str, GroupTable], environ: Mapping[str, str]
) -> tuple[Input | None, list[Finding]]:
    """Open a step's input, whose sources are open, and check it; starts no job.

    Args:
        spark: the session.
        step: the step.
        groups: the group tables that it reads, by family.
        environ: values of `${env:…}` that the step still refers to.

    Returns:
        The input, or None and what is wrong.
    """
    try:
        for family, table in groups.items():
            spark.read.parquet(literal(table.url)).createOrReplaceTempView(groups_relation(family))
        whole = spark.sql(resolve_environment(step.whole_input, environ))
    except SPARK_ERRORS as error:
        said = hide_environment(reason(error), step.texts_for_spark, environ)
        return None, [Finding(Code.SPARK_SQL, f"Spark cannot read the input: {said}", step.input_path)]
    names = [field.name for field in whole.schema.fields]
    types = {field.name.lower(): field.dataType for field in whole.schema.fields}
    if not names:
        return None, [Finding(Code.EMPTY_INPUT, "the input has no columns", step.input_path)]
    findings = [*_check_columns(step, whole), *_check_twice(step, names)]
    if findings:
        return None, findings
    prepared = _prepare(step, whole, {name: types[name.lower()] for name in step.columns})
    return replace(prepared, refs={family: table.version for family, table in groups.items()}), []


def local_url(root: Path, place: str) -> str:
    """Return the URL of a local path, which may hold wildcards; Spark's own default may be another file system."""
    return f"file://{place}" if Path(place).is_absolute() else f"{literal(f'file://{root}')}/{place}"


def literal(url: str) -> str:
    """Return a URL for Spark to read from in which nothing is a wildcard."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", url)


def _canonical_type(written: str) -> str | None:
    try:
        return T.DataType.fromDDL(written).simpleString()
    except SPARK_ERRORS:
        return None


def _check_columns(step: TrainStep, whole: DataFrame) -> list[Finding]:
    uses = column_uses(
        keys=step.keys,
        features=[(feature.name, feature.kind) for feature in step.fit.features],
        label=step.label,
        weight=step.weight,
        time=step.time,
        regression=step.fit.task == "regression",
    )
    schema = Schema({field.name: field.dataType.simpleString() for field in whole.schema.fields}, complete=True)
    return [Finding(wrong.code, wrong.message, wrong.path, help=wrong.help) for wrong in check_uses(uses, schema)]


def _check_twice(step: TrainStep, names: list[str]) -> list[Finding]:
    folded = [name.lower() for name in names]
    return [
        Finding(Code.MISSING_COLUMN, f"the input has two columns `{name}`", step.input_path)
        for name in step.columns
        if folded.count(name.lower()) > 1
    ]


def _prepare(step: TrainStep, table: DataFrame, types: Mapping[str, T.DataType]) -> Input:
    travel: dict[str, Column] = {}
    inexact: list[Column] = []

    def number(column: str, name: str) -> None:
        travel[name] = as_double(F.col(quoted(column)), types[column])
        if isinstance(types[column], T.LongType | T.DecimalType) and name != TIME:
            inexact.append(inexact_number(F.col(quoted(column)), types[column]))

    for i, feature in enumerate(step.fit.features):
        if feature.kind == "numeric":
            number(feature.name, f"_mf_x{i}")
        else:
            travel[f"_mf_x{i}"] = F.col(quoted(feature.name)).cast("string")
    label_type: ClassType | None = None
    if step.label is not None:
        if step.fit.task == "regression":
            number(step.label, LABEL)
        else:
            label_type = _class_type(types[step.label])
            travel[LABEL] = _as_class(F.col(quoted(step.label)), label_type)
    if step.weight is not None:
        number(step.weight, WEIGHT)
    if step.time is not None:
        number(step.time, TIME)
    return Input(
        table=table,
        keys=step.keys,
        key_types=tuple(types[key] for key in step.keys),
        columns=travel,
        inexact=any_of(inexact),
        label_type=label_type,
    )


def identity(keys: tuple[str, ...]) -> Column:
    """Return the hash of the group columns, by which workers and outcomes know a group."""
    return hashed([F.col(quoted(key)) for key in keys])


def inexact_number(column: Column, kind: T.DataType) -> Column:
    """Tell whether a whole number is one that a double cannot hold."""
    if not isinstance(kind, T.LongType | T.DecimalType):
        return F.lit(False)
    beyond = (column > F.lit(EXACT_LIMIT)) | (column < F.lit(-EXACT_LIMIT))
    return F.coalesce(beyond & ~column.eqNullSafe(column.cast("double").try_cast(kind)), F.lit(False))


def as_double(column: Column, kind: T.DataType) -> Column:
    """Return a number or a moment as it travels to workers."""
    match kind:
        case T.DateType():
            return F.unix_date(column).cast("double")
        case T.TimestampType():
            return F.unix_micros(column).cast("double") / F.lit(1e6)
        case T.TimestampNTZType():
            return _micros_without_zone(column).cast("double") / F.lit(1e6)
        case T.FloatType() | T.DoubleType():
            # NaN and null mean the same to scikit-learn; they must not be two different rows to a hash.
            number = column.cast("double")
            return F.when(~F.isnan(number), number)
        case _:
            return column.cast("double")


def as_text(column: Column, kind: T.DataType) -> Column:
    """Return a category as it travels to workers: as Spark writes it where the zone of the session is UTC."""
    if isinstance(kind, T.TimestampType):
        seconds = F.unix_micros(column).cast("decimal(20,0)") / F.lit(1_000_000)
        column = F.lit("1970-01-01").cast("timestamp_ntz") + F.make_dt_interval(secs=seconds.cast("decimal(18,6)"))
    return column.cast("string")


def _micros_without_zone(column: Column) -> Column:
    """Return microseconds since 1970-01-01 of a moment without a zone, whatever the zone of the session."""
    minutes = F.hour(column) * F.lit(60) + F.minute(column)
    micros = (F.extract(F.lit("SECOND"), column) * F.lit(1_000_000)).cast("bigint")
    days = F.unix_date(column.cast("date")).cast("bigint")
    return days * F.lit(86_400_000_000) + minutes.cast("bigint") * F.lit(60_000_000) + micros


def _class_type(kind: T.DataType) -> ClassType:
    match kind:
        case T.BooleanType():
            return "boolean"
        case T.ByteType() | T.ShortType() | T.IntegerType() | T.LongType():
            return "bigint"
        case T.DecimalType() if kind.scale == 0 and kind.precision <= 18:
            return "bigint"
        case T.FloatType() | T.DoubleType():
            return "double"
        case _:
            return "string"


def _as_class(column: Column, kind: ClassType) -> Column:
    label = column.cast(kind)
    return F.when(~F.isnan(label), label) if kind == "double" else label


def hashed(columns: list[Column]) -> Column:
    """Hash columns; `xxhash64` passes over nulls, so where they are is hashed too."""
    return F.xxhash64(*(part for column in columns for part in (column, F.isnull(column))))


def any_of(conditions: Iterable[Column]) -> Column:
    """Tell whether any of some conditions holds; none does where there are none."""
    return reduce(Column.__or__, conditions, F.lit(False))
