"""Train the scheduled groups of a family: one shuffle into bins, one walk over each bin, one action."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from modelfactory.plan.outcomes import GLOBAL, GROUP_HASH, OUTCOME
from modelfactory.plan.schedule import GLOBAL_GROUP, Census, GlobalFit, Schedule
from modelfactory.plan.steps import Contest, FitStep, TrainStep, quoted
from modelfactory.spark.census import CensusTable
from modelfactory.spark.errors import SPARK_ERRORS, SparkFailed, lost_worker, reason, worker_reason
from modelfactory.spark.inputs import GROUP, INEXACT, LABEL, ROW, Input, literal
from modelfactory.spark.progress import watched
from modelfactory.training.schema import CHAMPION_COLUMNS, MODEL_FIELDS, OUTCOME_DDL, OUTCOME_SCHEMA

_BIN, _RANK, _FITTED, _TABLE, _VERSION = "_mf_bin", "_mf_rank", "_mf_fitted", "_mf_table", "_mf_version"
_SCHEDULE, _WRITTEN = "schedule.parquet", "written"
MODELS_FOLDER, GLOBAL_FOLDER = f"{_WRITTEN}/{_TABLE}=models", f"{_WRITTEN}/{_TABLE}={GLOBAL}"
"""Where in the staging folder the model table is written, and that of the global model."""
_PARQUET_OPTIONS = {
    "compression": "zstd",
    "parquet.block.size": str(16 << 20),
    "parquet.page.size.row.check.min": "10",  # a row may be megabytes: look at the size often
    # A row of its own for each group: nothing repeats, and nobody looks for a model by its outcome.
    "parquet.enable.dictionary": "false",
    "parquet.column.statistics.enabled": "false",
    "parquet.size.statistics.enabled": "false",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


Outcomes = dict[str, pa.ChunkedArray]
"""What the workers reported, by column."""
Worker = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""What runs on the workers: rows in, outcomes out."""


