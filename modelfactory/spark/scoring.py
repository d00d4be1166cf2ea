"""Score a DataFrame: models and rows meet, and every row leaves once with an answer.

Which model answers a row is decided by joins with the group tables. Linear models are columns of those: Spark computes
their formula itself, and no row leaves the JVM. Of other rows, only the number of the model and the features travel to
the workers, and only the answers back. Few models travel with the function: the rows stay where they are. Many are rows
themselves: models and rows meet in bins, a model before the rows that it answers, so that each is loaded once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import ArrowUDFType
from pyspark.sql.pandas.types import from_arrow_schema

from modelfactory.diagnostics import Code, Diagnostic, InputError, input_error
from modelfactory.plan.columns import INTERNAL_PREFIX, Schema, check_uses, column_uses
from modelfactory.plan.outcomes import ANSWER_COLUMNS, NONE, Reason
from modelfactory.plan.steps import Feature, quoted
from modelfactory.scoring.worker import Scorer
from modelfactory.spark.errors import SPARK_ERRORS, SparkFailed, reason, worker_reason
from modelfactory.spark.inputs import any_of, as_double, as_text, inexact_number, literal
from modelfactory.spark.progress import watched_rows

_NUMBER, _BIN, _IS_ROW, _ANSWER, _SAID, _VERSION, _SERVED, _REASON = (
    "_mf_number",
    "_mf_bin",
    "_mf_is_row",
    "_mf_answer",
    "_mf_said",
    "_mf_version",
    "_mf_served_by",
    "_mf_reason",
)
_HASHED = (T.NumericType, T.StringType, T.BooleanType, T.DateType, T.TimestampType, T.TimestampNTZType)
"""Types that Spark can hash, among others; it cannot those that hold a map."""
_MODEL = ("_mf_model", "_mf_format", "_mf_sha256")
_LARGEST_BROADCAST = 2_000_000
"""Groups of a level that are sent to all executors; Spark decides about more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTable:
    """The groups of one link of the chain.

    Attributes:
        served_by: what a row says that they answer.
        keys: the group columns; none for the model of all rows.
        groups: for each group its key in columns `key_0`, …, then `status`, `version`, `number` (null where it has no
            model) and `bin`; and where Spark computes the formula `intercept`, `coef_0`, …, and `mean_0` and `scale_0`,
            … where there are such.
        models: folders of the model tables with the models' version, where the models come with the rows.
        formula: the features of the linear formula, in its order; None where workers are asked.
    """

    served_by: str
    keys: tuple[str, ...]
    groups: pa.Table
    models: Mapping[int, str]
    formula: tuple[Feature, ...] | None = None


def scored(
    rows: DataFrame,
    levels: Sequence[LevelTable],
    features: Sequence[Feature],
    scorer: Scorer | None,
    *,
    answer: str,
    probability: bool,
    n_bins: int | None = None,
) -> DataFrame:
    """Return rows with their answers; nothing runs yet.

    Args:
        rows: at least the keys of all levels, and the features.
        levels: who answers, in the order in which they are asked.
        features: columns that the scorer gets behind the number of the model.
        scorer: what runs on the workers; None where every level has its formula.
        answer: Spark's type of a prediction.
        probability: whether there is a probability for each class.
        n_bins: how many bins there are where models come with the rows; None where the scorer has them with it.

    Raises:
        InputError: a column is missing, of another type, or has the name of one that is added.
    """
    types = _check(rows, levels, features, probability=probability)
    own = [quoted(name) for name in rows.columns]
    joined = _joined(rows, levels, types)
    if scorer is None:
        answered = _computed(joined, levels, types)
    else:
        fields = ["prediction " + answer, *(["probability map<string,double>"] if probability else []), "fault string"]
        answered = _asked(joined, levels, features, types, scorer, ", ".join(fields), n_bins)
    numeric = [feature for feature in features if feature.kind == "numeric"]
    inexact = any_of([inexact_number(F.col(quoted(f.name)), _type(f, types)) for f in numeric])
    asked = F.col(_NUMBER).isNotNull()
    fault = F.when(asked & inexact, F.lit(str(Reason.INEXACT_NUMBERS))).when(asked, F.col(f"{_ANSWER}.fault"))
    added = {
        "prediction": F.when(~(asked & inexact), F.col(f"{_ANSWER}.prediction")),
        **({"probability": F.when(~(asked & inexact), F.col(f"{_ANSWER}.probability"))} if probability else {}),
        "model_version": F.col(_VERSION),
        "served_by": F.when(fault.isNotNull(), F.lit(NONE)).otherwise(F.col(_SERVED)),
        "reason": F.coalesce(fault, F.col(_REASON)),
    }
    return answered.select(*own, *(column.alias(name) for name, column in added.items()))


