"""The census: one aggregation over the input that finds every group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from modelfactory.diagnostics import BuildFailed, Code, Diagnostic
from modelfactory.plan.schedule import Census
from modelfactory.plan.steps import quoted
from modelfactory.spark.errors import SPARK_ERRORS, SparkFailed, reason
from modelfactory.spark.inputs import GROUP, INEXACT, LABEL, ROW, Input, identity

_COUNT, _USABLE, _LOW, _HIGH = "_mf_n_rows", "_mf_n_usable", "_mf_low", "_mf_high"
_DIGEST, _ONE = "_mf_digest", "_mf_one_class"


@dataclass(frozen=True, slots=True)
class CensusTable:
    """What the census found; one row or entry per group, in one order.

    Attributes:
        keys: the group columns with their own types.
        digests: digest of each group's usable rows, text.
        census: the counts and flags.
    """

    keys: pa.Table
    digests: pa.ChunkedArray
    census: Census


def take_census(table: Input, *, classes: bool) -> CensusTable:
    """Count the rows of every group; one Spark job.

    Args:
        table: the input.
        classes: whether to look for groups with one class only.

    Raises:
        SparkFailed: Spark cannot read the rows.
        BuildFailed: two groups cannot be told apart by their hash.
    """
    usable = F.col(LABEL).isNotNull() if LABEL in table.travel else F.lit(True)
    row = F.when(usable, F.col(ROW))
    one_class = F.min(LABEL) == F.max(LABEL) if classes else F.lit(False)
    counted = table.rows.groupBy(*map(quoted, table.keys)).agg(
        F.count(F.lit(1)).alias(_COUNT),
        F.count(row).alias(_USABLE),
        F.coalesce(F.sum(row.bitwiseAND(F.lit(0xFFFFFFFF))), F.lit(0)).alias(_LOW),
        F.coalesce(F.sum(F.shiftrightunsigned(row, 32)), F.lit(0)).alias(_HIGH),
        F.coalesce(one_class, F.lit(False)).alias(_ONE),
        F.bool_or(F.col(INEXACT) & usable).alias(INEXACT),
    )
    parts = (F.lower(F.hex(name)) for name in (_USABLE, _HIGH, _LOW))
    # Hashing and writing happen once for each group here, and not for each row.
    told = counted.withColumn(GROUP, identity(table.keys)).withColumn(_DIGEST, F.concat_ws("-", *parts))
    try:
        found = told.drop(_HIGH, _LOW).toArrow()
    except SPARK_ERRORS as error:
        raise SparkFailed(reason(error)) from error
    group = found[GROUP].to_numpy()
    if len(np.unique(group)) != len(group):
        raise BuildFailed(
            Diagnostic(
                code=Code.ACCOUNTING,
                message="two groups have the same 64-bit hash and cannot be told apart",
                help="expected once in 37 million families of a million groups: add a constant to a group column",
            )
        )
    keys = found.select(list(range(len(table.keys))))
    null_key = np.zeros(found.num_rows, dtype=bool)
    for column in keys.columns:
        null_key |= pc.is_null(column).to_numpy(zero_copy_only=False)
    return CensusTable(
        keys=keys,
        digests=found[_DIGEST],
        census=Census(
            group=group,
            n_rows=found[_COUNT].to_numpy(),
            n_usable=found[_USABLE].to_numpy(),
            null_key=null_key,
            one_class=found[_ONE].to_numpy(),
            inexact=found[INEXACT].to_numpy(),
        ),
    )
