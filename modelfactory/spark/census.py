"""The census: one aggregation over the input that finds every group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F

from modelfactory.diagnostics import BuildFailed, Code, Diagnostic
from modelfactory.plan.schedule import Census
from modelfactory.plan.steps import quoted
from modelfactory.spark.errors import SPARK_ERRORS, SparkFailed, reason
from modelfactory.spark.inputs import GROUP, INEXACT, LABEL, ROW, Input, hashed, identity

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

    def take(self, which: npt.NDArray[np.bool_]) -> CensusTable:
        """Return the census of some of the groups.

        Args:
            which: whether each group is among them, shape (g,).
        """
        chosen = pa.array(which)
        arrays = {field.name: getattr(self.census, field.name)[which] for field in fields(Census)}
        return CensusTable(self.keys.filter(chosen), self.digests.filter(chosen), Census(**arrays))


def take_census(tables: Sequence[Input], *, classes: Sequence[bool]) -> list[CensusTable]:
    """Count the rows of every group, for one or several families in one Spark job.

    Args:
        tables: inputs of the families, which have one table and the same group columns.
        classes: for each of them whether to look for groups with one class only.

    Returns:
        The census of each family.

    Raises:
        SparkFailed: Spark cannot read the rows.
        BuildFailed: two groups cannot be told apart by their hash.
    """
    keys = tables[0].keys
    seen = [F.col(quoted(key)) for key in keys]
    aggregates = [F.count(F.lit(1)).alias(_COUNT)]
    for number, (table, wanted) in enumerate(zip(tables, classes, strict=True)):
        names = [f"{name}_{number}" for name in (ROW, LABEL, INEXACT)]
        label = table.columns.get(LABEL, F.lit(True))  # without a label every row is usable
        row = F.when(label.isNotNull(), hashed(list(table.columns.values())))
        columns = (row, label, table.inexact & label.isNotNull())
        seen += [column.alias(name) for column, name in zip(columns, names, strict=True)]
        aggregates += _aggregates(names, number, classes=wanted)
    counted = tables[0].table.select(*seen).groupBy(*map(quoted, keys)).agg(*aggregates)
    # Hashing and writing happen once for each group here, and not for each row.
    told = counted.withColumn(GROUP, identity(keys))
    for number in range(len(tables)):
        parts = (F.hex(f"{name}_{number}") for name in (_USABLE, _HIGH, _LOW))  # `lower` would load ICU for 2 s
        told = told.withColumn(f"{_DIGEST}_{number}", F.concat_ws("-", *parts))
    try:
        found = told.drop(*(f"{name}_{n}" for name in (_LOW, _HIGH) for n in range(len(tables)))).toArrow()
    except SPARK_ERRORS as error:
        raise SparkFailed(reason(error)) from error
    return [_census_table(found, len(keys), number) for number in range(len(tables))]


def _aggregates(names: Sequence[str], number: int, *, classes: bool) -> list[Column]:
    row, label, inexact = map(F.col, names)
    one_class = F.min(label) == F.max(label) if classes else F.lit(False)
    return [
        F.count(row).alias(f"{_USABLE}_{number}"),
        F.coalesce(F.sum(row.bitwiseAND(F.lit(0xFFFFFFFF))), F.lit(0)).alias(f"{_LOW}_{number}"),
        F.coalesce(F.sum(F.shiftrightunsigned(row, 32)), F.lit(0)).alias(f"{_HIGH}_{number}"),
        F.coalesce(one_class, F.lit(False)).alias(f"{_ONE}_{number}"),
        F.bool_or(inexact).alias(f"{INEXACT}_{number}"),
    ]


def _census_table(found: pa.Table, n_keys: int, number: int) -> CensusTable:
    group = found[GROUP].to_numpy()
    if len(np.unique(group)) != len(group):
        raise BuildFailed(
            Diagnostic(
                code=Code.ACCOUNTING,
                message="two groups have the same 64-bit hash and cannot be told apart",
                help="expected once in 37 million families of a million groups: add a constant to a group column",
            )
        )
    keys = found.select(list(range(n_keys)))
    null_key = np.zeros(found.num_rows, dtype=bool)
    for column in keys.columns:
        null_key |= pc.is_null(column).to_numpy()
    return CensusTable(
        keys=keys,
        digests=found[f"{_DIGEST}_{number}"],
        census=Census(
            group=group,
            n_rows=found[_COUNT].to_numpy(),
            n_usable=found[f"{_USABLE}_{number}"].to_numpy(),
            null_key=null_key,
            one_class=found[f"{_ONE}_{number}"].to_numpy(),
            inexact=found[f"{INEXACT}_{number}"].to_numpy(),
        ),
    )