def _asked(
    rows: DataFrame,
    levels: Sequence[LevelTable],
    features: Sequence[Feature],
    types: Mapping[str, T.DataType],
    scorer: Scorer,
    answer: str,
    n_bins: int | None,
) -> DataFrame:
    """Let workers answer."""
    travel = {f"_mf_x{i}": _travelling(feature, types) for i, feature in enumerate(features)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the kind is said outright, since the annotations are of other names
        score = F.arrow_udf(scorer, answer, ArrowUDFType.SCALAR_ITER)  # type: ignore[attr-defined]
    if n_bins is None:
        return rows.withColumn(_ANSWER, score(_NUMBER, *travel.values()))
    spread = [quoted(f.name) for f in rows.schema.fields if isinstance(f.dataType, _HASHED)]
    met = _met(rows.withColumns(travel), levels, spread, n_bins)
    # What comes out depends on the rows before: said so, Spark leaves it where it is, and the models in its way.
    return met.withColumn(_ANSWER, score.asNondeterministic()(_NUMBER, *_MODEL, *travel)).where(_IS_ROW)


def _computed(rows: DataFrame, levels: Sequence[LevelTable], types: Mapping[str, T.DataType]) -> DataFrame:
    """Compute the formulas, term by term in the order in which `LinearModels` does."""
    said, missing, infinite = [], [], []
    for i, level in enumerate(levels):
        values = [_travelling(feature, types) for feature in level.formula or ()]
        result = F.col(f"_mf_intercept_{i}")
        for k, value in enumerate(values):
            seen = value - F.col(f"_mf_mean_{k}_{i}") if f"mean_{k}" in level.groups.column_names else value
            seen = seen / F.col(f"_mf_scale_{k}_{i}") if f"scale_{k}" in level.groups.column_names else seen
            result = result + seen * F.col(f"_mf_coef_{k}_{i}")
        serves = F.col(f"_mf_number_{i}").isNotNull()
        said.append((serves, result))
        missing.append((serves, any_of([value.isNull() | F.isnan(value) for value in values])))
        infinite.append((serves, any_of([F.abs(value) == F.lit(float("inf")) for value in values])))
    result = F.col(_SAID)
    odd = result.isNull() | F.isnan(result) | (F.abs(result) == F.lit(float("inf")))
    fault = F.when(odd & F.coalesce(_first(infinite), F.lit(False)), F.lit(str(Reason.INFINITE_VALUES))).when(
        odd & F.coalesce(_first(missing), F.lit(False)), F.lit(str(Reason.MISSING_VALUES))
    )
    answer = F.struct(F.when(fault.isNull(), result).alias("prediction"), fault.alias("fault"))
    return rows.withColumn(_SAID, _first(said)).withColumn(_ANSWER, answer)


def _first(cases: Sequence[tuple[Column, Column]]) -> Column:
    """Return the value of the first case that holds, null if none does."""
    (condition, value), *others = cases
    found = F.when(condition, value)
    for condition, value in others:
        found = found.when(condition, value)
    return found


@dataclass(frozen=True, slots=True)
class Output:
    """Where scored rows go.

    Attributes:
        url: path or URL for Spark.
        format: format of the files.
        mode: what becomes of what is there: `error`, `overwrite` or `append`.
    """

    url: str
    format: str
    mode: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows were read and written, and how they were answered.

    Attributes:
        read: rows of the input.
        written: rows of the output.
        served_by: rows by who serves them.
        reasons: rows by the reason why it is not the model of their own group; those that a model could not answer
            under `predict_failed`, whatever the error.
    """

    read: int
    written: int
    served_by: Mapping[str, int]
    reasons: Mapping[str, int]


def write_scored(
    rows: DataFrame,
    score: Callable[[DataFrame], DataFrame],
    output: Output,
    *,
    servers: Sequence[str],
    reasons: Sequence[str],
    job: str,
    report: Callable[[int], None],
) -> Counts:
    """Score rows and write them; one action, in which they are counted too.

    Args:
        rows: the rows.
        score: gives them their answers.
        output: where they go.
        servers: all values that `served_by` may have.
        reasons: all that `reason` may have, or begin with; each that is counted takes time.
        job: name of the job, unique in the session.
        report: called with the number of rows written.

    Raises:
        InputError: a column of the rows does not fit, or what is to be added to has other columns.
        SparkFailed: the job failed.
    """
    before, after = Observation(), Observation()
    counted = [F.count_if(F.col("served_by") == name).alias(f"served_by {name}") for name in servers]
    counted += [F.count_if(_is_reason(name)).alias(f"reason {name}") for name in reasons]
    try:
        done = score(rows.observe(before, F.count(F.lit(1)).alias("rows")))
        done = done.observe(after, *counted)
        if output.format == "csv" and "probability" in done.columns:
            done = done.withColumn("probability", F.to_json("probability"))
        options = {"header": "true", "escape": '"'} if output.format == "csv" else {}
        if output.mode == "append":
            _check_appended(done, output, options)
        with watched_rows(rows.sparkSession, job, report):
            done.write.format(output.format).mode(output.mode).options(**options).save(output.url)
    except SPARK_ERRORS as error:
        raise SparkFailed(worker_reason(error) or reason(error)) from error
    found = after.get
    return Counts(
        read=before.get["rows"],
        written=sum(found[f"served_by {name}"] for name in servers),
        served_by={name: found[f"served_by {name}"] for name in servers},
        reasons={name: found[f"reason {name}"] for name in reasons if found[f"reason {name}"]},
    )


def _check_appended(rows: DataFrame, output: Output, options: Mapping[str, str]) -> None:
    """See that rows have the columns of those to which they are added, which Spark does not look at.

    Raises:
        InputError: they are others.
    """
    try:
        there = rows.sparkSession.read.format(output.format).options(**options).load(literal(output.url)).schema
    except SPARK_ERRORS:  # there is nothing, or nothing that can be read
        return
    if output.format == "csv":
        same = there.names == rows.columns
    elif output.format == "json":  # without the columns in which all is null, in an order of its own
        same = {*there.names} <= {*rows.columns}
    else:
        same = _types_of(there) == _types_of(rows.schema)
    if not same:
        message = f"--mode append: what is at {output.url} has other columns, or others of the same names"
        raise input_error(Code.BAD_OPTION, message, help=f"there: {', '.join(there.names)}")


def _types_of(schema: T.StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema.fields}


def _is_reason(name: str) -> Column:
    reason_of = F.col("reason")
    return reason_of.startswith(f"{name}:") if name == Reason.PREDICT_FAILED else reason_of == name


def _check(
    rows: DataFrame, levels: Sequence[LevelTable], features: Sequence[Feature], *, probability: bool
) -> Mapping[str, T.DataType]:
    """Return the types of the columns by their names in small letters.

    Raises:
        InputError: with all that is wrong with them.
    """
    keys = list(dict.fromkeys(key for level in levels for key in level.keys))
    uses = column_uses(
        keys=keys,
        features=[(feature.name, feature.kind) for feature in features],
        label=None,
        weight=None,
        time=None,
        regression=False,
    )
    schema = Schema({f.name: f.dataType.simpleString() for f in rows.schema.fields}, complete=True)
    cast = "cast it in the input; of a CSV file, types are inferred, and one text makes a column text"
    wrong = [
        Diagnostic(code=m.code, message=m.message, help=cast if m.code == Code.COLUMN_TYPE else m.help)
        for m in check_uses(uses, schema)
    ]
    names = [name.lower() for name in rows.columns]
    added = [name for name in ANSWER_COLUMNS if probability or name != "probability"]
    for name in dict.fromkeys(names):
        if name in added or name.startswith(INTERNAL_PREFIX):
            message = f"the input has a column `{name}`, which is one that scoring adds"
            wrong.append(Diagnostic(code=Code.RESERVED_COLUMN, message=message, help="rename it, or leave it out"))
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            wrong.append(Diagnostic(code=Code.MISSING_COLUMN, message=f"the input has two columns `{name}`"))
    if wrong:
        raise InputError(*wrong)
    return {f.name.lower(): f.dataType for f in rows.schema.fields}


def _type(feature: Feature, types: Mapping[str, T.DataType]) -> T.DataType:
    return types[feature.name.lower()]


def _travelling(feature: Feature, types: Mapping[str, T.DataType]) -> Column:
    column, kind = F.col(quoted(feature.name)), _type(feature, types)
    if feature.kind == "categorical":
        return as_text(column, kind)
    if isinstance(kind, T.DoubleType):  # NaN and null are one to a worker
        return column
    return as_double(column, kind)


def _joined(rows: DataFrame, levels: Sequence[LevelTable], types: Mapping[str, T.DataType]) -> DataFrame:
    """Find the model of each row, who serves it, and why that is not the model of its own group."""
    spark = rows.sparkSession
    numbers, versions, served, bins = [], [], [], []
    for i, level in enumerate(levels):
        rows = _with_level(spark, rows, level, i, types)
        numbers.append(F.col(f"_mf_number_{i}"))
        versions.append(F.when(numbers[-1].isNotNull(), F.col(f"_mf_version_{i}")))
        served.append(F.when(numbers[-1].isNotNull(), F.lit(level.served_by)))
        bins.append(F.when(numbers[-1].isNotNull(), F.col(f"_mf_bin_{i}")))
    return rows.withColumns(
        {
            _NUMBER: F.coalesce(*numbers),
            _VERSION: F.coalesce(*versions),
            _SERVED: F.coalesce(*served, F.lit(NONE)),
            _REASON: F.when(numbers[0].isNull(), F.coalesce(F.col("_mf_status_0"), F.lit(str(Reason.UNSEEN)))),
            _BIN: F.coalesce(*bins),
        }
    )


def _with_level(
    spark: SparkSession, rows: DataFrame, level: LevelTable, i: int, types: Mapping[str, T.DataType]
) -> DataFrame:
    told = {name: f"_mf_{name}_{i}" for name in level.groups.column_names}
    if not level.keys:
        (group,) = level.groups.to_pylist()
        kinds = {"status": "string", "version": "int", "number": "bigint", "bin": "int"}
        found = {alias: F.lit(group[name]).cast(kinds.get(name, "double")) for name, alias in told.items()}
        return rows.withColumns(found)
    groups = _spark_table(spark, level.groups)
    groups = groups.select(*(F.col(name).alias(alias) for name, alias in told.items()))
    conditions = [
        _equal(key, types[key.lower()], f"_mf_key_{n}_{i}", groups.schema[f"_mf_key_{n}_{i}"].dataType)
        for n, key in enumerate(level.keys)
    ]
    small = level.groups.num_rows <= _LARGEST_BROADCAST
    return rows.join(F.broadcast(groups) if small else groups, reduce(Column.__and__, conditions), "left")


def _spark_table(spark: SparkSession, table: pa.Table) -> DataFrame:
    """Return a table of Arrow; Spark itself would give moments without a zone one, unless a setting forbids it."""
    return spark.createDataFrame(table, from_arrow_schema(table.schema, prefer_timestamp_ntz=True))


def _equal(name: str, given: T.DataType, key: str, own: T.DataType) -> Column:
    """Compare a column of the rows with one of the groups: null with null, numbers by value.

    Raises:
        InputError: they cannot be compared.
    """
    left, right = F.col(quoted(name)), F.col(key)
    if given == own or (isinstance(given, T.StringType | T.CharType | T.VarcharType) and isinstance(own, T.StringType)):
        return left.eqNullSafe(right)
    naive = (T.DateType, T.TimestampNTZType)
    if isinstance(given, T.NumericType) and isinstance(own, T.NumericType):
        written = left.try_cast(own)
        return written.eqNullSafe(right) & written.try_cast(given).eqNullSafe(left)  # or 1.5 would be 1
    if isinstance(given, naive) and isinstance(own, naive):
        return left.cast("timestamp_ntz").eqNullSafe(right.cast("timestamp_ntz"))
    if isinstance(given, T.StringType) and not isinstance(own, T.BinaryType):  # as a CSV file has it
        written = left.try_cast(own)
        return written.eqNullSafe(right) & (left.isNull() == written.isNull())
    message = f"group column `{name}` is {given.simpleString()}; the groups have it as {own.simpleString()}"
    raise input_error(Code.COLUMN_TYPE, message, help="cast it")


def _met(rows: DataFrame, levels: Sequence[LevelTable], spread: Sequence[str], n_bins: int) -> DataFrame:
    """Bring models and rows together: a model before the rows that it answers, all in one bin."""
    spark = rows.sparkSession
    anywhere = F.pmod(F.xxhash64(*spread), F.lit(n_bins)).cast("int")  # for rows that nobody answers
    models = [_models(spark, url, version, level) for level in levels for version, url in level.models.items()]
    both = rows.withColumns({_BIN: F.coalesce(F.col(_BIN), anywhere), _IS_ROW: F.lit(True)})
    for table in models:
        both = both.unionByName(table.withColumn(_IS_ROW, F.lit(False)), allowMissingColumns=True)
    return both.repartitionById(n_bins, F.col(_BIN)).sortWithinPartitions(_NUMBER, _IS_ROW)


def _models(spark: SparkSession, url: str, version: int, level: LevelTable) -> DataFrame:
    """Return the models of one model table that a level needs, with their numbers and bins."""
    needed = pc.and_(pc.equal(level.groups["version"], version), pc.is_valid(level.groups["number"]))
    groups = _spark_table(spark, level.groups.filter(needed))
    stored = spark.read.parquet(literal(url)).select(
        *(F.col(quoted(key)).alias(f"_mf_{n}") for n, key in enumerate(level.keys)),
        *(F.col(name.removeprefix("_mf_")).alias(name) for name in _MODEL),
    )
    if level.keys:
        same = [F.col(f"_mf_{n}").eqNullSafe(F.col(f"key_{n}")) for n in range(len(level.keys))]
        stored = stored.join(F.broadcast(groups), reduce(Column.__and__, same))
    else:
        stored = stored.crossJoin(groups)
    return stored.select(F.col("number").alias(_NUMBER), F.col("bin").alias(_BIN), *_MODEL)