@dataclass(frozen=True, slots=True)
class StoredChampions:
    """The models of earlier versions that new ones have to beat.

    Attributes:
        contest: what decides.
        version: by group of the census the version that has its champion, -1 without one; shape (g,).
        urls: folder of the model table of each of these versions, for Spark.
        packages: packages besides scikit-learn's own whose classes may be loaded.
    """

    contest: Contest
    version: npt.NDArray[np.int64]
    urls: Mapping[int, str]
    packages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder for files on their way, which the driver and Spark both reach.

    Attributes:
        filesystem: how the driver reaches it.
        path: where it is in that file system.
        url: the same for Spark; nothing in it is escaped.
    """

    filesystem: FileSystem
    path: str
    url: str


def train_groups(
    spark: SparkSession,
    step: TrainStep,
    table: Input,
    found: CensusTable,
    schedule: Schedule,
    *,
    staging: Scratch,
    memory: int | None,
    job: str,
    report: Callable[[int], None],
    go_on: Callable[[], None] = lambda: None,
    champions: StoredChampions | None = None,
    part: bool = False,
    empty: bool = False,
) -> Outcomes:
    """Fit the scheduled groups and write their models; one Spark job with one action.

    Args:
        spark: the session.
        step: the family's step.
        table: its input.
        found: the census.
        schedule: which groups are trained, and in which bins.
        staging: folder to write to; `MODELS_FOLDER` in it will hold the model table, `GLOBAL_FOLDER` the global model.
        memory: bytes that a worker may allocate, or None.
        job: name of the job, unique in the session.
        report: called with the number of groups done.
        go_on: raises once there is to be no other job.
        champions: the models that new ones have to beat, if there is a contest.
        part: whether the input has rows of other groups too, from which the global model does not learn.
        empty: whether the input has no rows, and the workers check that they could train.

    Returns:
        The outcomes of the trained groups and of the global model by column, one row each, in no order.

    Raises:
        SparkFailed: the Spark job failed as a whole.
    """
    if schedule.n_bins == 0:
        return _read_outcomes(staging)
    sample = step.max_rows if (step.samples(found.census.n_usable) & schedule.to_train).any() else None

    options = {**_PARQUET_OPTIONS, **{f"parquet.column.statistics.enabled#{key}": "true" for key in table.keys}}

    def write(placed: DataFrame, *, isolated: bool) -> None:
        worker = _checker(step.fit) if empty else _worker(step.fit, memory, champions, isolated=isolated)
        only = F.broadcast(placed.select(GROUP)) if part else None
        rows = rows_to_train(step.fit, table, found.census, schedule.global_fit, only=only)
        stored = None if champions is None else _champion_rows(spark, placed, champions)
        outcomes = fitted_groups(
            step.fit, table, rows, placed, schedule.n_bins, worker, sample=sample, champions=stored
        )
        _with_keys(outcomes, table, placed).write.mode("overwrite").options(**options).partitionBy(_TABLE).parquet(
            f"{_hadoop_url(staging.url)}/{_WRITTEN}"
        )

    try:
        with watched(spark, job, schedule.bin[schedule.to_train], schedule.n_bins, report):
            placed = placed_groups(spark, table, found, schedule, staging, champions)
            try:
                write(placed, isolated=False)
            except SPARK_ERRORS as error:
                if not lost_worker(error):
                    raise
                go_on()
                # Where Spark tries a task once only, or forgets its attempts with a stage: once more with care.
                write(placed, isolated=True)
    except SPARK_ERRORS as error:
        said = worker_reason(error) if empty else None
        raise SparkFailed(said or reason(error)) from error
    return _read_outcomes(staging)


def rows_to_train(
    fit: FitStep, table: Input, census: Census, global_fit: GlobalFit | None = None, *, only: DataFrame | None = None
) -> DataFrame:
    """Return the rows that groups and the global model may learn from; those of the global model stand there twice.

    The global model leaves out rows with an inexact number, which fail a whole group. Which rows it learns from depends
    on their content and the seed alone.

    Args:
        fit: what to do.
        table: the input.
        census: what is known of the groups.
        global_fit: how the global model is fitted, if there is one.
        only: the groups from which the global model learns; all if None.
    """
    if global_fit is None:
        return _usable(fit, table.rows)
    condition = F.lit(True)
    if global_fit.most is not None:
        condition = _drawn(fit) < F.lit((global_fit.most << 64) // global_fit.n_rows - (1 << 63))
    inexact = [table.inexact.alias(INEXACT)] if census.inexact.any() else []
    if inexact:
        condition &= ~F.col(INEXACT)
    one, both = F.array(F.col(GROUP)), F.array(F.col(GROUP), F.lit(GLOBAL_GROUP))
    groups = F.explode(F.when(condition, both).otherwise(one)).alias(GROUP)
    rows = _usable(fit, table.rows_and(*inexact))
    rows = rows if only is None else rows.join(only, GROUP, "left_semi")
    return rows.select(groups, *table.travel[1:])


def _usable(fit: FitStep, rows: DataFrame) -> DataFrame:
    return rows.where(F.col(LABEL).isNotNull()) if fit.has_label else rows


def _drawn(fit: FitStep) -> Column:
    """Return the number of each row by which samples are drawn.

    It is another hash than the one that chooses rows for the holdout, or the two choices would not be independent.
    """
    return F.xxhash64(F.lit(fit.seed), F.col(ROW))


def fitted_groups(
    fit: FitStep,
    table: Input,
    rows: DataFrame,
    placed: DataFrame,
    n_bins: int,
    worker: Worker,
    *,
    sample: int | None = None,
    champions: DataFrame | None = None,
) -> DataFrame:
    """Return the fitted groups, one row each; nothing runs yet, and every action on it trains all groups again.

    Args:
        fit: what to do.
        table: the input.
        rows: its rows to train on, and perhaps others.
        placed: the groups to train, each with its bin.
        n_bins: how many bins there are.
        worker: what fits them.
        sample: most rows of a group, of which those are taken whose hashes are the least; None for all.
        champions: models that travel beside the rows, each with its group and bin.
    """
    chosen = rows.select(*table.travel).join(F.broadcast(placed.select(GROUP, _BIN)), GROUP)
    if sample is not None:
        ranked = chosen.withColumn(_RANK, F.row_number().over(Window.partitionBy(GROUP).orderBy(_drawn(fit), ROW)))
        chosen = ranked.where(F.col(_RANK) <= sample)
    travel = table.travel
    if champions is not None:
        chosen = chosen.select(_BIN, *travel).unionByName(champions, allowMissingColumns=True)
        travel = (*travel, *CHAMPION_COLUMNS)
    binned = (
        chosen.repartitionById(n_bins, F.col(_BIN))
        .sortWithinPartitions(GROUP)  # one column of numbers: a radix sort; the worker sorts inside a group
        .select(*travel)
    )
    return binned.mapInArrow(worker, OUTCOME_DDL)


def _champion_rows(spark: SparkSession, placed: DataFrame, champions: StoredChampions) -> DataFrame:
    """Return the champions of the groups to train, as rows to travel beside those of the groups."""
    groups = F.broadcast(placed.select(GROUP, _BIN, _VERSION))
    group, (model, *others) = F.col(f"{OUTCOME}.{GROUP_HASH}").alias(GROUP), CHAMPION_COLUMNS
    columns = zip(("model", "format", "sha256"), (model, *others), strict=True)
    stored = [F.col(column).alias(name) for column, name in columns]
    found = None
    for number, url in champions.urls.items():
        rows = spark.read.parquet(literal(_hadoop_url(url))).select(group, *stored)
        rows = rows.join(groups.where(F.col(_VERSION) == number).drop(_VERSION), GROUP)
        found = rows if found is None else found.unionByName(rows)
    if found is None:
        raise AssertionError("without a champion there is no contest")
    return found


def placed_groups(
    spark: SparkSession,
    table: Input,
    found: CensusTable,
    schedule: Schedule,
    staging: Scratch,
    champions: StoredChampions | None = None,
) -> DataFrame:
    """Return the groups to train with their keys and bins, written to a file in `staging`.

    The global model is one of them, with null for its keys. They travel as a file: a million rows would be a million
    objects in the JVM as a local relation.
    """
    chosen = found.keys.append_column(GROUP, pa.array(found.census.group)).append_column(_BIN, pa.array(schedule.bin))
    if champions is not None:
        chosen = chosen.append_column(_VERSION, pa.array(champions.version, pa.int32()))
    chosen = chosen.filter(pa.array(schedule.to_train))
    if schedule.global_fit is not None:
        alone = pa.table({GROUP: [GLOBAL_GROUP], _BIN: pa.array([schedule.global_fit.bin], pa.int32())})
        chosen = pa.concat_tables([chosen, alone], promote_options="default")
    with staging.filesystem.open_output_stream(f"{staging.path}/{_SCHEDULE}") as out:
        pq.write_table(chosen, out, compression="zstd")
    types = T.StructType(
        [
            *map(T.StructField, table.keys, table.key_types),
            T.StructField(GROUP, T.LongType()),
            T.StructField(_BIN, T.IntegerType()),
            *([T.StructField(_VERSION, T.IntegerType())] if champions is not None else []),
        ]
    )
    return spark.read.schema(types).parquet(f"{literal(_hadoop_url(staging.url))}/{_SCHEDULE}")


def _worker(fit: FitStep, memory: int | None, champions: StoredChampions | None, *, isolated: bool) -> Worker:
    """Return what crosses to the workers: a frozen step, and the names of functions of `training`.

    Args:
        fit: what to do.
        memory: bytes that a worker may allocate, or None.
        champions: the models that new ones have to beat, if there is a contest.
        isolated: fit each group apart; else only where Spark tries a task again, since a group may have killed the
            worker of the first attempt.
    """
    contest = None if champions is None else (champions.contest, champions.packages)

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        from modelfactory.training.memory import give_way, limit_memory
        from modelfactory.training.worker import train_batches

        give_way()
        if memory is not None:
            limit_memory(memory)
        context = TaskContext.get()
        again = context is not None and context.attemptNumber() > 0
        met = None
        if contest is not None:
            from modelfactory.scoring.loading import load_model
            from modelfactory.training.champions import Champions

            def load(data: bytes, format: str, sha256: str) -> Any:
                return load_model(data, format=format, sha256=sha256, packages=contest[1])

            met = Champions(contest[0], load)
        return train_batches(fit, batches, isolated=isolated or again, champions=met)

    return train


def _checker(fit: FitStep) -> Worker:
    """Return what crosses to the workers where there are no rows."""

    def check(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from modelfactory.training.worker import check_batches

        return check_batches(fit, batches)

    return check


def _with_keys(outcomes: DataFrame, table: Input, placed: DataFrame) -> DataFrame:
    measured = [field.name for field in OUTCOME_SCHEMA if field.name not in (GROUP, *MODEL_FIELDS, _FITTED)]
    outcome = F.struct(F.col(GROUP).alias(GROUP_HASH), *measured)
    # What has no model is read for its outcome and then thrown away.
    which = F.when(F.col(GROUP) == F.lit(GLOBAL_GROUP), GLOBAL).otherwise("models")
    belongs = F.when(F.col(_FITTED), which).otherwise("none").alias(_TABLE)
    return outcomes.join(F.broadcast(placed.drop(_BIN, _VERSION)), GROUP).select(
        *map(quoted, table.keys), *MODEL_FIELDS, outcome.alias(OUTCOME), belongs
    )


def _hadoop_url(url: str) -> str:
    """Return a URL with the scheme by which Spark's Hadoop knows it."""
    return re.sub("^s3:", "s3a:", url)


def _read_outcomes(staging: Scratch) -> Outcomes:
    """Read the outcomes back without the models' bytes."""
    wanted = [field for field in OUTCOME_SCHEMA if field.name not in (*MODEL_FIELDS, _FITTED)]
    chunks: dict[str, list[pa.Array]] = {"sha256": [], **{field.name: [] for field in wanted}}
    everything = FileSelector(f"{staging.path}/{_WRITTEN}", recursive=True, allow_not_found=True)
    found = staging.filesystem.get_file_info(everything)
    for path in sorted(info.path for info in found if info.path.endswith(".parquet")):
        file = pq.ParquetFile(staging.filesystem.open_input_file(path))
        read = file.read(columns=[OUTCOME, "sha256"], use_threads=False)
        chunks["sha256"] += read["sha256"].chunks
        for outcome in read[OUTCOME].chunks:
            for field in wanted:
                name = GROUP_HASH if field.name == GROUP else field.name
                chunks[field.name].append(pc.struct_field(outcome, name).cast(field.type))
    return {name: pa.chunked_array(arrays, OUTCOME_SCHEMA.field(name).type) for name, arrays in chunks.items()}
