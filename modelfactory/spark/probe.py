"""Ask the workers who they are."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession

from modelfactory.diagnostics import Code, input_error
from modelfactory.spark.errors import SPARK_ERRORS, reason
from modelfactory.spark.session import slots_of


@dataclass(frozen=True, slots=True)
class Workers:
    """What the session and one of its workers said of themselves."""

    spark: str
    slots: int
    python: str
    executable: str


def probe_workers(spark: SparkSession) -> Workers:
    """Run one tiny job on a worker.

    Raises:
        InputError: the workers cannot run Python.
    """

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"python": [platform.python_version()], "executable": [sys.executable]})

    try:
        row = spark.range(1).mapInArrow(look, "python string, executable string").collect()[0]
    except SPARK_ERRORS as error:
        raise input_error(Code.SPARK_SESSION, f"the workers cannot run Python: {reason(error)}") from error
    return Workers(spark.version, slots_of(spark), row["python"], row["executable"])
